"""Random access to the lines of large text files, in constant memory.

The byte offsets of a file's lines are written once to `<file>.index.npy` beside it and memory-mapped from
then on. The index is made anew when the file's size or modification time differ from those it was made
from.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from mmengine.logging import print_log

__all__ = ['LineIndex']

_VERSION = 1
_RECORD = np.dtype([('offset', '<i8'), ('length', '<u4'), ('number', '<u4')])
_HEAD = 2  # records in front of the lines' own: (file size, version, 0) and (time of the last change, 0, 0)
_CHUNK = 1 << 16  # records that are held in memory while the index is made
_PROGRESS_SECONDS = 10.0


class LineIndex:
    """The lines of a text file by number, blank ones left out.

    Any number of processes may read, and even make, the same index: it is written to a temporary file and
    renamed. It may be handed to worker processes by fork or by pickling. Where the file's folder cannot be
    written to, the index goes to `rc3mm/line_index` in the user's cache folder, and where that fails too, it
    stays in memory (16 bytes a line).

    Args:
        path: the text file: UTF-8 with newlines, not compressed.

    Raises:
        FileNotFoundError: no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f'there is no file {self.path}')
        home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
        name = f'{self.path.name}.index.npy'
        digest = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:16]
        self._places = [self.path.parent / name, home / 'rc3mm' / 'line_index' / f'{digest}-{name}']
        self._stamp = self._file_stamp()
        self._descriptor: int | None = None
        self._records: np.ndarray = self._find() if self._is_stored() else self._make()

    def __len__(self) -> int:
        """Number of lines."""
        return len(self._records) - _HEAD

    def line(self, index: int) -> bytes:
        """A line without its end."""
        record = self._record(index)
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        # pread takes no notice of the position that forked processes share, so they may share the descriptor
        parts, offset, missing = [], int(record['offset']), int(record['length'])
        while missing:
            part = os.pread(self._descriptor, missing, offset)
            if not part:
                raise ValueError(f'{self.path} became shorter while it was read; start again')
            parts.append(part)
            offset, missing = offset + len(part), missing - len(part)
        return b''.join(parts)

    def number(self, index: int) -> int:
        """The number of a line within the file, as editors count: from 1, blank and other lines included."""
        return int(self._record(index)['number'])

    def _record(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f'line {index} is outside the {len(self)} lines of {self.path}')
        return self._records[_HEAD + index]

    def __getstate__(self) -> dict[str, Any]:
        mapped = isinstance(self._records, np.memmap)
        return {**self.__dict__, '_descriptor': None, '_records': None if mapped else self._records}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._records is None:
            self._stamp = self._file_stamp()
            self._records = self._find()

    def __del__(self) -> None:
        descriptor = getattr(self, '_descriptor', None)  # none if __init__ failed
        if descriptor is not None:
            os.close(descriptor)

    # -- the stored index

    def _file_stamp(self) -> np.ndarray:
        status = self.path.stat()
        return np.array([(status.st_size, _VERSION, 0), (status.st_mtime_ns, 0, 0)], dtype=_RECORD)

    def _load(self, place: Path) -> np.ndarray | None:
        """A stored index, or None if there is none that fits the file."""
        try:
            records = np.load(place, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        fits = records.dtype == _RECORD and records.ndim == 1 and len(records) >= _HEAD
        return records if fits and (records[:_HEAD] == self._stamp).all() else None

    def _is_stored(self) -> bool:
        return any(self._load(place) is not None for place in self._places)

    def _find(self) -> np.ndarray:
        for place in self._places:
            if (records := self._load(place)) is not None:
                return records
        raise FileNotFoundError(f'the index of {self.path} is gone or the file has changed; looked for {self._places}')

    # -- making it

    def _make(self) -> np.ndarray:
        for place in self._places:
            try:
                self._write(place)
            except OSError as error:
                print_log(f'no index at {place}: {error}', logger='current', level=logging.WARNING)
                continue
            if (records := self._load(place)) is not None:
                return records
        message = f'the index of {self.path} is kept in memory and made anew in every process'
        print_log(message, logger='current', level=logging.WARNING)
        return np.concatenate([self._stamp, *self._scan()])

    def _write(self, place: Path) -> None:
        """Stream the index to a temporary file in the same folder, then rename it."""
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f'.{place.name}.', suffix='.tmp')
        try:
            with os.fdopen(handle, 'wb') as file:
                start = _write_header(file, 0)
                count = 0
                for chunk in chain([self._stamp], self._scan()):
                    file.write(chunk.tobytes())
                    count += len(chunk)
                file.seek(0)
                if _write_header(file, count) != start:  # NumPy pads headers so that the length may grow
                    raise OSError(f'the header of an index of {count} lines does not fit')
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _scan(self) -> Iterator[np.ndarray]:
        """Records of the lines that are not blank, a chunk at a time, with progress in the log."""
        size = max(self.path.stat().st_size, 1)
        records: list[tuple[int, int, int]] = []
        offset, told = 0, time.monotonic()
        with self.path.open('rb') as file:
            for number, line in enumerate(file, start=1):
                content = line.rstrip(b'\r\n')
                if content.strip():
                    records.append((offset, len(content), number))
                offset += len(line)
                if len(records) == _CHUNK:
                    yield np.array(records, dtype=_RECORD)
                    records = []
                if time.monotonic() - told > _PROGRESS_SECONDS:
                    told = time.monotonic()
                    print_log(f'indexing {self.path}: {100 * offset / size:.0f} %', logger='current')
        yield np.array(records, dtype=_RECORD)


def _write_header(file: BinaryIO, count: int) -> int:
    """Write the header of an .npy file of `count` records; the position behind it is returned."""
    header = {'descr': np.lib.format.dtype_to_descr(_RECORD), 'fortran_order': False, 'shape': (count,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()
