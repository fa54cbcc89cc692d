"""LineIndex finds every line, survives workers, and notices that the file has changed."""

import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.datasets.line_index import LineIndex

LINES = ['first', 'zweite Zeile, größer', '', '三行目', '  ', 'last']
CONTENT = [line for line in LINES if line.strip()]


def write(path: Path, lines: list[str], end: str = '\n') -> Path:
    path.write_bytes(end.join(lines).encode())
    return path


def texts(index: LineIndex) -> list[str]:
    return [index.line(k).decode() for k in range(len(index))]


def read_two(index: LineIndex, order: list[int], out: multiprocessing.Queue) -> None:
    out.put([index.line(k).decode() for k in order])


@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_lines_and_their_numbers(tmp_path: Path, end: str) -> None:
    index = LineIndex(write(tmp_path / 'a.txt', LINES, end))
    assert texts(index) == CONTENT
    assert [index.number(k) for k in range(len(index))] == [1, 2, 4, 6]
    assert isinstance(index._records, np.memmap)
    with pytest.raises(IndexError, match=r'outside the 4 lines of .*a\.txt'):
        index.line(4)


@settings(max_examples=30, deadline=None)
@given(lines=st.lists(st.text(st.characters(blacklist_characters='\n\r', codec='utf-8'), max_size=20)))
def test_any_text(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = write(tmp_path_factory.mktemp('any') / 'a.txt', lines)
    assert texts(LineIndex(path)) == [line for line in lines if line.encode().strip()]


def test_many_lines_span_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('rc3mm.datasets.line_index._CHUNK', 7)
    index = LineIndex(write(tmp_path / 'a.txt', [str(k) for k in range(100)]))
    assert texts(index) == [str(k) for k in range(100)]
    assert not list(tmp_path.glob('.*.tmp'))


def test_kept_index_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / 'a.txt', LINES)
    assert texts(LineIndex(path)) == CONTENT
    monkeypatch.delattr(LineIndex, '_scan')
    assert texts(LineIndex(path)) == CONTENT
    assert {file.name for file in tmp_path.iterdir()} == {'a.txt', 'a.txt.index.npy'}


@pytest.mark.parametrize('change', ['size', 'time', 'broken', 'pickled'])
def test_index_is_made_anew(tmp_path: Path, change: str) -> None:
    path = write(tmp_path / 'a.txt', LINES)
    assert len(LineIndex(path)) == 4
    stored = tmp_path / 'a.txt.index.npy'
    expected = CONTENT
    if change == 'size':
        expected = texts(LineIndex(write(path, [*LINES, 'more'])))
        assert expected == [*CONTENT, 'more']
    elif change == 'time':
        write(path, expected := ['FIRST', *CONTENT[1:]])
        os.utime(path, ns=(0, 10**9))
    elif change == 'broken':
        stored.write_bytes(stored.read_bytes()[:-3])
    else:
        np.save(stored, np.array([{'an': 'object'}], dtype=object), allow_pickle=True)
    assert texts(LineIndex(path)) == expected
    assert np.load(stored, mmap_mode='r').ndim == 1


@pytest.mark.parametrize('cache_works', [True, False])
def test_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_works: bool) -> None:
    path = write(tmp_path / 'a.txt', LINES)
    really = LineIndex._write

    def refuse(self: LineIndex, place: Path) -> None:
        if place.parent == tmp_path or not cache_works:
            raise PermissionError(13, 'read-only')
        really(self, place)

    monkeypatch.setattr(LineIndex, '_write', refuse)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    index = LineIndex(path)
    assert texts(index) == CONTENT
    assert isinstance(index._records, np.memmap) == cache_works
    assert len(list((tmp_path / 'cache').rglob('*-a.txt.index.npy'))) == cache_works
    assert texts(pickle.loads(pickle.dumps(index))) == CONTENT


def test_forked_processes(tmp_path: Path) -> None:
    index = LineIndex(write(tmp_path / 'a.txt', [f'line {k} ' + 'x' * k for k in range(200)]))
    index.line(0)  # the descriptor is open before the fork
    context = multiprocessing.get_context('fork')
    orders = [list(range(200)), list(range(199, -1, -1))]
    queues = [context.Queue() for _ in orders]
    workers = [context.Process(target=read_two, args=(index, o, q)) for o, q in zip(orders, queues, strict=True)]
    for worker in workers:
        worker.start()
    for order, queue in zip(orders, queues, strict=True):
        assert queue.get(timeout=60) == [f'line {k} ' + 'x' * k for k in order]
    for worker in workers:
        worker.join(30)


def test_pickle_holds_no_offsets(tmp_path: Path) -> None:
    index = LineIndex(write(tmp_path / 'a.txt', [str(k) for k in range(5000)]))
    assert len(pickle.dumps(index)) < 2000
    assert texts(pickle.loads(pickle.dumps(index))) == texts(index)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'no file .*nothing\.txt'):
        LineIndex(tmp_path / 'nothing.txt')
    path = write(tmp_path / 'a.txt', LINES)
    index = LineIndex(path)
    packed = pickle.dumps(index)
    path.write_bytes(b'f')
    with pytest.raises(ValueError, match=r'a\.txt became shorter'):
        index.line(0)
    with pytest.raises(FileNotFoundError, match=r'the file has changed'):
        pickle.loads(packed)


def test_empty_file(tmp_path: Path) -> None:
    assert len(LineIndex(write(tmp_path / 'a.txt', []))) == 0


def test_progress_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr('rc3mm.datasets.line_index._PROGRESS_SECONDS', -1)
    monkeypatch.setattr('rc3mm.datasets.line_index.print_log', lambda message, **_: said.append(message))
    LineIndex(write(tmp_path / 'a.txt', ['a', 'b']))
    assert said == [f'indexing {tmp_path}/a.txt: 67 %', f'indexing {tmp_path}/a.txt: 100 %']
