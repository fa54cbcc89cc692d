"""CC3M (Sharma et al. 2018) with captions in several languages, from one table a language.

The tables are those of the original (caption<TAB>address) and its machine translations, either line by line the same
images (as UC2 gives them) or in any order with the address in every line.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from rc3mm.datasets.corpora.converted import Converted, FindImage, checked, pick_texts
from rc3mm.datasets.corpora.lines import MAX_LINE_BYTES, Place, RowError, TextLines, decode_line
from rc3mm.datasets.corpora.urls import url_digest
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.record import ImageTextRecord

__all__ = ['AlignedCaptions', 'KeyedCaptions', 'check_line_counts']

TOO_FEW = 'captions in fewer than two languages'
UNASKED = '(a row of another table) address that the first table has not'
AGAIN = '(a row of another table) same address again'
_TABLES = """
CREATE TABLE IF NOT EXISTS captions (digest BLOB, language TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS tables (language TEXT, stamp TEXT, report TEXT);
"""
_INDEX = 'CREATE INDEX IF NOT EXISTS by_digest ON captions (digest, language)'
_FIND = 'SELECT language, text FROM captions WHERE digest = ? ORDER BY language, rowid'
# Rows of a language whose address is not asked for, and those that repeat one; both tables are read in the order of
# their indexes, so the memory does not grow.
_UNUSED = """
SELECT sum(n * (1 - known)), sum((n - 1) * known) FROM (
    SELECT count(*) AS n, EXISTS (SELECT 1 FROM asked WHERE asked.digest = captions.digest) AS known
    FROM captions WHERE language = ? GROUP BY digest
)
"""


def check_line_counts(tables: Mapping[str, Path]) -> int:
    """The number of lines of tables that must have equally many.

    Args:
        tables: language -> table.

    Raises:
        ValueError: they have not, or one is broken.
    """
    counts = {language: TextLines(path).count() for language, path in tables.items()}
    if len(set(counts.values())) > 1:
        listed = ', '.join(f'{tables[language]} {count:,}' for language, count in counts.items())
        raise ValueError(
            f'the tables are not aligned by line, for they have different numbers of lines: {listed}. Give the whole '
            'files, or have them aligned by address with --align url'
        )
    return next(iter(counts.values()))


class AlignedCaptions:
    """Records of tables whose lines belong together; the first table has the addresses.

    Args:
        tables: language -> table: caption<TAB>address, or in other tables than the first the caption alone.
        report: counts the rows.
        find_image: finds an image by its address.
        max_bytes: length of a line that is put up with.
    """

    def __init__(
        self,
        tables: Mapping[str, Path],
        report: DropReport,
        find_image: FindImage,
        max_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self.tables, self.report, self.find_image, self.max_bytes = dict(tables), report, find_image, max_bytes

    def __call__(self, cursor: list[Place] | None) -> Iterator[Converted]:
        """Yield the records behind a cursor: the places in the tables.

        Raises:
            ValueError: the addresses of a row differ, or a table is shorter than another.
        """
        starts = cursor or [(0, 0)] * len(self.tables)
        files = [
            TextLines(path, max_bytes=self.max_bytes, start=start)
            for path, start in zip(self.tables.values(), starts, strict=True)
        ]
        for lines in zip_longest(*files):
            where = files[0].where
            self.report.read()
            if None in lines:
                raise ValueError(f'{files[lines.index(None)].path} ends in front of line {files[0].place[0]:,}')
            try:
                url, texts = self._row(lines, files)
                record = self._record(url, texts, where, files[0].place[0])
            except RowError as error:
                self.report.fault(error.reason, where, error.detail)
                continue
            if record is not None:
                self.report.kept()
                yield record, [list(file.place) for file in files], files[0].position / max(files[0].size, 1)

    def _row(self, lines: tuple[bytes | RowError, ...], files: list[TextLines]) -> tuple[str, list[tuple[str, str]]]:
        url, texts = '', []
        for language, line, file in zip(self.tables, lines, files, strict=True):
            columns = _columns(line, file, least=1 if url else 2)
            if not url:
                url = columns[1].strip()
            elif len(columns) == 2 and columns[1].strip() != url:
                raise ValueError(
                    f'{file.where} has the address {columns[1]}, but {files[0].where} has {url}: the tables are not '
                    'aligned by line; have them aligned by address with --align url'
                )
            texts.append((language, columns[0]))
        return url, texts

    def _record(self, url: str, texts: list[tuple[str, str]], where: str, number: int) -> ImageTextRecord | None:
        return _make_record(url, texts, where, number, self.report, self.find_image)


class KeyedCaptions:
    """Records of tables in any order, joined by the addresses, which all of them have; a table on the disk joins them.

    The order is that of the first table, and so are the numbers of the images.

    Args:
        tables: language -> table: caption<TAB>address.
        base: the SQLite file that holds the other tables' captions; made if need be.
        report: counts the rows of the first table, and apart from them those of the others that go unused.
        find_image: finds an image by its address.
        max_bytes: length of a line that is put up with.
    """

    def __init__(
        self,
        tables: Mapping[str, Path],
        base: Path,
        report: DropReport,
        find_image: FindImage,
        max_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        (self.language, self.first), *others = tables.items()
        self.others, self.base, self.report, self.find_image = dict(others), base, report, find_image
        self.max_bytes = max_bytes

    def __call__(self, cursor: Place | None) -> Iterator[Converted]:
        """Yield the records behind a cursor: the place in the first table."""
        lines = TextLines(self.first, max_bytes=self.max_bytes, start=cursor or (0, 0))
        connection = sqlite3.connect(self.base)
        try:
            faults = self._fill(connection)
            if cursor is None:  # else the report has them already
                self.report.merge([faults])
                self._count_unused(connection)
            yield from self._records(lines, connection)
        finally:
            connection.close()

    def _records(self, lines: TextLines, connection: sqlite3.Connection) -> Iterator[Converted]:
        for line in lines:
            self.report.read()
            try:
                text, url = _columns(line, lines, least=2)
                found: dict[str, str] = {}
                for language, other in connection.execute(_FIND, (url_digest(url),)):
                    found.setdefault(language, other)
                texts = [(self.language, text), *((key, found[key]) for key in self.others if key in found)]
                record = _make_record(url.strip(), texts, lines.where, lines.place[0], self.report, self.find_image)
            except RowError as error:
                self.report.fault(error.reason, lines.where, error.detail)
                continue
            if record is not None:
                self.report.kept()
                yield record, list(lines.place), lines.position / max(lines.size, 1)

    def _fill(self, connection: sqlite3.Connection) -> DropReport:
        """Take in the tables that are not in yet; returns what could not be used of all of them."""
        connection.executescript(_TABLES)
        whole = DropReport(1.0)
        for language, path in self.others.items():
            status = path.stat()
            stamp = f'{path.resolve()} {status.st_size} {status.st_mtime_ns}'
            known = connection.execute('SELECT stamp, report FROM tables WHERE language = ?', (language,)).fetchone()
            if known is not None and known[0] == stamp:
                whole.merge([DropReport.from_json(json.loads(known[1]))])
                continue
            report = DropReport(self.report.max_fault_share)
            with connection:  # all of a table or nothing
                if known is not None:  # another table of this language
                    connection.execute('DELETE FROM captions WHERE language = ?', (language,))
                    connection.execute('DELETE FROM tables WHERE language = ?', (language,))
                pairs = _read_pairs(path, report, self.max_bytes)
                rows = ((url_digest(url), language, text) for text, url in pairs)
                connection.executemany('INSERT INTO captions VALUES (?, ?, ?)', rows)
                report.num_read = report.num_faults  # rows are those of the first table; these are extra
                values = (language, stamp, json.dumps(report.to_json()))
                connection.execute('INSERT INTO tables VALUES (?, ?, ?)', values)
            whole.merge([report])
        connection.execute(_INDEX)
        return whole

    def _count_unused(self, connection: sqlite3.Connection) -> None:
        """Count the rows of the other tables that no record can have."""
        pairs = _read_pairs(self.first, DropReport(1.0), self.max_bytes)  # its faults are counted with its records
        with connection:
            connection.execute('CREATE TEMP TABLE asked (digest BLOB)')
            connection.executemany('INSERT INTO asked VALUES (?)', ((url_digest(url),) for _, url in pairs))
            connection.execute('CREATE INDEX temp.asked_digest ON asked (digest)')
        for language, path in self.others.items():
            counts = connection.execute(_UNUSED, (language,)).fetchone()
            for reason, count in zip((UNASKED, AGAIN), counts, strict=True):
                if count:
                    self.report.rule(reason, path.name, f'{count:,} rows', count)


def _read_pairs(path: Path, report: DropReport, max_bytes: int) -> Iterator[tuple[str, str]]:
    lines = TextLines(path, max_bytes=max_bytes)
    for line in lines:
        report.read()
        try:
            text, url = _columns(line, lines, least=2)
        except RowError as error:
            report.fault(error.reason, lines.where, error.detail)
            continue
        yield text, url.strip()


def _columns(line: bytes | RowError, file: TextLines, least: int) -> list[str]:
    columns = decode_line(line).split('\t')
    if not least <= len(columns) <= 2 or (len(columns) == 2 and not columns[1].strip()):
        detail = f'{file.where} has {len(columns)} instead of caption<TAB>address: {columns[0][:80]!r}'
        raise RowError('wrong number of columns', detail)
    return columns


def _make_record(
    url: str, texts: list[tuple[str, str]], where: str, number: int, report: DropReport, find_image: FindImage
) -> ImageTextRecord | None:
    """A record; None, and counted, if it is to be left out."""
    texts = pick_texts(texts, where, report)
    if len({language for language, _ in texts}) < 2:
        report.rule(TOO_FEW, where, url)
        return None
    image = find_image(url, where, report)
    if image is None:
        return None
    return checked(ImageTextRecord(f'cc3m-{number:08d}', tuple(texts), source_id=where, url=url, **image))
