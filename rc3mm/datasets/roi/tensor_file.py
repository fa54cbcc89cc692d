"""Files of flat arrays in the safetensors format: written part by part and atomically, read through a memory map.

The format is a header in JSON and raw numbers, so nothing in a file is ever executed, and one image's rows can be
copied out of a file of any size.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rc3mm.utils.atomic import replacing

__all__ = ['DamagedFileError', 'TensorFile', 'write_slices', 'write_tensors']

_NAMES = {'U64': '<u8', 'I64': '<i8', 'I32': '<i4', 'F32': '<f4', 'F16': '<f2', 'U8': '|u1'}  # by falling alignment
_TYPES = {np.dtype(code): name for name, code in _NAMES.items()}
_LONGEST_HEADER = 1 << 20  # bytes; a store's headers have about one thousand
_NO_CHECKSUM = '0' * 32


class DamagedFileError(ValueError):
    """A file of arrays was cut short or altered; the message names it."""


def write_tensors(path: Path, arrays: Mapping[str, Sequence[np.ndarray]], metadata: Mapping[str, str]) -> None:
    """Write arrays, atomically.

    Args:
        path: the file.
        arrays: name -> parts of one type that are joined along the first dimension; at least one part each.
        metadata: strings for the header; `checksum` of the arrays is added.
    """
    shapes = {name: (sum(map(len, parts)), *parts[0].shape[1:]) for name, parts in arrays.items()}
    types = {name: parts[0].dtype for name, parts in arrays.items()}
    digest = hashlib.blake2b(digest_size=16)
    with replacing(path) as temporary:
        with temporary.open('xb') as file:
            file.write(_header(shapes, types, {**metadata, 'checksum': _NO_CHECKSUM})[0])
            for name in _sorted(types):
                for part in arrays[name]:
                    raw = _raw(part)
                    digest.update(raw)
                    file.write(raw)
            file.seek(0)  # the header has the same length with any checksum
            file.write(_header(shapes, types, {**metadata, 'checksum': digest.hexdigest()})[0])


def write_slices(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    types: Mapping[str, str],
    slices: Iterable[tuple[str, int, np.ndarray]],
) -> None:
    """Write arrays that are too large to be held in memory, atomically; they get no checksum.

    Args:
        path: the file.
        shapes: name -> shape.
        types: name -> NumPy's name of the type.
        slices: name of an array, first row, and the rows that belong there, in any order.
    """
    dtypes = {name: np.dtype(kind) for name, kind in types.items()}
    header, places = _header(shapes, dtypes, {})
    with replacing(path) as temporary:
        with temporary.open('xb') as file:
            file.write(header)
            file.truncate(len(header) + max(end for _, end in places.values()))
            for name, row, values in slices:
                width = int(np.prod(shapes[name][1:], dtype=np.int64)) * dtypes[name].itemsize
                file.seek(len(header) + places[name][0] + row * width)
                file.write(_raw(values.astype(dtypes[name], copy=False)))


def _raw(values: np.ndarray) -> memoryview:
    """The bytes of an array, in the order of its rows."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _sorted(types: Mapping[str, np.dtype]) -> list[str]:
    """Names in the order of the file: wide types first, so that every array is aligned."""
    return sorted(types, key=lambda name: (-types[name].itemsize, name))


def _header(
    shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, np.dtype], metadata: Mapping[str, str]
) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """The header's bytes, and name -> first and last byte of each array behind it."""
    entries: dict[str, object] = {'__metadata__': dict(metadata)} if metadata else {}
    places, offset = {}, 0
    for name in _sorted(types):
        size = types[name].itemsize * int(np.prod(shapes[name], dtype=np.int64))
        places[name] = (offset, offset + size)
        offset += size
        entries[name] = {'dtype': _TYPES[types[name]], 'shape': shapes[name], 'data_offsets': places[name]}
    text = json.dumps(entries).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text, places


class TensorFile:
    """The arrays of a file, as read-only views of its memory map.

    Args:
        path: the file.
        advice: what to do if it is damaged, for the message.

    Attributes:
        arrays: name -> view; whoever keeps one keeps the file open.
        starts: name -> the byte of the file at which the array begins.
        metadata: the header's strings.

    Raises:
        DamagedFileError: the header cannot be read, or does not fit the file's size.
        FileNotFoundError: no such file.
    """

    def __init__(self, path: Path, advice: str) -> None:
        self.path = path
        self.advice = advice
        with path.open('rb') as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), 'little')
            if not 0 < length <= min(size - 8, _LONGEST_HEADER):
                raise self.damaged('it has no whole header')
            header = file.read(length)
            # Only what is there may be touched: reading a map beyond the file's end kills the process.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._start = 8 + length
        self.metadata: dict[str, str] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.starts: dict[str, int] = {}
        try:
            entries = json.loads(header)
            self.metadata = entries.pop('__metadata__', {})
            end = max((entry['data_offsets'][1] for entry in entries.values()), default=0)
            if self._start + end != size:
                raise self.damaged(f'it has {size:,} bytes where its header asks for {self._start + end:,}')
            for name, entry in entries.items():
                self.arrays[name] = self._view(entry)
                self.starts[name] = self._start + entry['data_offsets'][0]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DamagedFileError):
                raise
            raise self.damaged(f'its header makes no sense ({error})') from error

    def _view(self, entry: Mapping[str, Any]) -> np.ndarray:
        dtype, shape = np.dtype(_NAMES[entry['dtype']]), tuple(entry['shape'])
        first, last = entry['data_offsets']
        count = int(np.prod(shape, dtype=np.int64))
        if last - first != count * dtype.itemsize or first < 0:
            raise ValueError('an array does not fit its place')
        if not count:
            return np.zeros(shape, dtype)
        return np.frombuffer(self._map, dtype, count, self._start + first).reshape(shape)

    def damaged(self, reason: str) -> DamagedFileError:
        """The error to raise about this file."""
        return DamagedFileError(f'{self.path} is damaged: {reason}. {self.advice}')

    def check_sum(self) -> None:
        """Read the whole file and compare it with its checksum.

        Raises:
            DamagedFileError: it holds other bytes than were written.
        """
        digest = hashlib.blake2b(digest_size=16)
        with memoryview(self._map) as view:
            for start in range(self._start, len(view), 1 << 24):
                digest.update(view[start : start + (1 << 24)])
        if digest.hexdigest() != self.metadata.get('checksum'):
            raise self.damaged('its bytes do not have the checksum that was written with them')
