"""Where the image of an address lies: a table on the disk, so that its memory does not grow with the images."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rc3mm.datasets.corpora.lines import RowError, TextLines, decode_line
from rc3mm.datasets.corpora.tar_members import read_downloads
from rc3mm.datasets.corpora.urls import url_digest
from rc3mm.datasets.shards.drops import DropReport

__all__ = ['ImageIndex', 'ImagePlace']

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (number INTEGER PRIMARY KEY, name TEXT UNIQUE, stamp TEXT, report TEXT);
CREATE TABLE IF NOT EXISTS images (digest BLOB, file INTEGER, path TEXT, offset INTEGER, size INTEGER);
"""
_INDEX = 'CREATE INDEX IF NOT EXISTS by_digest ON images (digest)'
_FIND = (
    'SELECT name, path, offset, size FROM images JOIN files ON file = number WHERE digest = ? '
    'ORDER BY images.rowid LIMIT 1'
)

_Found = tuple[str, str, int | None, int | None]  # address, path or '', first byte, size


class ImagePlace(NamedTuple):
    """Where an image lies: a file of its own, or a part of an archive.

    Attributes:
        path: the file, or the archive.
        offset: first byte of the part; None for a file of its own.
        size: bytes of the part.
    """

    path: str
    offset: int | None = None
    size: int = 0

    def read(self) -> bytes:
        """The encoded image.

        Raises:
            OSError: the file cannot be read, or ends too early.
        """
        with open(self.path, 'rb') as file:
            if self.offset is None:
                return file.read()
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) != self.size:
            raise OSError(f'{self.path} ends within the image at byte {self.offset}')
        return data


class ImageIndex:
    """Address of an image -> where it lies. Of several images with the same address the first one counts.

    Filling it may be interrupted at any time: files that were taken in whole are not read again. What an earlier
    filling took from files that are not named any more is forgotten.

    Args:
        path: the SQLite file; made if need be.
        max_fault_share: share of a file's images that may be unusable.
    """

    def __init__(self, path: Path, max_fault_share: float = 0.05) -> None:
        self.max_fault_share = max_fault_share
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path)
        self._base.executescript(_SCHEMA)

    def __len__(self) -> int:
        """Number of images."""
        return int(self._base.execute('SELECT count(*) FROM images').fetchone()[0])

    def __enter__(self) -> 'ImageIndex':
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    @property
    def report(self) -> DropReport:
        """What of the images could be used, over all files."""
        whole = DropReport(self.max_fault_share)
        reports = self._base.execute('SELECT report FROM files ORDER BY number')
        whole.merge(DropReport.from_json(json.loads(report)) for (report,) in reports)
        return whole

    def add_downloads(self, folder: Path, progress: Callable[[int, int], None] = lambda *_: None) -> None:
        """Take in what img2dataset downloaded: `00000.tar` and so on, with the addresses beside or inside.

        Args:
            folder: the folder.
            progress: is told the archives done and their number.

        Raises:
            FileNotFoundError: there is no archive in the folder.
        """
        archives = sorted(folder.glob('*.tar'))
        if not archives:
            raise FileNotFoundError(f'there is no .tar file in {folder}; name the output folder of img2dataset')
        self._forget_all_but(archives)
        for count, archive in enumerate(archives):
            progress(count, len(archives))
            self._add(archive, _read_archive(archive))
        progress(len(archives), len(archives))
        self._base.execute(_INDEX)

    def add_table(self, table: Path, root: Path | None = None) -> None:
        """Take in a table of address<TAB>path lines.

        Args:
            table: the table, gzip or not.
            root: folder that relative paths start from; None: the table's own.
        """
        self._forget_all_but([table])
        self._add(table, _read_table(table, root or table.parent))
        self._base.execute(_INDEX)

    def find(self, url: str) -> ImagePlace | None:
        """Where the image of an address lies."""
        row = self._base.execute(_FIND, (url_digest(url),)).fetchone()
        if row is None:
            return None
        name, path, offset, size = row
        return ImagePlace(path or name, offset, size or 0)

    def _forget_all_but(self, sources: Sequence[Path]) -> None:
        named = {str(source.resolve()) for source in sources}
        known = self._base.execute('SELECT number, name FROM files').fetchall()
        numbers = [(number,) for number, name in known if name not in named]
        with self._base:
            self._base.executemany('DELETE FROM images WHERE file = ?', numbers)
            self._base.executemany('DELETE FROM files WHERE number = ?', numbers)

    def _add(self, source: Path, find: Callable[[DropReport], Iterator[_Found]]) -> None:
        name, status = str(source.resolve()), source.stat()
        stamp = f'{status.st_size} {status.st_mtime_ns}'
        known = self._base.execute('SELECT stamp FROM files WHERE name = ?', (name,)).fetchone()
        if known is not None:
            if known[0] != stamp:
                raise ValueError(f'{source} has changed since it was indexed; remove the working folder')
            return
        report = DropReport(self.max_fault_share)
        with self._base:  # all of a file or nothing
            number = self._base.execute('INSERT INTO files (name, stamp) VALUES (?, ?)', (name, stamp)).lastrowid
            rows = ((url_digest(url), number, path, offset, size) for url, path, offset, size in find(report))
            self._base.executemany('INSERT INTO images VALUES (?, ?, ?, ?, ?)', rows)
            text = json.dumps(report.to_json())
            self._base.execute('UPDATE files SET report = ? WHERE number = ?', (text, number))


def _read_archive(archive: Path) -> Callable[[DropReport], Iterator[_Found]]:
    def find(report: DropReport) -> Iterator[_Found]:
        return ((url, '', offset, size) for url, offset, size in read_downloads(archive, report))

    return find


def _read_table(table: Path, root: Path) -> Callable[[DropReport], Iterator[_Found]]:
    def find(report: DropReport) -> Iterator[_Found]:
        lines = TextLines(table)
        for line in lines:
            report.read()
            try:
                columns = decode_line(line).split('\t')
                if len(columns) != 2 or not all(columns):
                    raise RowError('not an address and a path', repr(columns)[:80])
            except RowError as error:
                report.fault(error.reason, lines.where, error.detail)
                continue
            report.kept()
            yield columns[0], str((root / columns[1]).absolute()), None, None

    return find
