"""WIT, first stage: from the published tables to the texts that are of use, one Parquet file a table."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rc3mm.datasets.corpora.languages import Languages, is_language_code
from rc3mm.datasets.corpora.lines import RowError, TextLines
from rc3mm.datasets.corpora.urls import url_digest
from rc3mm.datasets.corpora.wit import COLUMNS, is_header, parse_row
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.utils.atomic import replacing

__all__ = ['ROW_SCHEMA', 'filter_table']

ROW_SCHEMA = pa.schema(
    {
        'high': pa.uint64(),  # both halves of the digest of the image's address: the image
        'low': pa.uint64(),
        'language': pa.uint8(),  # position among the wanted languages
        'file': pa.uint16(),
        'line': pa.uint64(),
        'url': pa.string(),
        'text': pa.string(),
    }
)
_BATCH = 1 << 14  # rows
_TABS = len(COLUMNS) - 1


def filter_table(
    table: Path,
    number: int,
    out: Path,
    languages: Languages,
    report: DropReport,
    *,
    min_chars: int,
    max_line_bytes: int,
    progress: Callable[[int], None],
) -> int:
    """Write the usable texts of a table; `out` is there whole or not at all.

    Args:
        table: a `wit_v1.*.tsv` file, gzip or not.
        number: the table's number, which the rows refer to.
        out: the Parquet file.
        languages: which rows are wanted.
        report: counts all rows, by what became of them; rows that are written are not counted yet.
        min_chars: letters that a text must have (see `choose_text`).
        max_line_bytes: length of a row that is put up with.
        progress: is told the bytes read of the table, now and then.

    Returns:
        Number of rows written.
    """
    lines = TextLines(table, max_bytes=max_line_bytes)
    filter_ = _Filter(languages, report, min_chars)
    count = 0
    with replacing(out) as temporary:
        with pq.ParquetWriter(temporary, ROW_SCHEMA, compression='zstd', compression_level=1) as writer:
            for line in lines:
                filter_.add(line, lines, number)
                if len(filter_.rows) == _BATCH:
                    count += _write(writer, filter_)
                if not lines.place[0] % _BATCH:
                    progress(lines.position)
            count += _write(writer, filter_)
    filter_.report_others(table.name)
    progress(lines.size)
    return count


def _write(writer: pq.ParquetWriter, filter_: '_Filter') -> int:
    columns = list(zip(*filter_.rows, strict=True)) or [()] * len(ROW_SCHEMA)
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, ROW_SCHEMA, strict=True)]
    writer.write_batch(pa.record_batch(arrays, schema=ROW_SCHEMA))
    count, filter_.rows = len(filter_.rows), []
    return count


class _Filter:
    """Takes rows in and keeps what is wanted of them; rows of other languages are told by a look at their start."""

    def __init__(self, languages: Languages, report: DropReport, min_chars: int) -> None:
        self.languages, self.report, self.min_chars = languages, report, min_chars
        self.rows: list[tuple[int, int, int, int, int, str, str]] = []
        self._matches: dict[bytes, int | None] = {}  # code -> position of the wanted language; None: of no use
        self._others: dict[bytes, list[int]] = {}  # code -> number of rows, and the first row

    def add(self, line: bytes | RowError, lines: TextLines, file: int) -> None:
        """Look at a row."""
        self.report.read()
        if isinstance(line, RowError):
            self.report.fault(line.reason, lines.where, line.detail)
            return
        tabs = line.count(b'\t')
        if tabs != _TABS:
            detail = f'{tabs + 1} instead of {len(COLUMNS)}; it begins with {line[:60]!r}'
            self.report.fault('wrong number of columns', lines.where, detail)
            return
        code = line[: line.index(b'\t')]
        language = self._matches[code] if code in self._matches else self._match(code)
        if language is None:
            self._refuse(code, line, lines)
            return
        try:
            row = parse_row(line, self.languages.codes[language].partition('-')[0], self.min_chars)
        except RowError as error:
            self.report.fault(error.reason, lines.where, error.detail)
            return
        if row.reason:
            self.report.rule(row.reason, lines.where, f'{code.decode()}: {row.text or row.image_url}')
            return
        digest = url_digest(row.image_url)
        high, low = int.from_bytes(digest[:8], 'big'), int.from_bytes(digest[8:], 'big')
        self.rows.append((high, low, language, file, lines.place[0], row.image_url, row.text))

    def report_others(self, name: str) -> None:
        """Count the rows in other languages; one by one would take too long."""
        for code, (count, first) in self._others.items():
            self.report.rule(
                'other language', f'{name}:{first}', f'{code.decode()}, {count:,} rows of this file', count
            )

    def _match(self, code: bytes) -> int | None:
        """Position of the wanted language that a code means; None for others and for what is no code."""
        text = code.decode('ascii', errors='replace')
        match = self.languages.match(text) if is_language_code(text) else None
        position = None if match is None else self.languages.codes.index(match)
        if is_language_code(text) and len(self._matches) < 10_000:
            self._matches[code] = position
        return position

    def _refuse(self, code: bytes, line: bytes, lines: TextLines) -> None:
        if code in self._matches:
            counter = self._others.setdefault(code, [0, lines.place[0]])
            counter[0] += 1
        elif is_header(line):
            self.report.read(-1)
        else:
            self.report.fault('unknown language', lines.where, repr(code[:60]))
