"""Laws of the samplers: batches are a function of (seed, iteration), whoever draws them and from wherever."""

import itertools
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from rc3mm.datasets import (
    EmojiParallel,
    EmojiStrict,
    EmojiWeak,
    EvalSampler,
    MaskTokens,
    MixedSources,
    MixedSourceSampler,
    PackVLInputs,
    RoiPixels,
    Tokenize,
    samplers,
    vl_collate,
)
from rc3mm.structures import Draw
from tests.distributed import run_on_processes

RATIOS = {'strict': 0.5, 'weak': 0.3, 'parallel': 0.2}


def mixed(strict: int = 40, weak: int = 70, parallel: int = 11, pipeline: tuple = ()) -> MixedSources:
    kinds = {
        'strict': (EmojiStrict, strict),
        'weak': (EmojiWeak, weak),
        'parallel': (EmojiParallel, parallel),
    }
    return MixedSources(
        {name: kind(num_scenes=number, image_size=32, pipeline=pipeline) for name, (kind, number) in kinds.items()}
    )


def take(sampler: MixedSourceSampler, count: int, start: int = 0) -> list[list[Draw]]:
    sampler.start = start
    return list(itertools.islice(sampler, count))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 2**40), st.sampled_from([1, 3]))
def test_starting_at_k_equals_skipping_k(k: int, seed: int, pool: int) -> None:
    sizes = {'strict': 3, 'weak': 5, 'parallel': 2}
    sampler = MixedSourceSampler(mixed(), sizes, RATIOS, length_pool=pool, seed=seed)
    assert take(sampler, 3, start=k) == take(sampler, k + 3)[k:]


def test_seeds_decide() -> None:
    def first_batches(seed: int | None) -> list[list[Draw]]:
        return take(MixedSourceSampler(mixed(), 4, RATIOS, seed=seed), 30)

    assert first_batches(5) == first_batches(5) != first_batches(6)
    assert first_batches(None) == first_batches(0)


@pytest.mark.parametrize('pool', [1, 4])
def test_batches_are_homogeneous_and_of_their_size(pool: int) -> None:
    sizes = {'strict': 3, 'weak': 5, 'parallel': 2}
    dataset = mixed()
    for iteration, batch in enumerate(take(MixedSourceSampler(dataset, sizes, RATIOS, length_pool=pool), 200)):
        (source,) = {draw.source for draw in batch}
        assert len(batch) == sizes[dataset.names[source]]
        assert {draw.iteration for draw in batch} == {iteration}
        assert len({draw.step_seed for draw in batch}) == 1


def test_ratios_hold_and_a_source_left_out_never_comes() -> None:
    count = 4000
    sources = Counter(batch[0].source for batch in take(MixedSourceSampler(mixed(), 1, RATIOS), count))
    for number, share in enumerate(RATIOS.values()):
        assert abs(sources[number] - share * count) < 5 * (share * (1 - share) * count) ** 0.5
    unnormalised = MixedSourceSampler(mixed(), {'strict': 1, 'parallel': 1}, {'parallel': 30, 'strict': 10})
    sources = Counter(batch[0].source for batch in take(unnormalised, 1000))
    assert set(sources) == {0, 2} and 690 < sources[2] < 810
    even = Counter(batch[0].source for batch in take(MixedSourceSampler(mixed(), 1), 900))
    assert min(even.values()) > 240


def test_every_epoch_visits_each_item_once_in_an_order_of_its_own() -> None:
    # Batches of 4 cross the borders of epochs of 11, and a batch may hold several epochs of a source of 3.
    for size in (11, 3):
        draws = [d for b in take(MixedSourceSampler(mixed(parallel=size), 4, {'parallel': 1}), 11 * 25) for d in b]
        epochs = [tuple(d.index for d in draws[i : i + size]) for i in range(0, len(draws), size)][:100]
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert len(set(epochs)) > (95 if size == 11 else 4)


