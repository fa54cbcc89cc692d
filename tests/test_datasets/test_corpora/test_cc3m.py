"""CC3M's tables: aligned by line or by address, with the same records; what is not aligned is an error."""

from pathlib import Path
from typing import Any

import pytest

from rc3mm.datasets.corpora.cc3m import AlignedCaptions, KeyedCaptions, check_line_counts
from rc3mm.datasets.shards import DropReport, ImageTextRecord
from tests.test_datasets.test_corpora.corpus_files import assert_all_accounted_for, counts, samples, write

ROWS = [(f'https://x.org/{k}.jpg', f'caption {k}', f'Beschriftung {k}', f'説明 {k}') for k in range(30)]
LANGUAGES = ('en', 'de', 'ja')


def url_only(name: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any]:
    return {}


def tables(folder: Path, rows: list[tuple] = ROWS, urls: bool = True) -> dict[str, Path]:
    return {
        language: write(
            folder / f'{language}.tsv',
            [f'{row[place]}\t{row[0]}' if urls or place == 1 else row[place] for row in rows],
        )
        for place, language in enumerate(LANGUAGES, start=1)
    }


def aligned(files: dict[str, Path], report: DropReport | None = None, cursor: Any = None) -> list[ImageTextRecord]:
    report = report if report is not None else DropReport()
    records = [record for record, _, _ in AlignedCaptions(files, report, url_only)(cursor)]
    assert_all_accounted_for(report)
    return records


@pytest.mark.parametrize('urls', [True, False], ids=['addresses in every table', 'in the first alone'])
def test_line_by_line(tmp_path: Path, urls: bool) -> None:
    records = aligned(tables(tmp_path, urls=urls))
    assert len(records) == 30
    assert records[4] == ImageTextRecord(
        'cc3m-00000005',
        (('en', 'caption 4'), ('de', 'Beschriftung 4'), ('ja', '説明 4')),
        source_id='en.tsv:5',
        url='https://x.org/4.jpg',
    )


def test_goes_on_behind_any_row(tmp_path: Path) -> None:
    files = tables(tmp_path)
    given = list(AlignedCaptions(files, DropReport(), url_only)(None))
    for place in (0, 11, 29):
        assert aligned(files, cursor=given[place][1]) == [record for record, _, _ in given[place + 1 :]]
    assert given[-1][2] == 1.0


def test_lines_that_do_not_belong_together(tmp_path: Path) -> None:
    files = tables(tmp_path)
    lines = files['de'].read_text().splitlines()
    write(files['de'], lines[1:])
    with pytest.raises(ValueError, match=r'en\.tsv 30, .*de\.tsv 29, .*ja\.tsv 30.*--align url'):
        check_line_counts(files)
    write(files['de'], [*lines[1:], lines[0]])
    assert check_line_counts(files) == 30
    with pytest.raises(ValueError, match=r'de\.tsv:1 has the address .*/1\.jpg, but en\.tsv:1 has .*/0\.jpg'):
        aligned(files)
    write(files['de'], lines[:20])
    with pytest.raises(ValueError, match=r'de\.tsv ends in front of line 21'):
        aligned(files)


MALFORMED = {
    'wrong number of columns': 'a\tb\tc',
    'bad UTF-8': b'\xff\xff',
    'NUL byte': 'a\0b\thttps://x.org/3.jpg',
}


@pytest.mark.parametrize('reason', MALFORMED)
@pytest.mark.parametrize('language', ['en', 'de'])
def test_malformed_line_costs_its_row_only(tmp_path: Path, reason: str, language: str) -> None:
    files = tables(tmp_path)
    lines: list[str | bytes] = list(files[language].read_text().splitlines())
    lines[3] = MALFORMED[reason]
    write(files[language], lines)
    report = DropReport()
    records = aligned(files, report)
    assert [record.source_id for record in records] == [f'en.tsv:{k + 1}' for k in range(30) if k != 3]
    assert counts(report) == {reason: 1} and samples(report, reason)[0][0] == 'en.tsv:4'


def test_missing_captions(tmp_path: Path) -> None:
    rows = [*ROWS[:3], ('https://x.org/a', 'only English', ' ', ''), ('https://x.org/b', 'two', 'zwei', '')]
    report = DropReport()
    records = aligned(tables(tmp_path, rows), report)
    assert list(records[3].texts) == [('en', 'two'), ('de', 'zwei')]
    assert counts(report) == {'captions in fewer than two languages': 1, '(a text of a row) empty': 3}


