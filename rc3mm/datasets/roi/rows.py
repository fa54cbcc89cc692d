"""Single images out of any number of shards, copied out of memory maps."""

import mmap
import os
import struct
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rc3mm.datasets.roi.shard import OPTIONAL, RoiShard, advice, missing_shard, shard_path
from rc3mm.datasets.roi.tensor_file import DamagedFileError
from rc3mm.structures.regions import Regions

__all__ = ['ShardRows']

_OPEN_FILES = 128  # a map holds a file descriptor, and a process may have about a thousand
_SHORTER = 'it is shorter than its header says'

# By name, what the arrays of shards with the same parts have in common: their number among the arrays, type, shape and
# bytes of a row.
_Kinds = dict[str, tuple[int, np.dtype, tuple[int, ...], int]]


class _Places(NamedTuple):
    """What is kept of a shard once it was seen, less than a kilobyte."""

    stamp: tuple[int, int]
    num_images: int
    num_regions: int
    id_length: int
    kinds: _Kinds
    starts: tuple[int, ...]


class ShardRows:
    """Reads images of a store one by one.

    A shard's header is read once, at the first look into it; after that an image is a handful of copies from known
    places, and a file that was closed in the meantime only has to be opened and mapped. So it matters little over how
    many shards the images are spread, and what is kept of a shard is less than a kilobyte.

    Args:
        folder: of the store.
        command: that made the store, for messages.
    """

    def __init__(self, folder: Path, command: str = '') -> None:
        self._folder = folder
        self._command = command
        self._places: dict[int, _Places] = {}
        self._files: OrderedDict[int, _File] = OrderedDict()
        self._kinds: list[_Kinds] = []  # so that shards share what is equal

    def id_bytes(self, number: int, row: int) -> bytes:
        """The id of an image in UTF-8.

        Args:
            number: of the shard.
            row: of the image in it.

        Raises:
            DamagedFileError: the shard is damaged.
            FileNotFoundError: there is no such shard.
        """
        file, places = self._look(number)
        start, stop = self._pair(number, file, places, 'id_offsets', row, places.id_length)
        return self._bytes(number, file, places.starts[places.kinds['ids'][0]] + start, stop - start)

    def regions(self, number: int, row: int) -> Regions:
        """The regions of an image; features and probabilities in the type of the store.

        Args:
            number: of the shard.
            row: of the image in it.

        Raises:
            DamagedFileError: the shard is damaged.
            FileNotFoundError: there is no such shard.
        """
        file, places = self._look(number)
        start, stop = self._pair(number, file, places, 'offsets', row, places.num_regions)
        size = self._bytes(number, file, places.starts[places.kinds['sizes'][0]] + 8 * row, 8)
        parts = ('features', 'boxes', *OPTIONAL)
        arrays = {n: self._array(number, file, places, n, start, stop) for n in parts if n in places.kinds}
        return Regions(image_size=struct.unpack('<ii', size), **arrays)

    def _look(self, number: int) -> tuple['_File', _Places]:
        file = self._files.pop(number, None)
        if file is None:
            path = shard_path(self._folder, number)
            try:
                file = _File(path)
            except FileNotFoundError:
                raise missing_shard(path, self._command) from None
            places = self._places.get(number)
            if places is None or places.stamp != file.stamp():  # a shard that was made anew has other places
                self._places[number] = self._find_places(path, file.stamp())
        self._files[number] = file  # the last one used stands last
        if len(self._files) > _OPEN_FILES:
            self._files.popitem(last=False)
        return file, self._places[number]

    def _find_places(self, path: Path, stamp: tuple[int, int]) -> _Places:
        shard = RoiShard(path, self._command)
        kinds: _Kinds = {}
        for position, (name, values) in enumerate(shard.arrays.items()):
            row = values.shape[1:]
            kinds[name] = (position, values.dtype, row, values.dtype.itemsize * int(np.prod(row, dtype=np.int64)))
        if kinds not in self._kinds:
            self._kinds.append(kinds)
        kinds = self._kinds[self._kinds.index(kinds)]
        starts = tuple(shard.file.starts[name] for name in shard.arrays)
        return _Places(stamp, len(shard), shard.num_regions, len(shard.arrays['ids']), kinds, starts)

    def _pair(self, number: int, file: '_File', places: _Places, name: str, row: int, end: int) -> tuple[int, int]:
        """Where the image's part of a flat array begins and ends; the array ends at `end`."""
        if not 0 <= row < places.num_images:
            raise self._damaged(number, f'the index looks for image {row} among {places.num_images}')
        place = places.starts[places.kinds[name][0]] + 8 * row
        start, stop = struct.unpack('<qq', self._bytes(number, file, place, 16))
        if not 0 <= start <= stop <= end:
            raise self._damaged(number, f'its {name} make no sense')
        return start, stop

    def _bytes(self, number: int, file: '_File', place: int, length: int) -> bytes:
        content = file.content[place : place + length]
        if len(content) != length:
            raise self._damaged(number, _SHORTER)
        return content

    def _array(self, number: int, file: '_File', places: _Places, name: str, start: int, stop: int) -> np.ndarray:
        position, dtype, shape, width = places.kinds[name]
        place, count = places.starts[position] + start * width, (stop - start) * width // dtype.itemsize
        if place + (stop - start) * width > len(file.content):
            raise self._damaged(number, _SHORTER)
        return np.frombuffer(file.content, dtype, count, place).reshape(stop - start, *shape).copy()

    def _damaged(self, number: int, reason: str) -> DamagedFileError:
        path = shard_path(self._folder, number)
        return DamagedFileError(f'{path} is damaged: {reason}. {advice(self._command)}')


class _File:
    """A mapped file, unmapped when nobody holds it any more; forked processes may share it."""

    __slots__ = ('_stamp', 'content')

    def __init__(self, path: Path) -> None:
        with path.open('rb') as file:
            status = os.fstat(file.fileno())
            self._stamp = (status.st_size, status.st_mtime_ns)
            self.content: mmap.mmap | bytes = (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if status.st_size else b''
            )

    def stamp(self) -> tuple[int, int]:
        """Size and time of the last change."""
        return self._stamp
