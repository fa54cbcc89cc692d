"""A worker holds as much memory in later epochs as after the first, and none that the parent has already."""

import gc
import sys
from collections import deque
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from rc3mm.datasets import MixedSources, MixedSourceSampler, vl_collate
from rc3mm.datasets.shards import ImageTextRecord
from rc3mm.utils.frozen import frozen_objects
from tests.test_datasets.test_shards.making import make_set

ROWS, LISTED, BATCH, WORKERS = 10_000, 300_000, 200, 2


class Listed(Dataset):
    """What the rule is there for: rows as Python objects, whose counters of references are written to when read."""

    def __init__(self) -> None:
        self.rows = [(f'a text {number}', f'ein Text {number}') for number in range(LISTED)]

    def __len__(self) -> int:
        return LISTED

    def __getitem__(self, index: int) -> int:
        return len(self.rows[index][0])


def private_megabytes(process: int) -> float:
    lines = Path(f'/proc/{process}/smaps_rollup').read_text(encoding='ascii').splitlines()[1:]
    return sum(int(line.split()[1]) for line in lines if line.startswith(('Private_Clean', 'Private_Dirty'))) / 1024


def growth(loader: DataLoader, early: int, late: int) -> float:
    """Megabytes by which the private memory of a worker grows between two batches, at most."""
    with frozen_objects():
        iterator: Any = iter(loader)
    sizes = []
    for count in (early, late - early):
        deque(islice(iterator, count), maxlen=0)
        sizes.append([private_megabytes(worker.pid) for worker in iterator._workers])
    return max(after - before for before, after in zip(*sizes, strict=True))


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_memory_of_workers_does_not_grow(tmp_path: Path) -> None:
    rows = (
        ImageTextRecord(f'i{number}', (('en', f'a text {number}'), ('de', f'ein Text {number}')))
        for number in range(ROWS)
    )
    make_set(tmp_path / 'set', list(rows), kind='parallel', rows_per_shard=8192, rows_per_group=64)
    steps = [dict(type='Tokenize', tokenizer='emoji'), dict(type='PackVLInputs')]
    dataset = MixedSources(dict(parallel=dict(type='ShardedPairs', path=str(tmp_path / 'set'), pipeline=steps)))
    sampler: Any = MixedSourceSampler(dataset, BATCH, order=dict(parallel='stream'), stream_window=2, length_pool=4)
    sampler.workers = WORKERS
    collate = partial(vl_collate, pad_id=1)
    ours = DataLoader(dataset, None, sampler=sampler, num_workers=WORKERS, collate_fn=collate)
    listed = DataLoader(Listed(), BATCH, shuffle=True, num_workers=WORKERS)
    epoch = ROWS // BATCH
    assert growth(ours, epoch, 3 * epoch) < 3
    assert growth(listed, 2 * WORKERS, 80) > 6


class Collecting(Dataset):
    """A dataset during whose epoch Python collects its garbage."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> int:
        return gc.collect() if index > 20 else 0


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_collecting_garbage_copies_nothing_of_the_parent() -> None:
    assert growth(DataLoader(Collecting(), None, num_workers=1), 5, 100) < 3
