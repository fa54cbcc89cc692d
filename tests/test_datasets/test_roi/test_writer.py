"""Shards are there whole or not at all, and a store never mixes what was made differently."""

import itertools
import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets.roi import RoiStore, begin_store, finish_store, write_shard
from rc3mm.datasets.roi.shard import RoiShard, shard_path
from rc3mm.structures.regions import Regions, RegionsError
from rc3mm.utils.atomic import is_temporary
from tests.test_datasets.test_roi.making import CLASSES, SIZE, WIDTH, make_regions, make_store, plan

NUM_SHARDS = 8


def big_shard(number: int) -> list[tuple[str, Regions]]:
    """100 images of 40 KB."""
    boxes = np.array([[0, 0, 1, 1]] * 20, np.float32)
    return [
        (f'{number}-{k}', Regions(np.full((20, 1000), number, np.float32), boxes, (2, 2), None, None))
        for k in range(100)
    ]


def write_for_ever(folder: Path) -> None:
    shards = [big_shard(number) for number in range(NUM_SHARDS)]
    for number in itertools.cycle(range(NUM_SHARDS)):
        write_shard(folder, number, shards[number])


def test_killed_at_any_moment(tmp_path: Path) -> None:
    rng, leftovers, finished = random.Random(0), 0, set[int]()
    begun = plan(NUM_SHARDS, feature_dim=1000, num_classes=None)
    for attempt in range(100):
        if attempt >= 10 and finished and leftovers:
            break
        finished = begin_store(tmp_path, begun)
        for number in finished:
            shard = RoiShard(shard_path(tmp_path, number))
            shard.file.check_sum()
            assert list(shard.ids()) == [name for name, _ in big_shard(number)]
        writer = multiprocessing.get_context('fork').Process(target=write_for_ever, args=(tmp_path,))
        writer.start()
        # on a busy machine it takes longer until a writer gets anything done: give it more time with every attempt
        time.sleep(rng.uniform(0.05, 0.3) * (1 + attempt / 5))
        writer.kill()  # SIGKILL
        writer.join()
        leftovers += any(is_temporary(path.name) for path in tmp_path.iterdir())
    assert finished and leftovers
    for number in set(range(NUM_SHARDS)) - begin_store(tmp_path, begun):
        write_shard(tmp_path, number, big_shard(number))
    finish_store(tmp_path)
    assert RoiStore(tmp_path).verify() == []
    assert not any(is_temporary(path.name) for path in tmp_path.iterdir())


def test_shards_of_unknown_origin(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [('a', make_regions(0))])
    with pytest.raises(ValueError, match=r'holds 1 shards but no plan\.json'):
        begin_store(tmp_path, plan(1))


def test_error_in_the_inputs_leaves_nothing(tmp_path: Path) -> None:
    def items() -> Iterator[tuple[str, Regions]]:
        yield 'a', make_regions(0)
        raise RuntimeError('the detector stopped')

    with pytest.raises(RuntimeError):
        write_shard(tmp_path, 0, items())
    assert not list(tmp_path.iterdir())


def test_leftovers_of_the_same_shard_are_removed(tmp_path: Path) -> None:
    (tmp_path / '.shard-00000.safetensors.12ab.tmp').touch()
    other = tmp_path / '.shard-00001.safetensors.12ab.tmp'  # perhaps of another process, at work
    other.touch()
    path = write_shard(tmp_path, 0, [('a', make_regions(0))])
    assert set(tmp_path.iterdir()) == {path, other}


BOXES = np.array([[0, 0, 5, 5]], np.float32)
WRONG: dict[str, Regions] = {
    'holds numbers that are not finite': Regions(np.full((1, WIDTH), np.nan, np.float32), BOXES, SIZE),
    'has no area': Regions(np.zeros((1, WIDTH), np.float32), BOXES[:, [2, 1, 0, 3]], SIZE),
    'image_size must be two positive numbers': Regions(np.zeros((1, WIDTH), np.float32), BOXES, (0, 5)),
    r'features have rows of \(5,\), images before it of \(6,\)': Regions(np.zeros((1, 5), np.float32), BOXES, SIZE),
    'has scores, but images before it have none': Regions(
        np.zeros((1, WIDTH), np.float32), BOXES, SIZE, np.zeros(1, np.float32)
    ),
}


@pytest.mark.parametrize('message', WRONG)
def test_wrong_regions(tmp_path: Path, message: str) -> None:
    with pytest.raises(RegionsError, match=rf"image 'b' .number 1 of shard-00004\.safetensors.*{message}"):
        write_shard(tmp_path, 4, [('a', make_regions(0, probs=False)), ('b', WRONG[message])])


def test_missing_part(tmp_path: Path) -> None:
    with pytest.raises(RegionsError, match=r"image 'b' .* has no scores, but images before it have them"):
        write_shard(tmp_path, 0, [('a', make_regions(0)), ('b', make_regions(0, probs=False))])


def test_same_id_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"image 'a' \(number 2 .*comes twice: it is number 0 as well"):
        write_shard(tmp_path, 0, [(name, make_regions(0)) for name in 'aba'])
    with pytest.raises(ValueError, match=r"'b' comes twice .*: number 1 of shard-00000.* number 0 of shard-00001"):
        make_store(tmp_path / 's', [{'a': make_regions(0), 'b': make_regions(0)}, {'b': make_regions(0)}])


def test_id_of_half_characters(tmp_path: Path) -> None:
    with pytest.raises(RegionsError, match=r'number 0 of .*the id is no valid text'):
        write_shard(tmp_path, 0, [('\udcff.jpg', make_regions(0))])


OTHERS: dict[str, dict[str, Any]] = {
    "detector 'tiny', now 'large'": dict(detector='large'),
    "inputs 'f1', now 'f2'": dict(inputs='f2'),
    'shard_size 2, now 3': dict(shard_size=3),
    "dtype 'float16', now 'float32'": dict(dtype='float32'),
    "protocol .*'max_regions': 3.*now .*'max_regions': 9": dict(protocol=dict(max_regions=9)),
}


@pytest.mark.parametrize('message', OTHERS)
def test_restart_with_other_settings(tmp_path: Path, message: str) -> None:
    begin_store(tmp_path, plan(2))
    begin_store(tmp_path, plan(2, command='the same in other words'))
    with pytest.raises(ValueError, match=f'was begun with other settings: {message}.*settings of: python make.py'):
        begin_store(tmp_path, plan(2, **OTHERS[message]))


@pytest.mark.parametrize('changes', [dict(feature_dim=7), dict(num_classes=CLASSES + 1), dict(dtype='float32')])
def test_shards_must_fit_the_plan(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'shard-00000\.safetensors: .* but the plan says'):
        make_store(tmp_path, [{'a': make_regions(0)}], **changes)


def test_unknown_type() -> None:
    with pytest.raises(ValueError, match="float16 or float32, got 'bfloat16'"):
        plan(1, dtype='bfloat16')
