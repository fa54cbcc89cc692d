"""Laws of the orders: every item once an epoch, any part without what came before, streams that read in sequence."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from rc3mm.datasets import MixedSources, MixedSourceSampler, ShardedPairs, samplers
from rc3mm.datasets.orders import ShuffledOrder, StreamOrder
from rc3mm.structures import Draw
from tests.distributed import run_on_processes
from tests.test_datasets.test_shards.making import make_set, record

STREAM: dict[str, Any] = dict(order={'weak': 'stream'}, stream_block=8, stream_window=2)


@st.composite
def streams(draw: st.DrawFn) -> StreamOrder:
    """Streams of any size that the lanes can share."""
    block, window, lanes = draw(st.integers(1, 7)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    most = block * window * lanes * 4
    return StreamOrder(
        draw(st.integers(block * window * (lanes - 1) + 1, most)), (draw(st.integers(0, 99)),), lanes, block, window
    )


@settings(max_examples=60, deadline=None)
@given(streams(), st.integers(1, 3))
def test_every_epoch_has_every_item_once(order: StreamOrder, epochs: int) -> None:
    """All lanes together, each read up to where the last epoch ends for it."""
    serials: list[int] = []
    for lane in range(order.lanes):
        count = sum(int(order._sizes(lane, epoch)[1].sum()) for epoch in range(epochs))
        items = order.take(lane, 0, count)
        assert (items.serials_N % order.num_items == items.indices_N).all()
        serials += items.serials_N.tolist()
    assert sorted(serials) == list(range(epochs * order.num_items))


@settings(max_examples=60, deadline=None)
@given(streams(), st.integers(0, 300), st.integers(0, 40), st.integers(0, 4))
def test_any_part_is_what_the_whole_has_there(order: StreamOrder, start: int, count: int, lane: int) -> None:
    lane %= order.lanes
    whole = order.take(lane, 0, start + count + 1)
    fresh = StreamOrder(order.num_items, order.key, order.lanes, order.block, order.window)
    part = fresh.take(lane, start, count + 1)
    assert part.serials_N.tolist() == whole.serials_N.tolist()[start:]


def test_a_lane_reads_whole_blocks_a_window_at_a_time() -> None:
    order = StreamOrder(1000, (5,), lanes=3, block=10, window=4)
    seen: Counter[int] = Counter()
    for lane in range(3):
        sizes_W = order._sizes(lane, 0)[1]
        items = order.take(lane, 0, int(sizes_W.sum())).indices_N
        for window in np.split(items, np.cumsum(sizes_W)[:-1]):
            blocks = set((window // 10).tolist())
            assert len(blocks) == 4 and len(window) == 40 and list(window) != sorted(window)
            seen.update(blocks)
    assert seen == dict.fromkeys(range(100), 1)
    orders = [order._permutation(epoch).apply(np.arange(100)).tolist() for epoch in range(3)]
    assert len(set(map(tuple, orders))) == 3


def test_too_few_items_for_the_lanes() -> None:
    with pytest.raises(ValueError, match=r'40 items make 2 windows of 2 blocks of 10 items, too few for 3 lanes'):
        StreamOrder(40, (0,), 3, 10, 2)


def test_a_billion_items_cost_little() -> None:
    order = StreamOrder(10**9, (0,), 16, 1024, 8)
    items = order.take(3, 2 * 10**9 // 16, 100)  # two epochs on
    assert items.serials_N.min() > 10**9 and len(set(items.indices_N.tolist())) == 100


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 200), st.integers(1, 130))
def test_shuffled_epochs(num_items: int, start: int, count: int) -> None:
    items = ShuffledOrder(num_items, (3,)).take(0, 0, start + count)
    part = ShuffledOrder(num_items, (3,)).take(0, start, count)
    assert part.indices_N.tolist() == items.indices_N.tolist()[start:]
    for epoch in range((start + count) // num_items):
        assert sorted(items.indices_N[epoch * num_items : (epoch + 1) * num_items]) == list(range(num_items))


# ------------------------------------------------------------------------------------- through the sampler


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 200 rows in groups of 4, so that a block of 8 items is two groups."""
    place = tmp_path_factory.mktemp('orders') / 'set'
    make_set(place, [record(k) for k in range(200)])
    return place