def test_images_that_are_not_there(tmp_path: Path) -> None:
    def find(name: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any] | None:
        if name.endswith('7.jpg'):
            report.rule('image was not downloaded', where, name)
            return None
        return {'image_bytes': b'image of ' + name.encode()}

    report = DropReport()
    records = [record for record, _, _ in AlignedCaptions(tables(tmp_path), report, find)(None)]
    assert len(records) == 27 and records[0].image_bytes == b'image of https://x.org/0.jpg'
    assert counts(report) == {'image was not downloaded': 3}
    assert_all_accounted_for(report)


def test_by_address_in_any_order(tmp_path: Path) -> None:
    files = tables(tmp_path)
    expected = aligned(files)
    for language, step in (('de', 7), ('ja', 11)):
        lines = files[language].read_text().splitlines()
        write(files[language], [lines[step * k % 30] for k in range(30)])
    base, report = tmp_path / 'base.sqlite', DropReport()
    given = list(KeyedCaptions(files, base, report, url_only)(None))
    assert [record for record, _, _ in given] == expected
    assert report.num_read == report.num_kept == 30
    again = KeyedCaptions(files, base, DropReport(), url_only)(given[9][1])
    assert [record for record, _, _ in again] == expected[10:]


def test_rows_of_other_tables_that_nobody_asks_for_are_counted(tmp_path: Path) -> None:
    files = tables(tmp_path)
    german = files['de'].read_text().splitlines()
    write(files['de'], [*german, german[3], german[3], 'anders\thttps://x.org/other.jpg', 'b\thttps://x.org/other.jpg'])
    write(files['en'], files['en'].read_text().splitlines()[:29])
    report = DropReport()
    given = list(KeyedCaptions(files, tmp_path / 'base', report, url_only)(None))
    assert counts(report) == {
        '(a row of another table) address that the first table has not': 3 + 1,
        '(a row of another table) same address again': 2,
    }
    assert {where for row in report.rows() for where, _ in row.samples} == {'de.tsv', 'ja.tsv'}
    assert report.num_read == report.num_kept == 29
    again = DropReport()
    list(KeyedCaptions(files, tmp_path / 'base', again, url_only)(given[9][1]))
    assert counts(again) == {}  # an earlier run has counted them


def test_captions_of_another_table_do_not_stay(tmp_path: Path) -> None:
    files = tables(tmp_path)
    list(KeyedCaptions(files, tmp_path / 'base', DropReport(), url_only)(None))
    files['de'] = write(tmp_path / 'other' / 'de.tsv', [f'neu {k}\thttps://x.org/{k}.jpg' for k in range(30)])
    given = list(KeyedCaptions(files, tmp_path / 'base', DropReport(), url_only)(None))
    assert [dict(record.texts)['de'] for record, _, _ in given] == [f'neu {k}' for k in range(30)]


@pytest.mark.parametrize('keyed', [False, True])
def test_length_of_a_line(tmp_path: Path, keyed: bool) -> None:
    files = tables(tmp_path)
    for language in ('en', 'de'):
        lines = files[language].read_text().splitlines()
        lines[4] = 'x' * 5000 + '\thttps://x.org/4.jpg'
        write(files[language], lines)
    for most, faults in ((10_000, 0), (1000, 1 + keyed)):
        report = DropReport()
        if keyed:
            list(KeyedCaptions(files, tmp_path / f'{most}', report, url_only, most)(None))
        else:
            list(AlignedCaptions(files, report, url_only, most)(None))
        assert counts(report).get('line too long', 0) == report.num_faults == faults


def test_by_address_with_gaps_and_faults(tmp_path: Path) -> None:
    files = tables(tmp_path)
    write(files['ja'], files['ja'].read_text().splitlines()[:10])
    write(files['de'], [*files['de'].read_text().splitlines()[:20], 'no address'])
    report = DropReport()
    given = list(KeyedCaptions(files, tmp_path / 'base', report, url_only)(None))
    assert [len(record.texts) for record, _, _ in given] == [3] * 10 + [2] * 10
    assert counts(report) == {'captions in fewer than two languages': 10, 'wrong number of columns': 1}
    assert_all_accounted_for(report)
