"""The index of a store: from the hash of an id to shard and row, by binary search in a memory map."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rc3mm.datasets.roi.shard import RoiShard, hash_id, shard_path
from rc3mm.datasets.roi.tensor_file import TensorFile, write_slices

__all__ = ['INDEX', 'RoiIndex', 'build_index']

INDEX = 'index.safetensors'
_BUCKET = 1 << 20  # images whose entries are held in memory at a time, on average
_TYPES = {'hashes': 'uint64', 'shards': 'int32', 'rows': 'int32'}


class RoiIndex:
    """Where the images of a store lie.

    Args:
        folder: of the store.
        command: that made the store, for messages.

    Raises:
        DamagedFileError: the index is cut short, or is no index.
        FileNotFoundError: there is none.
    """

    def __init__(self, folder: Path, command: str = '') -> None:
        rerun = f'`{command}`' if command else 'the command that made the store'
        self.file = TensorFile(folder / INDEX, f'Run {rerun} again: the shards are kept, the index is made anew.')
        arrays = self.file.arrays
        if {name: values.dtype.name for name, values in arrays.items()} != _TYPES:
            raise self.file.damaged('it is no index of a store of regions')
        self._hashes, self._shards, self._rows = (arrays[name] for name in _TYPES)
        if not len(self._hashes) == len(self._shards) == len(self._rows):
            raise self.file.damaged('the lengths of its arrays differ')

    def __len__(self) -> int:
        """Images."""
        return len(self._hashes)

    def candidates(self, image_id: str) -> Iterator[tuple[int, int]]:
        """(shard, row) of each image whose id has the same hash: none or one, save for collisions."""
        wanted = np.uint64(hash_id(image_id))
        place = int(self._hashes.searchsorted(wanted))
        while place < len(self._hashes) and self._hashes[place] == wanted:
            yield int(self._shards[place]), int(self._rows[place])
            place += 1


def build_index(folder: Path, num_shards: int, num_images: int) -> None:
    """Write the index of a store whose shards are all there, in memory that does not grow with their number.

    The hashes of a shard are sorted, so those that begin with the same bits stand together: one such bucket after the
    other is gathered from all shards, sorted and written.

    Args:
        folder: of the store.
        num_shards: they are numbered from 0.
        num_images: of all shards.

    Raises:
        ValueError: two images have the same id.
    """
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_TYPES, (num_images,))
    write_slices(folder / INDEX, shapes, _TYPES, _slices(folder, num_shards, num_images))


def _slices(folder: Path, num_shards: int, num_images: int) -> Iterator[tuple[str, int, np.ndarray]]:
    bits = (num_images // _BUCKET).bit_length()
    done = 0
    for bucket in range(1 << bits):
        first, last = bucket << (64 - bits), ((bucket + 1) << (64 - bits)) - 1
        entries = _gather(folder, num_shards, np.uint64(first), np.uint64(last))
        _refuse_duplicates(folder, entries)
        yield from ((name, done, values) for name, values in entries.items())
        done += len(entries['hashes'])


def _gather(folder: Path, num_shards: int, first: np.uint64, last: np.uint64) -> dict[str, np.ndarray]:
    """Entries of all shards with hashes from `first` to `last`, sorted by hash, then by place."""
    hashes, shards, rows = [], [], []
    for number in range(num_shards):
        arrays = RoiShard(shard_path(folder, number)).arrays
        here = slice(int(arrays['hashes'].searchsorted(first)), int(arrays['hashes'].searchsorted(last, side='right')))
        hashes.append(arrays['hashes'][here].copy())  # a copy, so that the shard can be closed
        rows.append(arrays['hash_rows'][here].copy())
        shards.append(np.full(len(rows[-1]), number, np.int32))
    joined = dict(zip(_TYPES, map(np.concatenate, (hashes, shards, rows)), strict=True))
    order = np.argsort(joined['hashes'], kind='stable')
    return {name: values[order] for name, values in joined.items()}


def _refuse_duplicates(folder: Path, entries: dict[str, np.ndarray]) -> None:
    """Compare the ids of images with equal hashes."""
    hashes = entries['hashes']
    for stop in (np.flatnonzero(hashes[1:] == hashes[:-1]) + 1).tolist():
        start = int(hashes.searchsorted(hashes[stop]))
        places = [(int(entries['shards'][k]), int(entries['rows'][k])) for k in range(start, stop + 1)]
        ids = [RoiShard(shard_path(folder, shard)).id_bytes(row) for shard, row in places]
        if ids[-1] in ids[:-1]:
            (shard, row), (other, other_row) = places[ids.index(ids[-1])], places[-1]
            raise ValueError(
                f'{folder}: the id {ids[-1].decode()!r} comes twice in the inputs: number {row} of '
                f'{shard_path(folder, shard).name} and number {other_row} of {shard_path(folder, other).name}. '
                'Give the images different ids, remove the folder and begin anew'
            )
