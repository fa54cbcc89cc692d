"""The lines of large text files that nobody has read through: streamed, in bounded memory, faults and all."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ['MAX_LINE_BYTES', 'Place', 'RowError', 'TextLines', 'decode_line']

MAX_LINE_BYTES = 16 << 20
_CHUNK = 1 << 20  # bytes of text held at a time
_PACKED_CHUNK = 1 << 18  # bytes of a gzip file read at a time
_GZIP = b'\x1f\x8b'
_BOM = b'\xef\xbb\xbf'

Place = tuple[int, int]


class RowError(ValueError):
    """A row of a corpus cannot be used.

    Args:
        reason: the kind of fault, by which faults are counted.
        detail: what is wrong with this row.
    """

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(f'{reason}: {detail}' if detail else reason)
        self.reason, self.detail = reason, detail


class TextLines:
    """The lines of a plain or gzip file (told apart by their first bytes), from any place on, as bytes.

    In the place of a line that cannot be had stands a `RowError`, so that files may be read side by side: a line
    longer than `max_bytes` (it is read past, never held), the fault of a gzip file that is cut short or broken
    (the lines in front of it come as usual), or an empty file. What is wrong with a line's content is for others
    to say.

    Args:
        path: the file.
        max_bytes: length of a line, in bytes, that is put up with.
        start: where to begin, as `place` told it.

    Attributes:
        place: (lines, decompressed bytes) consumed so far; another reader may take up from there.
        position: bytes of the file, as it is stored, that were read; for progress.

    Raises:
        FileNotFoundError: no such file.
    """

    def __init__(self, path: str | Path, *, max_bytes: int = MAX_LINE_BYTES, start: Place = (0, 0)) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f'there is no file {self.path}')
        self.size = self.path.stat().st_size
        self.max_bytes = max_bytes
        self.place: Place = (start[0], start[1])
        self.position = 0

    @property
    def where(self) -> str:
        """How reports name the line that came last."""
        return f'{self.path.name}:{self.place[0]}'

    def __iter__(self) -> Iterator[bytes | RowError]:
        """Yield the lines without their ends; `place` is then behind the line."""
        if self.size == 0:
            yield self._fault('empty file', 'it has no bytes')
            return
        parts: list[bytes] = []  # of the line that the chunks so far have left open
        length = 0
        with self.path.open('rb') as file:
            try:
                for chunk in self._chunks(file):
                    first, *others = chunk.split(b'\n')
                    length += len(first)
                    if length <= self.max_bytes or not parts:
                        parts.append(first)
                    if not others:
                        continue
                    yield self._line(parts, length)
                    for line in others[:-1]:
                        yield self._line([line], len(line))
                    parts, length = [others[-1]], len(others[-1])
                if length:
                    yield self._line(parts, length)
            except (EOFError, zlib.error) as error:
                yield self._fault('broken gzip file', f'{error}; what comes behind is lost: fetch the file again')
        self.position = self.size

    def count(self) -> int:
        """Number of lines in the file, the last one with or without an end.

        Raises:
            ValueError: a gzip file is cut short or broken.
        """
        lines, last = 0, b'\n'
        try:
            with self.path.open('rb') as file:
                for chunk in self._chunks(file):
                    lines, last = lines + chunk.count(b'\n'), chunk[-1:]
        except (EOFError, zlib.error) as error:
            raise ValueError(f'{self.path} is a broken gzip file ({error}); fetch it again') from error
        return lines + (last != b'\n')

    def _fault(self, reason: str, detail: str) -> RowError:
        self.place = self.place[0] + 1, self.place[1]
        return RowError(reason, detail)

    def _line(self, parts: list[bytes], length: int) -> bytes | RowError:
        number, offset = self.place
        self.place = number + 1, offset + length + 1
        if length > self.max_bytes:
            detail = f'{length:,} bytes, more than {self.max_bytes:,}; it begins with {parts[0][:60]!r}'
            return RowError('line too long', detail)
        line = parts[0] if len(parts) == 1 else b''.join(parts)
        if number == 0 and line.startswith(_BOM):
            line = line[len(_BOM) :]
        return line[:-1] if line.endswith(b'\r') else line

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """The decompressed bytes from the starting place on."""
        skip = self.place[1]
        if file.read(2) != _GZIP:
            file.seek(skip)
            while chunk := file.read(_CHUNK):
                self.position = file.tell()
                yield chunk
            return
        file.seek(0)
        for chunk in self._unpacked(file):
            if skip < len(chunk):  # a gzip stream is read from its beginning to find a place in it
                yield chunk[skip:]
            skip = max(skip - len(chunk), 0)

    def _unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        decoder = zlib.decompressobj(31)  # 31: gzip's header and checksum
        packed = b''
        while True:
            packed = packed or file.read(_PACKED_CHUNK)
            self.position = file.tell()
            if chunk := decoder.decompress(packed, _CHUNK):
                yield chunk
            elif not packed:
                raise EOFError('the file ends in the middle')
            packed = decoder.unconsumed_tail
            if decoder.eof:  # gzip files may be put together from several
                packed = decoder.unused_data.lstrip(b'\0') or file.read(_PACKED_CHUNK).lstrip(b'\0')
                if not packed:
                    return
                decoder = zlib.decompressobj(31)


def decode_line(line: bytes | RowError) -> str:
    """The text of a line.

    Raises:
        RowError: the line could not be had, is not UTF-8, or has a NUL byte.
    """
    if isinstance(line, RowError):
        raise line
    if b'\0' in line:
        raise RowError('NUL byte', f'at byte {line.index(0)}')
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        around = line[max(error.start - 20, 0) : error.end]
        raise RowError('bad UTF-8', f'{error.reason} at byte {error.start}, behind {around!r}') from error