def test_a_pool_deals_out_the_same_draws_by_length() -> None:
    dataset = mixed(weak=1000, pipeline=(Tokenize('emoji'),))

    def batches(pool: int) -> list[list[Draw]]:
        return take(MixedSourceSampler(dataset, 8, {'weak': 1}, 4, pool), 128)

    def lengths(batch: list[Draw]) -> np.ndarray:
        return dataset.lengths(batch[0].source, batch)

    def padding(pooled: list[list[Draw]]) -> float:
        sizes = np.array([lengths(batch) for batch in pooled])
        return 1 - sizes.sum() / (sizes.max(1) * 8).sum()

    plain, pooled = batches(1), batches(16)
    for first in range(0, 128, 16):  # a pool holds the very draws of its batches, seeds and all
        before, after = ([(d.index, d.seed) for b in some[first : first + 16] for d in b] for some in (plain, pooled))
        assert sorted(before) == sorted(after)
    assert padding(pooled) < 0.1 < 0.3 < padding(plain)
    means = [float(lengths(batch).mean()) for batch in pooled[:16]]
    assert means != sorted(means)  # batches come in random order
    assert any(list(lengths(batch)) != sorted(lengths(batch)) for batch in pooled)  # and so do a batch's items


def test_lengths_need_a_dataset_that_knows_them() -> None:
    dataset = MixedSources({'numbers': list(range(50))})
    with pytest.raises(TypeError, match=r'source "numbers" has no method `lengths`; set `length_pool=1`'):
        next(iter(MixedSourceSampler(dataset, 2, length_pool=2)))
    with pytest.raises(ValueError, match='length_pool must be at least 1, got 0'):
        MixedSourceSampler(dataset, 2, length_pool=0)


def test_seeds_of_draws_are_unique_and_give_different_streams() -> None:
    batches = take(MixedSourceSampler(mixed(), 4, RATIOS, seed=1), 1000)
    draws = [draw for batch in batches for draw in batch]
    assert len({draw.seed for draw in draws}) == len(draws)
    assert len({np.random.default_rng(draw.seed).random() for draw in draws}) == len(draws)
    assert len({batch[0].step_seed for batch in batches}) == len(batches)


