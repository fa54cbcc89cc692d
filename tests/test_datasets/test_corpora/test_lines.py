"""TextLines: the same lines from plain and gzip files and from any place on; what cannot be had is told, not held."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from rc3mm.datasets.corpora.lines import RowError, TextLines, decode_line
from tests.test_datasets.test_corpora.corpus_files import write

LINES = [f'line {k} {"é犬" * (k % 50)}'.encode() for k in range(3000)] + [b'', b'  ', b'\t', b'last']


def reasons(lines: TextLines) -> list[str]:
    return [line.reason for line in lines if isinstance(line, RowError)]


@pytest.mark.parametrize('name', ['x.tsv', 'x.tsv.gz', 'no_extension'])
def test_lines_of_plain_and_gzip_files(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, LINES)
    assert list(TextLines(path)) == LINES
    assert TextLines(path).count() == len(LINES)


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / 'wrongly_named.tsv'
    path.write_bytes(gzip.compress(b'a\nb\n'))
    assert list(TextLines(path)) == [b'a', b'b']


def test_gzip_of_several_members_and_padding(tmp_path: Path) -> None:
    path = tmp_path / 'x.gz'
    path.write_bytes(gzip.compress(b'a\nb') + gzip.compress(b'c\nd\n') + b'\0' * 100)
    assert list(TextLines(path)) == [b'a', b'bc', b'd']


def test_ends_of_lines_and_mark_of_byte_order(tmp_path: Path) -> None:
    path = write(tmp_path / 'x', [b'\xef\xbb\xbfa', b'b\r', b'\xef\xbb\xbfc'])
    assert list(TextLines(path)) == [b'a', b'b', b'\xef\xbb\xbfc']
    path.write_bytes(b'a\n\nb')
    assert list(TextLines(path)) == [b'a', b'', b'b'] and TextLines(path).count() == 3


@pytest.mark.parametrize('name', ['x.tsv', 'x.tsv.gz'])
@pytest.mark.parametrize('after', [0, 1, 17, 2999, 3003])
def test_goes_on_from_any_place(tmp_path: Path, name: str, after: int) -> None:
    path = write(tmp_path / name, LINES)
    first = TextLines(path)
    iterator = iter(first)
    taken = [next(iterator) for _ in range(after)]
    second = TextLines(path, start=first.place)
    assert taken + list(second) == LINES
    assert second.place == (len(LINES), sum(len(line) + 1 for line in LINES))
    assert second.where == f'{name}:{len(LINES)}'


@pytest.mark.parametrize('name', ['x.tsv', 'x.tsv.gz'])
def test_endless_line_is_never_held(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with gzip.open(path, 'wb', 1) if path.suffix == '.gz' else path.open('wb') as file:
        file.write(b'before\n')
        for _ in range(100):
            file.write(b'x' * 1_000_000)
        file.write(b'\nafter\n')
    tracemalloc.start()
    lines = list(TextLines(path, max_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [lines[0], lines[2]] == [b'before', b'after'] and len(lines) == 3
    assert isinstance(lines[1], RowError) and lines[1].reason == 'line too long'
    assert '100,000,000 bytes, more than 1,048,576' in lines[1].detail
    assert peak < 12e6


def test_limit_is_exact(tmp_path: Path) -> None:
    path = write(tmp_path / 'x', [b'a' * 100, b'b' * 101, b'c'])
    assert [type(line) for line in TextLines(path, max_bytes=100)] == [bytes, RowError, bytes]


def test_gzip_file_that_is_cut_short(tmp_path: Path) -> None:
    whole = gzip.compress(b'\n'.join(LINES))
    path = tmp_path / 'x.gz'
    for cut in (12, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:cut])
        lines = TextLines(path)
        *good, last = list(lines)
        assert isinstance(last, RowError) and last.reason == 'broken gzip file' and 'fetch' in last.detail
        assert good == LINES[: len(good)]
        assert lines.where == f'x.gz:{len(good) + 1}'
        with pytest.raises(ValueError, match='broken gzip file'):
            lines.count()
    assert len(good) == len(LINES) - 1  # the last line may be cut, so it does not count


def test_gzip_file_with_wrong_bytes(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b'\n'.join(LINES)))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / 'x.gz'
    path.write_bytes(data)
    assert reasons(TextLines(path)) == ['broken gzip file']


def test_empty_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / 'x').touch()
    assert reasons(TextLines(tmp_path / 'x')) == ['empty file']
    assert list(TextLines(write(tmp_path / 'y.gz', []))) == []
    with pytest.raises(FileNotFoundError, match=r'there is no file .*/z'):
        TextLines(tmp_path / 'z')


def test_content_of_lines() -> None:
    assert decode_line('é犬'.encode()) == 'é犬'
    for line, message in (
        (b'a\0b', 'NUL byte: at byte 1'),
        (b'caption \xff\xfe', 'bad UTF-8: invalid start byte at byte 8'),
        ('é'.encode('latin-1'), 'bad UTF-8: unexpected end'),
        (RowError('line too long'), 'line too long'),
    ):
        with pytest.raises(RowError, match=message):
            decode_line(line)


def test_position_ends_at_the_size(tmp_path: Path) -> None:
    path = write(tmp_path / 'x.gz', LINES)
    lines = TextLines(path)
    positions = [lines.position for _ in lines]
    assert positions == sorted(positions) and lines.position == lines.size == path.stat().st_size