def mixed(folder: Path, **arguments: Any) -> MixedSources:
    return MixedSources(
        {name: ShardedPairs(path=folder, source=name, seed=k, **arguments) for k, name in enumerate(('strict', 'weak'))}
    )


def take(sampler: MixedSourceSampler, count: int, start: int = 0) -> list[list[Draw]]:
    sampler.start = start
    return list(itertools.islice(sampler, count))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2500), st.integers(1, 4), st.sampled_from([1, 3]))
def test_starting_at_k_equals_skipping_k(folder: Path, k: int, workers: int, pool: int) -> None:
    sampler = MixedSourceSampler(mixed(folder), 5, length_pool=pool, seed=k, **STREAM)
    sampler.workers = workers
    assert take(sampler, 4, start=k) == take(sampler, k + 4)[k:]


@pytest.mark.parametrize('pool', [1, 4])
def test_workers_read_each_group_once_an_epoch(folder: Path, pool: int) -> None:
    """Two processes with two workers each: every worker reads with a cache of its own, sized by the sampler."""
    batches, epochs = 60, 60 * 2 * 4 / 200
    read = 0
    for rank in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(samplers, 'rank_and_world_size', lambda rank=rank: (rank, 2))
            for worker in range(2):
                dataset = mixed(folder)
                sampler = MixedSourceSampler(dataset, 4, {'weak': 1}, length_pool=pool, **STREAM)
                sampler.workers = 2
                for draws in take(sampler, batches)[worker::2]:
                    dataset[draws]
                shards = dataset.sources['weak'].shards
                read += shards.groups_read
                assert shards.cached_groups == (4 if pool == 1 else 8)
    windows = 4 * 2 * 4  # what may be begun and not used up when the workers stop
    assert epochs * 50 <= read <= epochs * 50 + windows


def test_shuffled_reads_are_many_more(folder: Path) -> None:
    dataset = mixed(folder)
    for draws in take(MixedSourceSampler(dataset, 4, {'weak': 1}), 50):
        dataset[draws]
    assert dataset.sources['weak'].shards.groups_read > 150


def test_a_loader_serves_each_lane_by_one_worker(folder: Path) -> None:
    """A real loader with two workers; resumed at any iteration, it goes on as if nothing had happened."""

    def batches(start: int, workers: int, count: int = 24) -> list[Any]:
        dataset = mixed(folder, pipeline=[with_process])
        sampler = MixedSourceSampler(dataset, 4, {'strict': 1, 'weak': 3}, length_pool=2, **STREAM)
        sampler.workers, sampler.start = 2, start
        loader = DataLoader(dataset, None, sampler=sampler, num_workers=workers, collate_fn=lambda samples: samples)
        return list(itertools.islice(loader, count))

    def content(batches: list[Any]) -> list[Any]:
        return [[(s['image_id'], s['texts'], s['iteration']) for s in batch] for batch in batches]

    whole = batches(0, 2)
    processes = [batch[0]['process'] for batch in whole]
    assert len(set(processes)) == 2 and processes == processes[:2] * 12  # iteration k belongs to worker k % 2
    assert content(whole) == content(batches(0, 0))
    for start in (1, 7):
        assert content(batches(start, 2, 10)) == content(whole)[start : start + 10]


def with_process(sample: dict[str, Any]) -> dict[str, Any]:
    """A transform that notes who it is."""
    import os

    return {**sample, 'process': os.getpid()}


def on_a_rank(folder: str) -> list[list[list[int]]]:
    sampler = MixedSourceSampler(mixed(Path(folder)), 4, {'weak': 1}, length_pool=2, **STREAM)
    sampler.workers = 2
    return [[[*draw.seed, draw.index] for draw in draws] for draws in take(sampler, 20)]