def global_batches(
    monkeypatch: pytest.MonkeyPatch, world_size: int, batch: int, pool: int, count: int = 60
) -> list[list[Draw]]:
    ranks = []
    for rank in range(world_size):
        monkeypatch.setattr(samplers, 'rank_and_world_size', lambda rank=rank: (rank, world_size))
        ranks.append(take(MixedSourceSampler(mixed(), batch // world_size, RATIOS, 3, pool), count))
    return [list(itertools.chain(*parts)) for parts in zip(*ranks, strict=True)]


@pytest.mark.parametrize('pool', [1, 5])
@pytest.mark.parametrize('world_size', [2, 4])
def test_global_batches_do_not_depend_on_the_world(monkeypatch: pytest.MonkeyPatch, world_size: int, pool: int) -> None:
    assert global_batches(monkeypatch, world_size, 8, pool) == global_batches(monkeypatch, 1, 8, pool)


def on_a_rank(batch: int, count: int) -> dict[str, Any]:
    items = range(11)
    return {
        'draws': [[tuple(draw) for draw in b] for b in take(MixedSourceSampler(mixed(), batch, RATIOS, seed=3), count)],
        'eval': list(EvalSampler(items)),
    }


def test_two_real_processes_share_the_global_batch(tmp_path: Path) -> None:
    first, second = run_on_processes(on_a_rank, (4, 10), tmp_path)
    whole = take(MixedSourceSampler(mixed(), 8, RATIOS, 3), 10)
    for a, b, both in zip(first['draws'], second['draws'], whole, strict=True):
        assert [*a, *b] == [tuple(draw) for draw in both]
    assert (first['eval'], second['eval']) == ([0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9])


def flat(batch: dict[str, Any]) -> dict[str, Any]:
    """Everything in a batch, by its path; tensors as bytes with their type and shape."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from walk(item, f'{path}.{key}')
        elif isinstance(value, torch.Tensor):
            yield path, (value.dtype, tuple(value.shape), value.numpy().tobytes())
        elif isinstance(value, list):
            yield path, [getattr(item, 'metainfo', item) for item in value]
        else:
            yield path, value

    return dict(walk(batch, 'batch'))


def test_the_number_of_workers_changes_nothing() -> None:
    masking = MaskTokens('emoji', kinds=('single', 'pair'))
    dataset = mixed(
        pipeline=(
            lambda s: s if 'image' not in s else RoiPixels(4)(s),
            Tokenize('emoji'),
            masking,
            PackVLInputs(),
        )
    )
    runs = []
    for workers in (0, 2):
        sampler = MixedSourceSampler(dataset, 4, RATIOS, 3)
        sampler.start = 2
        loader = DataLoader(
            dataset, None, sampler=sampler, num_workers=workers, collate_fn=partial(vl_collate, pad_id=1)
        )
        runs.append([flat(batch) for batch in itertools.islice(loader, 8)])
    assert runs[0] == runs[1]
    assert {run['batch.inputs.iteration'] for run in runs[0]} == set(range(2, 10))
    assert any('batch.inputs.image' in run for run in runs[0])


def test_a_trillion_items_cost_no_memory_and_no_time() -> None:
    dataset = mixed(weak=10**12)
    tracemalloc.start()
    batches = take(MixedSourceSampler(dataset, 8, {'weak': 1}), 5, start=500_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    indices = [draw.index for batch in batches for draw in batch]
    assert len(set(indices)) == 40 and max(indices) > 10**11
    assert dataset[batches[0][:1]][0]['source'] == 'weak'


def test_length_is_one_pass_over_the_slowest_source(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = MixedSourceSampler(mixed(strict=40, weak=70), {'strict': 4, 'weak': 10}, {'strict': 0.5, 'weak': 0.5})
    assert len(sampler) == 20
    monkeypatch.setattr(samplers, 'rank_and_world_size', lambda: (0, 2))
    assert len(sampler) == 10


@pytest.mark.parametrize(
    ('batch_size', 'ratios', 'message'),
    [
        (4, {'strikt': 1}, r"unknown sources \['strikt'\]; the dataset has \['strict', 'weak', 'parallel'\]"),
        ({'strict': 4, 'wit': 2}, {'strict': 1}, r"unknown sources \['wit'\]"),
        (4, {'strict': 0}, 'not all 0'),
        (4, {'strict': 1, 'weak': -0.1}, 'non-negative'),
        (4, {'strict': float('nan'), 'weak': 1}, 'finite'),
        (4, {'strict': float('inf'), 'weak': 1}, 'finite'),
        ({'strict': 4}, None, 'batch_size of source "weak" must be at least 1, got None'),
        (0, None, 'batch_size of source "strict" must be at least 1, got 0'),
    ],
)
def test_errors_name_what_is_wrong(batch_size: Any, ratios: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixedSourceSampler(mixed(), batch_size, ratios)


def test_runs_come_whole_and_no_pool_tears_them() -> None:
    sampler = MixedSourceSampler(mixed(strict=40, weak=40), 8, run={'strict': 4}, length_pool=2)
    for batch in itertools.islice(sampler, 30):
        indices = [draw.index for draw in batch]
        runs = [indices[i : i + 4] for i in (0, 4)]
        whole = all(run == list(range(run[0], run[0] + 4)) and run[0] % 4 == 0 for run in runs)
        assert whole == (batch[0].source == 0)
    with pytest.raises(ValueError, match='runs are for shuffled sources'):
        MixedSourceSampler(mixed(), 8, run=4, order={'weak': 'stream'})
    with pytest.raises(ValueError, match='run must be at least 1'):
        MixedSourceSampler(mixed(), 8, run=0)
    with pytest.raises(ValueError, match=r"unknown sources \['strikt'\]"):
        MixedSourceSampler(mixed(), 8, run={'strikt': 2})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9))
def test_evaluation_covers_each_item_once_over_any_world(number: int, world_size: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shares = []
        for rank in range(world_size):
            monkeypatch.setattr(samplers, 'rank_and_world_size', lambda rank=rank: (rank, world_size))
            sampler = EvalSampler(range(number), seed=3)
            shares.append(list(sampler))
            assert len(sampler) == len(shares[-1])
    assert sorted(itertools.chain(*shares)) == list(range(number))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
