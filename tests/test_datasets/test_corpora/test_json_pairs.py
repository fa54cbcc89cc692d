"""JSON lines in both layouts: records, relevance by position, and every kind of bad line."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from rc3mm.datasets.corpora.json_pairs import JsonPairs
from rc3mm.datasets.corpora.languages import Languages
from rc3mm.datasets.shards import DropReport, ImageTextRecord
from tests.test_datasets.test_corpora.corpus_files import assert_all_accounted_for, counts, jpeg, samples, write

CAPTION = {'en': 'a dog', 'de': 'ein Hund', 'fr': 'un chien', 'ja': '犬'}
TEXTS = [['en', 'a dog'], ['en', 'a pet'], ['de', 'Haustier'], ['zh', '狗']]


def cclm(**more: Any) -> dict:
    return {'binary': base64.b64encode(jpeg()).decode(), 'caption': CAPTION, **more}


def general(**more: Any) -> dict:
    return {'image': 'a.jpg', 'image_id': 'a', 'texts': TEXTS, **more}


def find_path(name: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any] | None:
    if name == 'gone.jpg':
        report.fault('image file is missing', where, name)
        return None
    return {'image_path': name}


def find_url(name: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any]:
    return {'image_bytes': b'downloaded'} if name.endswith('0') else {}


def write_lines(path: Path, lines: list) -> Path:
    return write(path, [line if isinstance(line, str | bytes) else json.dumps(line) for line in lines])


def convert(
    folder: Path, lines: list, languages: list[str] | None = None, **more: Any
) -> tuple[list[ImageTextRecord], DropReport]:
    report = DropReport(max_fault_share=1)
    wanted = Languages(languages) if languages else None
    pairs = JsonPairs([write_lines(folder / 'x.jsonl', lines)], report, find_path, find_url, wanted, **more)
    records = [record for record, _, _ in pairs(None)]
    assert_all_accounted_for(report)
    return records, report


def test_both_layouts(tmp_path: Path) -> None:
    records, report = convert(tmp_path, [cclm(), '', general(), cclm(binary='images/b.png', image_id=7)])
    assert [record.image_id for record in records] == ['x-000000001', 'a', '7']
    assert records[0].image_bytes == jpeg() and records[0].texts == tuple(CAPTION.items())
    assert records[1].image_path == 'a.jpg' and records[1].texts == tuple(map(tuple, TEXTS))
    assert records[2].image_path == 'images/b.png' and records[2].source_id == 'x.jsonl:4'
    assert counts(report) == {} and report.num_read == 3


def test_address_in_the_place_of_an_image(tmp_path: Path) -> None:
    lines = [{'url': f'https://x.org/{k}', 'texts': TEXTS} for k in range(2)]
    records, _ = convert(tmp_path, lines)
    assert [record.url for record in records] == ['https://x.org/0', 'https://x.org/1']
    assert [record.image_bytes for record in records] == [b'downloaded', None]


def test_languages(tmp_path: Path) -> None:
    lines = [cclm(), general(texts=[['de-AT', 'Hund'], ['fr', 'chien'], ['en', '']]), general(texts=[['de', 'Hund']])]
    records, report = convert(tmp_path, lines, ['en', 'de', 'fr'])
    assert [dict(record.texts) for record in records] == [
        {'en': 'a dog', 'de': 'ein Hund', 'fr': 'un chien'},
        {'de': 'Hund', 'fr': 'chien'},
    ]
    assert counts(report) == {
        'texts in too few wanted languages': 1,
        '(a text of a row) in a language that is not wanted': 1,
        '(a text of a row) empty': 1,
    }
    assert samples(report, '(a text of a row) in a language that is not wanted') == [('x.jsonl:1', 'ja')]
    assert samples(report, '(a text of a row) empty') == [('x.jsonl:2', 'en')]
    assert samples(report, 'texts in too few wanted languages') == [('x.jsonl:3', "it has texts in ['de']")]
    one, _ = convert(tmp_path, lines, ['de'], min_languages=1)
    assert [record.texts for record in one] == [(('de', 'ein Hund'),), (('de', 'Hund'),), (('de', 'Hund'),)]


def test_relevance_moves_with_the_texts(tmp_path: Path) -> None:
    lines = [general(relevance={'0-2': 0.5, '3-1': 1}), general(relevance=0.25), general()]
    records, _ = convert(tmp_path, lines, scorer='by hand')
    assert records[0].relevance == ((0, 2, 0.5), (1, 3, 1.0)) and records[2].relevance is None
    assert records[1].relevance == ((0, 2, 0.25), (0, 3, 0.25), (1, 2, 0.25), (1, 3, 0.25), (2, 3, 0.25))
    lines[0]['texts'] = [['en', ''], *TEXTS[1:]]
    records, _ = convert(tmp_path, lines, ['zh', 'en'], scorer='by hand')
    assert records[0].texts == (('en', 'a pet'), ('zh', '狗')) and records[0].relevance == ((0, 1, 1.0),)
    with pytest.raises(ValueError, match=r'x\.jsonl:1 has relevance; say with --scorer'):
        convert(tmp_path, lines)


BAD = {
    'not JSON': '{"binary": ',
    'not a JSON object': '[1]',
    'no image': {'caption': CAPTION},
    'broken base64': cclm(binary='images/without_extension'),
    'no texts': {'binary': 'a.jpg'},
    'texts are not pairs of language and text': general(texts=[['en', 3]]),
    'unknown language': cclm(caption={'english': 'a', 'de': 'b'}),
    'relevance outside [0, 1]': general(relevance=1.5),
    'relevance keys are not pairs of positions such as "0-1"': general(relevance={'en-de': 0.5}),
    'relevance of texts that are not there': general(relevance={'0-9': 0.5}),
    'image file is missing': general(image='gone.jpg'),
    'bad UTF-8': b'{"image": "\xff"}',
    'NUL byte': b'{"image": "a\0"}',
    'line too long': general(texts=[['en', 'x' * 5000], ['de', 'y']]),
    'no valid record': '{"image": "a.jpg", "texts": [["en", "half \\ud800"], ["de", "b"]]}',
}
TEXTS_JSON = '"texts": [["en", "a"], ["de", "b"]]'


@pytest.mark.parametrize(
    'part', ['"url": "http://x/\\ud800.jpg"', '"image": "\\ud800.jpg"', '"url": "u", "image_id": "\\ud800"']
)
def test_half_of_a_surrogate_pair_anywhere_is_a_fault(tmp_path: Path, part: str) -> None:
    records, report = convert(tmp_path, [general(), f'{{{part}, {TEXTS_JSON}}}'])
    assert len(records) == 1 and counts(report) == {'no valid record': 1} and report.num_faults == 1


def test_names_that_number_two_images_alike_are_refused(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / name, [cclm()]) for name in ('a/x.jsonl', 'y.jsonl', 'b/x.jsonl.gz')]
    with pytest.raises(ValueError, match=r"a/x\.jsonl and .*b/x\.jsonl\.gz are both called 'x'.*rename one"):
        JsonPairs(files, DropReport(), find_path, find_url)


@pytest.mark.parametrize('reason', BAD)
def test_bad_line_is_counted_and_left_out(tmp_path: Path, reason: str) -> None:
    records, report = convert(tmp_path, [general(), BAD[reason], general(image_id='b')], scorer='s', max_bytes=4000)
    assert [record.image_id for record in records] == ['a', 'b']
    assert counts(report) == {reason: 1} and report.num_faults == 1
    assert samples(report, reason)[0][0] == 'x.jsonl:2'


def test_deeply_nested_line_is_a_bad_one(tmp_path: Path) -> None:
    _, report = convert(tmp_path, [general(), '[' * 100_000])
    assert counts(report) == {'not JSON': 1}


def test_goes_on_behind_any_record_of_several_files(tmp_path: Path) -> None:
    files = [
        write_lines(tmp_path / name, [general(image_id=f'{name}-{k}') for k in range(5)])
        for name in ('a.jsonl', 'b.jsonl.gz', 'c.jsonl')
    ]

    def read(cursor: Any) -> list:
        return list(JsonPairs(files, DropReport(), find_path, find_url)(cursor))

    given = read(None)
    assert len(given) == 15 and given[-1][2] == 1.0
    for place in (0, 4, 7, 14):
        cursor = json.loads(json.dumps(given[place][1]))
        assert [record for record, _, _ in read(cursor)] == [record for record, _, _ in given[place + 1 :]]
