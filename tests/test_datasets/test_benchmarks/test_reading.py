"""Annotation files are read whole or refused, with file, line and key."""

from pathlib import Path
from typing import Any

import pytest

from rc3mm.datasets.benchmarks.reading import AnnotationError, StrictReport, find_file, read_json, read_json_lines
from tests.test_datasets.test_benchmarks.making import write_lines

ADVICE = 'Mend the file or fetch it again; no row of a benchmark is left out silently'


def test_lines_with_gaps_a_mark_and_compression(tmp_path: Path) -> None:
    for name in ('a.jsonl', 'a.jsonl.gz'):
        path = write_lines(tmp_path / name, [b'\xef\xbb\xbf{"a": 1}', '', '{"a": "\u00e9"}'])
        entries = list(read_json_lines(path))
        assert [entry.values for entry in entries] == [{'a': 1}, {'a': 'é'}]
        assert entries[1].where == f'{path}, line 3'


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (b'{"a": "\xff"}', r'line 2: bad UTF-8: invalid start byte at byte 7'),
        ('{"a": 1', 'line 2: not JSON'),
        ('[1]', 'line 2: expected a JSON object, found a list'),
        ('{"a": 1, "a": 2}', "line 2: the key 'a' comes twice"),
        ('[' * 100_000, 'line 2: not JSON'),
    ],
)
def test_lines_that_cannot_be_read(tmp_path: Path, line: Any, message: str) -> None:
    path = write_lines(tmp_path / 'a.jsonl', ['{"a": 1}', line])
    with pytest.raises(AnnotationError, match=message) as caught:
        list(read_json_lines(path))
    assert str(caught.value).startswith(f'{path}, line 2: ') and str(caught.value).endswith(ADVICE)


@pytest.mark.parametrize(
    ('ask', 'message'),
    [
        (lambda e: e.text('gone'), "the key 'gone' is missing; the keys there are word, number, truth, nothing"),
        (lambda e: e.text('number'), "the key 'number' holds int 3, expected a text"),
        (lambda e: e.text('nothing'), "the key 'nothing' holds NoneType None, expected a text"),
        (lambda e: e.name('truth'), "the key 'truth' holds bool True, expected an id"),
        (lambda e: e.name('nothing'), 'expected an id: a text or a whole number'),
        (lambda e: e.flag('number'), 'expected true or false'),
        (lambda e: e.mapping('word'), 'expected an object'),
        (lambda e: e.one_of('word', ('x', 'y')), "holds str 'dog', expected one of 'x', 'y'"),
    ],
)
def test_values_of_another_kind(tmp_path: Path, ask: Any, message: str) -> None:
    path = write_lines(tmp_path / 'a.jsonl', [{'word': 'dog', 'number': 3, 'truth': True, 'nothing': None}])
    (entry,) = read_json_lines(path)
    assert entry.text('word') == 'dog' and entry.name('number') == '3' and entry.flag('truth') is True
    with pytest.raises(AnnotationError, match=message):
        ask(entry)


def test_json_files(tmp_path: Path) -> None:
    assert read_json(write_lines(tmp_path / 'a.json', ['{"a": [1]}'])) == {'a': [1]}
    with pytest.raises(AnnotationError, match=r"b\.json: the key '7' comes twice"):
        read_json(write_lines(tmp_path / 'b.json', ['{"7": {}, "8": {}, "7": {}}']))
    with pytest.raises(AnnotationError, match=r'c\.json: bad UTF-8: .* at byte 2'):
        read_json(write_lines(tmp_path / 'c.json', [b'{"\xff": 1}']))


def test_missing_files_are_told_with_what_is_there(tmp_path: Path) -> None:
    write_lines(tmp_path / 'en/test.jsonl', [])
    assert find_file(tmp_path / 'en', 'no.jsonl', 'test.jsonl') == tmp_path / 'en/test.jsonl'
    with pytest.raises(FileNotFoundError, match=r'no .*dev\.jsonl \(nor dev\.json\); the folder .*en has test\.jsonl'):
        find_file(tmp_path / 'en', 'dev.jsonl', 'dev.json')
    with pytest.raises(FileNotFoundError, match=r'the folder .*de is empty or missing'):
        find_file(tmp_path / 'de', 'dev.jsonl')


def test_what_a_corpus_counts_a_benchmark_refuses() -> None:
    with pytest.raises(AnnotationError, match=r'x\.gz:3: bad UTF-8: byte 4\. Mend the file'):
        StrictReport().fault('bad UTF-8', 'x.gz:3', 'byte 4')
    with pytest.raises(AnnotationError, match='x: no caption'):
        StrictReport().rule('no caption', 'x')
