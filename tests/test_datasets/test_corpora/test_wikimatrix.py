"""WikiMatrix: rows above the threshold whose sides differ."""

from pathlib import Path
from typing import Any

import pytest

from rc3mm.datasets.corpora.wikimatrix import ParallelSentences, languages_of
from rc3mm.datasets.shards import DropReport, ImageTextRecord
from tests.test_datasets.test_corpora.corpus_files import assert_all_accounted_for, counts, samples, write

ROWS = ['1.20\tHund {0}\tdog {0}', '1.04\tKatze {0}\tcat {0}', '1.03\tfalsch\twrong', '0.9\tfalsch\twrong']


def convert(path: Path, threshold: float = 1.04, cursor: Any = None) -> tuple[list[ImageTextRecord], DropReport]:
    report = DropReport()
    records = [record for record, _, _ in ParallelSentences(path, threshold, report)(cursor)]
    assert_all_accounted_for(report)
    return records, report


@pytest.mark.parametrize('suffix', ['tsv', 'tsv.gz'])
def test_rows_above_the_threshold(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f'WikiMatrix.de-en.{suffix}', [row.format(k) for k in range(50) for row in ROWS])
    records, report = convert(path)
    assert len(records) == 100 and counts(report) == {'margin below 1.04': 100}
    assert records[1] == ImageTextRecord(
        'wikimatrix-de-en-2', (('de', 'Katze 0'), ('en', 'cat 0')), source_id=f'{path.name}:2'
    )
    assert len(convert(path, 1.2)[0]) == 50 and len(convert(path, 0)[0]) == 200


MALFORMED = {
    'margin is no number': 'score\ta\tb',
    'wrong number of columns': '1.2\ta\tb\tc',
    'empty sentence': '1.2\t\tempty',
    'bad UTF-8': b'1.2\t\xff\tb',
    'NUL byte': '1.2\ta\0\tb',
    'line too long': '1.2\t' + 'a' * (17 << 20) + '\tb',
}


@pytest.mark.parametrize('reason', MALFORMED)
def test_malformed_row_is_counted(tmp_path: Path, reason: str) -> None:
    path = write(tmp_path / 'WikiMatrix.de-en.tsv', ['1.2\tgut\tgood', MALFORMED[reason], '1.2\tschlecht\tbad'])
    records, report = convert(path)
    assert [record.texts[1][1] for record in records] == ['good', 'bad']
    assert counts(report) == {reason: 1} and samples(report, reason)[0][0] == 'WikiMatrix.de-en.tsv:2'


def test_margins_that_are_no_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / 'WikiMatrix.de-en.tsv', ['nan\ta\tb', '\ta\tb', '1.2\ta\tb'])
    assert counts(convert(path)[1]) == {'margin is no number': 2}


def test_near_copies_are_left_out(tmp_path: Path) -> None:
    rows = ['1.3\tAngela Merkel\tAngela Merkel.', '1.3\tBERLIN (2001)\tBerlin 2001', '1.3\tHaus\thouse']
    records, report = convert(write(tmp_path / 'WikiMatrix.de-en.tsv', rows))
    assert len(records) == 1 and counts(report) == {'both sides alike': 2}


def test_goes_on_behind_any_row_with_the_same_counts(tmp_path: Path) -> None:
    path = write(tmp_path / 'WikiMatrix.de-en.tsv.gz', [row.format(k) for k in range(20) for row in ROWS])
    whole = DropReport()
    given = []
    for record, cursor, _ in ParallelSentences(path, 1.04, whole)(None):
        given.append((record, cursor, whole.to_json()))
    for place in (0, 17, 39):
        report = DropReport.from_json(given[place][2])
        rest = [record for record, _, _ in ParallelSentences(path, 1.04, report)(given[place][1])]
        assert rest == [record for record, _, _ in given[place + 1 :]]
        assert report.to_json() == whole.to_json()


def test_languages_come_from_the_name() -> None:
    assert languages_of(Path('x/WikiMatrix.cs-zh.tsv.gz')) == ('cs', 'zh')
    for name in ('de-en.tsv', 'WikiMatrix.de-en.txt', 'WikiMatrix.de.tsv'):
        with pytest.raises(ValueError, match='expected a name such as'):
            languages_of(Path(name))