def test_two_real_processes_see_different_items(folder: Path, tmp_path: Path) -> None:
    """Of an epoch: twenty batches of four on each of two processes are 160 of 200 items."""
    first, second = run_on_processes(on_a_rank, (str(folder),), tmp_path)
    serials = [seed[-2] for batches in (first, second) for batch in batches for seed in batch]
    assert len(set(serials)) == 160
    with pytest.MonkeyPatch.context() as patch:
        for rank, found in enumerate((first, second)):
            patch.setattr(samplers, 'rank_and_world_size', lambda rank=rank: (rank, 2))
            assert on_a_rank(str(folder)) == found


def test_a_pool_makes_batches_alike_on_every_rank(folder: Path) -> None:
    """In one iteration all ranks have short texts, or all have long ones; or they would wait for each other."""
    dataset = mixed(folder)
    longest = []
    for rank in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(samplers, 'rank_and_world_size', lambda rank=rank: (rank, 2))
            sampler = MixedSourceSampler(dataset, 2, {'weak': 1}, length_pool=8, **STREAM)
            longest.append([int(dataset.lengths(1, draws).max()) for draws in take(sampler, 48)])
    assert np.corrcoef(longest)[0, 1] > 0.8
    assert longest[0][:8] != sorted(longest[0][:8])


def test_errors_name_the_source(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"the order of a source is 'shuffle' or 'stream', got \{'weak': 'sorted'\}"):
        MixedSourceSampler(mixed(folder), 4, order={'weak': 'sorted'})
    with pytest.raises(ValueError, match=r"unknown sources \['wit'\]"):
        MixedSourceSampler(mixed(folder), 4, order={'wit': 'stream'})
    sampler = MixedSourceSampler(mixed(folder), 4, {'weak': 1}, order={'weak': 'stream'}, stream_block=64)
    sampler.workers = 2
    with pytest.raises(
        ValueError, match=r'source "weak": 200 items make 1 windows .* too few for 2 lanes .*num_workers'
    ):
        take(sampler, 1)
    with pytest.raises(ValueError, match='workers must be at least 1'):
        sampler.workers = 0
    for name in ('stream_block', 'stream_window', 'temperature'):
        with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
            MixedSourceSampler(mixed(folder), 4, **{name: 0})  # type: ignore[arg-type]


def test_groups_of_sources() -> None:
    """Ratios, batch sizes and orders of a group go to its members, the ratio by size^(1/T)."""
    sizes = {'strict': 40, 'parallel/de-en': 8000, 'parallel/cs-ja': 80}
    dataset = MixedSources({name: range(size) for name, size in sizes.items()})

    def probabilities(**arguments: Any) -> list[float]:
        return MixedSourceSampler(dataset, {'strict': 2, 'parallel': 3}, **arguments).probabilities.tolist()

    ratios = {'strict': 3.0, 'parallel': 1.0}
    assert probabilities(ratios=ratios) == pytest.approx([0.75, 0.25 * 100 / 101, 0.25 / 101])
    assert probabilities(ratios=ratios, temperature=2) == pytest.approx([0.75, 0.25 * 10 / 11, 0.25 / 11])
    assert probabilities(ratios=ratios, temperature=1e9) == pytest.approx([0.75, 0.125, 0.125])
    assert probabilities() == pytest.approx([0.5, 0.5 * 100 / 101, 0.5 / 101])
    named = probabilities(ratios={**ratios, 'parallel/cs-ja': 1.0})
    assert named == pytest.approx([0.6, 0.2, 0.2])
    sampler = MixedSourceSampler(
        dataset, {'strict': 2, 'parallel': 3, 'parallel/cs-ja': 7}, order={'parallel': 'stream'}, stream_block=8
    )
    assert sampler.batch_sizes == [2, 3, 7] and sampler.kinds == ['shuffle', 'stream', 'stream']


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
def test_runs_of_consecutive_items_stay_together(number: int, run: int, key: int) -> None:
    order = ShuffledOrder(number, (key,), run)
    taken = order.take(0, 0, 2 * number).indices_N.tolist()
    for epoch in (taken[:number], taken[number:]):
        assert sorted(epoch) == list(range(number))
        for start in range(0, number, order.run):
            part = epoch[start : start + order.run]
            assert part == list(range(part[0], part[0] + len(part))) and part[0] % order.run == 0
    assert order.take(0, number // 2, number).indices_N.tolist() == taken[number // 2 :][:number]
