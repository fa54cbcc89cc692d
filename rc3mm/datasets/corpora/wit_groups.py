"""WIT, second and third stage: the texts of an image brought together over all tables, and records made of them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from rc3mm.datasets.corpora.texts import text_key
from rc3mm.datasets.corpora.wit_rows import ROW_SCHEMA
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.utils.atomic import replacing

__all__ = ['TOO_FEW_LANGUAGES', 'WitImage', 'group_tables', 'read_images', 'select_texts']

TOO_FEW_LANGUAGES = 'image with too few languages'
_ROW_GROUP = 1 << 14
_COLUMNS = ', '.join(ROW_SCHEMA.names)
_QUERY = f"""
COPY (
    SELECT {_COLUMNS} FROM read_parquet($tables)
    SEMI JOIN (
        SELECT high, low FROM read_parquet($tables)
        GROUP BY high, low
        HAVING bit_count(bit_or(1::HUGEINT << language)) >= $least
    ) USING (high, low)
    ORDER BY high, low, language, file, line
) TO '{{out}}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})
"""


def group_tables(
    tables: Sequence[Path],
    out: Path,
    *,
    min_languages: int,
    memory_limit: int,
    threads: int,
    temp_folder: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> int:
    """Sort the rows of all tables by image, those of images with too few languages left out.

    The order is that of the digests of the images' addresses, then of languages, files and lines: it does not
    depend on the number of threads or on memory. What does not fit in memory goes to `temp_folder`.

    Args:
        tables: files that `filter_table` wrote.
        out: the Parquet file to write; it is there whole or not at all.
        min_languages: number of languages that an image must have.
        memory_limit: bytes that DuckDB may take.
        threads: number of its threads.
        temp_folder: folder for what does not fit.
        progress: is told the share done, about once a second.

    Returns:
        Number of rows written.

    Raises:
        ImportError: DuckDB is not installed.
        MemoryError: the limit is too low.
        OSError: DuckDB cannot go on for another reason, such as a full disk.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ImportError('grouping larger than memory needs DuckDB: pip install duckdb') from error
    temp_folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        'memory_limit': f'{memory_limit // 1_000_000}MB',
        'threads': threads,
        'temp_directory': str(temp_folder),
        'preserve_insertion_order': False,
    }
    with duckdb.connect(config=config) as connection, replacing(out) as temporary:
        query = _QUERY.format(out=str(temporary).replace("'", "''"))
        values = {'tables': [str(table) for table in tables], 'least': min_languages}
        try:
            _watch(lambda: connection.execute(query, values), connection, progress)
        except duckdb.OutOfMemoryException as error:
            raise MemoryError(f'DuckDB was given {memory_limit:,} bytes, too few for the sort: {error}') from error
        except duckdb.Error as error:
            raise OSError(f'DuckDB cannot sort the rows with temporary files in {temp_folder}: {error}') from error
    return int(pq.read_metadata(out).num_rows)


def _watch(work: Callable[[], Any], connection: Any, progress: Callable[[float], None]) -> None:
    """Run a query in a thread of its own, so that its progress can be told and an interrupt reaches it."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(1.0)
            progress(max(connection.query_progress(), 0.0) / 100)
    except BaseException:
        connection.interrupt()
        thread.join()
        raise
    if failures:
        raise failures[0]


class WitImage(NamedTuple):
    """An image and its texts.

    Attributes:
        digest: 16 bytes that stand for its address.
        url: the address, as the first text's row has it.
        texts: (position of the language, text, file, line), by language, file and line.
        end: number of rows up to and including the image's last one.
    """

    digest: bytes
    url: str
    texts: list[tuple[int, str, int, int]]
    end: int


def read_images(path: Path, start: int = 0) -> Iterator[WitImage]:
    """Yield the images of a file that `group_tables` wrote.

    Args:
        path: the file.
        start: number of rows to leave out: 0, or the `end` of an image.
    """
    end = start
    for (high, low), group in groupby(_read_rows(path, start), key=itemgetter(0, 1)):
        rows = list(group)
        end += len(rows)
        digest = high.to_bytes(8, 'big') + low.to_bytes(8, 'big')
        yield WitImage(digest, rows[0][5], [(row[2], row[6], row[3], row[4]) for row in rows], end)


def _read_rows(path: Path, start: int) -> Iterator[tuple[Any, ...]]:
    with pq.ParquetFile(path) as file:
        first = 0
        for number in range(file.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            if first + count > start:
                columns = file.read_row_group(number).to_pydict()
                rows = zip(*(columns[name] for name in ROW_SCHEMA.names), strict=True)
                for index, row in enumerate(rows, start=first):
                    if index >= start:
                        yield row
            first += count


def select_texts(
    image: WitImage,
    codes: Sequence[str],
    report: DropReport,
    *,
    min_languages: int,
    max_texts: int,
    keep_copies: bool,
    where: Callable[[int, int], str],
) -> list[tuple[str, str]]:
    """The texts of an image that differ; none if they are in too few languages.

    Args:
        image: the image.
        codes: the languages.
        report: counts the texts that are left out.
        min_languages: number of languages that must be left.
        max_texts: number of texts a language.
        keep_copies: whether the same text may stand under two languages, as names often do.
        where: names a row, by file and line.

    Returns:
        (language, text) pairs.
    """
    chosen: list[tuple[str, str]] = []
    counts: Counter[str] = Counter()
    seen: dict[str, str] = {}
    for language, text, file, line in image.texts:
        code, key = codes[language], text_key(text)
        if keep_copies:
            key = f'{code} {key}'
        if key in seen:
            kind = 'text of the image again' if seen[key] == code else 'text of the image again in another language'
            report.rule(kind, where(file, line), text)
        elif counts[code] == max_texts:
            report.rule('more texts of a language than wanted', where(file, line), text)
        else:
            seen[key] = code
            counts[code] += 1
            chosen.append((code, text))
    if len(counts) < min_languages:
        report.rule(TOO_FEW_LANGUAGES, image.url, f'only {", ".join(counts)} left', len(chosen))
        return []
    return chosen
