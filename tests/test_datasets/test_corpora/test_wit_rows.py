"""First stage: every row is kept or counted for one reason; the languages' shares do not matter to that."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rc3mm.datasets.corpora.languages import Languages
from rc3mm.datasets.corpora.wit import COLUMNS
from rc3mm.datasets.corpora.wit_rows import filter_table
from rc3mm.datasets.shards import DropLimitError, DropReport
from tests.test_datasets.test_corpora.corpus_files import COMMONS, counts, samples, wit_row, write

GOOD = wit_row('en', 'A', 'A long enough text')
MALFORMED = {
    'wrong number of columns': (GOOD + '\t', "18 instead of 17; it begins with b'en"),
    'bad UTF-8': (GOOD.encode() + b'\xff', 'invalid start byte at byte'),
    'NUL byte': (GOOD.replace('long', 'lo\0ng'), 'at byte'),
    'line too long': (wit_row('en', 'A', 'x' * 3000), 'more than 2,000'),
    'unknown language': (wit_row('English', 'A', 'A text'), "b'English'"),
    'no image address': (wit_row('en', '/', 'A text', image_url='none'), "'none'"),
}


def run(path: Path, report: DropReport | None = None, **more: Any) -> tuple[list[dict], DropReport]:
    report = report if report is not None else DropReport()
    out = path.with_suffix('.parquet')
    options = {'min_chars': 6, 'max_line_bytes': 2000, 'progress': lambda _: None, **more}
    written = filter_table(path, 3, out, Languages(['en', 'de', 'zh']), report, **options)
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == written
    left_out = sum(row.count for row in report.rows())
    assert report.num_read == written + left_out and report.num_kept == 0
    return rows, report


def test_rows_in_wanted_languages_are_kept(tmp_path: Path) -> None:
    lines = [
        '\t'.join(COLUMNS),  # the published files begin with the names
        wit_row('en', 'A', 'English text'),
        wit_row('fr', 'A', 'Texte français'),
        wit_row('zh-TW', 'B', '一座石橋'),
        wit_row('de', 'A', 'Deutscher Text'),
        wit_row('fr', 'A', 'Encore une fois'),
        wit_row('en', 'A'),
    ]
    rows, report = run(write(tmp_path / 'x.tsv.gz', lines))
    assert [(row['language'], row['text'], row['line'], row['url']) for row in rows] == [
        (0, 'English text', 2, f'{COMMONS}A.jpg'),
        (2, '一座石橋', 4, f'{COMMONS}B.jpg'),
        (1, 'Deutscher Text', 5, f'{COMMONS}A.jpg'),
    ]
    assert {row['file'] for row in rows} == {3}
    assert len({(row['high'], row['low']) for row in rows}) == 2
    assert report.num_read == 6 and counts(report) == {'other language': 2, 'no text': 1}
    assert samples(report, 'other language') == [('x.tsv.gz:3', 'fr, 2 rows of this file')]
    assert samples(report, 'no text') == [('x.tsv.gz:7', f'en: {COMMONS}A.jpg')]


@pytest.mark.parametrize('reason', MALFORMED)
def test_malformed_row_is_counted_and_sampled(tmp_path: Path, reason: str) -> None:
    line, detail = MALFORMED[reason]
    rows, report = run(write(tmp_path / 'x.tsv', [GOOD, line, GOOD]))
    assert len(rows) == 2 and counts(report) == {reason: 1}
    ((where, said),) = samples(report, reason)
    assert where == 'x.tsv:2' and detail in said and len(said) <= 200
    assert report.num_faults == 1


def test_quotes_are_letters_like_others(tmp_path: Path) -> None:
    """A CSV reader would run the rows together."""
    lines = [
        wit_row('en', 'A', '"An open quote'),
        wit_row('en', 'B', 'closed "here'),
        wit_row('en', 'C', '"quoted text"'),
    ]
    rows, _ = run(write(tmp_path / 'x.tsv', lines))
    assert [row['text'] for row in rows] == ['"An open quote', 'closed "here', 'quoted text']


def test_broken_and_empty_files(tmp_path: Path) -> None:
    whole = write(tmp_path / 'x.tsv.gz', [wit_row('en', str(k), f'Text number {k}') for k in range(500)])
    whole.write_bytes(whole.read_bytes()[:-200])
    rows, report = run(whole)
    assert len(rows) > 100 and counts(report) == {'broken gzip file': 1}
    assert samples(report, 'broken gzip file')[0][0] == f'x.tsv.gz:{len(rows) + 1}'
    (tmp_path / 'y.tsv').touch()
    rows, report = run(tmp_path / 'y.tsv')
    assert rows == [] and counts(report) == {'empty file': 1}


def test_too_many_malformed_rows_end_it_and_leave_nothing_half_written(tmp_path: Path) -> None:
    path = write(tmp_path / 'x.tsv', [GOOD, 'one column'] * 300)
    with pytest.raises(DropLimitError, match=r'x\.tsv:\d+.*wrong number of columns.*--max-fault-share'):
        run(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ['x.tsv']
    rows, _ = run(path, DropReport(max_fault_share=0.5))
    assert len(rows) == 300


def test_report_goes_on_over_files(tmp_path: Path) -> None:
    report = DropReport()
    for name in ('x.tsv', 'y.tsv'):
        out = tmp_path / f'{name}.parquet'
        path = write(tmp_path / name, [GOOD, wit_row('fr', 'A', 'Texte'), 'x'])
        filter_table(path, 0, out, Languages(['en']), report, min_chars=6, max_line_bytes=2000, progress=lambda _: None)
    assert report.num_read == 6 and counts(report) == {'other language': 2, 'wrong number of columns': 2}
