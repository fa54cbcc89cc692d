"""A file that is replaced is there whole, old or new, whatever happens."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rc3mm.utils.atomic import is_temporary, replacing


def test_the_new_content_is_there_at_the_end_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / 'file.txt'
    for old, new in ((None, 'first'), ('first', 'second')):
        with replacing(path) as temporary:
            temporary.write_text(new)
            assert (path.read_text() if path.exists() else None) == old
            assert temporary.parent == tmp_path
            assert is_temporary(temporary.name) and is_temporary(temporary.name, 'file.txt')
            assert not is_temporary(temporary.name, 'other.txt') and not is_temporary(path.name)
        assert [place.read_text() for place in tmp_path.iterdir()] == [new]


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / 'file.txt'
    path.write_text('old')
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text('half of the n')
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError), replacing(path):
        pass  # nothing was written
    assert [place.read_text() for place in tmp_path.iterdir()] == ['old']


def test_it_is_on_the_disk_before_it_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda handle: (calls.append('fsync'), fsync(handle)))
    monkeypatch.setattr(os, 'replace', lambda *paths: (calls.append('replace'), replace(*paths)))
    with replacing(tmp_path / 'file.txt') as temporary:
        temporary.write_text('new')
    assert calls == ['fsync', 'replace']


def test_a_process_that_dies_leaves_the_old_content_and_a_name_that_tells(tmp_path: Path) -> None:
    path = tmp_path / 'file.txt'
    path.write_text('old')
    code = f"""
import os, pathlib
from rc3mm.utils.atomic import replacing
with replacing(pathlib.Path({str(path)!r})) as temporary:
    temporary.write_text('half of the n')
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, '-c', code]).returncode == -signal.SIGKILL
    assert path.read_text() == 'old'
    (left,) = (place.name for place in tmp_path.iterdir() if place != path)
    assert is_temporary(left, 'file.txt')
