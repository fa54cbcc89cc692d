"""tools/dataset_converters/work_folder.py: nothing is used or removed that the conversion has not made."""

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Any]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for place in ('tools', 'tools/dataset_converters'):
        monkeypatch.syspath_prepend(str(ROOT / place))
    for name in ('cli', 'work_folder'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module('work_folder')


@pytest.fixture
def make(module: ModuleType, tmp_path: Path) -> Make:
    def make(made_of: dict[str, Any], work: Path | None = None, overwrite: bool = False) -> Any:
        args = argparse.Namespace(out=tmp_path / 'wit', work=work, overwrite=overwrite)
        return module.WorkFolder(args, made_of)

    return make


def test_it_is_a_folder_of_its_own(make: Make, tmp_path: Path) -> None:
    mine = tmp_path / 'scratch'
    mine.mkdir()
    for name in ('thesis.txt', '.thesis.txt.tmp'):
        (mine / name).write_text('mine')
    work = make({'a': 1}, mine)
    assert work.begin() == mine / 'wit.work'
    (work.path / 'big').write_text('x')
    work.remove()
    assert sorted(path.name for path in mine.iterdir()) == ['.thesis.txt.tmp', 'thesis.txt']
    assert make({'a': 1}).begin() == tmp_path / 'wit.work'


def test_the_same_conversion_goes_on_with_it(make: Make) -> None:
    folder = make({'a': (1, 2)}).begin()
    (folder / 'step').write_text('done')
    (folder / '.step.abc.tmp').write_text('half')
    assert make({'a': [1, 2]}).begin() == folder
    assert sorted(path.name for path in folder.iterdir()) == ['made_of.json', 'step']


def test_another_conversion_does_not(module: ModuleType, make: Make) -> None:
    folder = make({'a': 1}).begin()
    (folder / 'step').write_text('done')
    with pytest.raises(module.CommandLineError, match=r'wit\.work was begun with other files or options.*--overwrite'):
        make({'a': 2}).begin()
    make({'a': 2}).remove()
    assert (folder / 'step').is_file()
    make({'a': 2}, overwrite=True).begin()
    assert not (folder / 'step').exists()
    (folder / 'step').write_text('done')
    make({'a': 2}, overwrite=True).begin()
    assert (folder / 'step').is_file()  # the same again: not from the beginning


def test_a_folder_of_someone_else_is_left_alone(module: ModuleType, make: Make, tmp_path: Path) -> None:
    other = tmp_path / 'wit.work'
    other.mkdir()
    (other / '.made_of.json.abc.tmp').write_text('')  # a run that was killed at once
    make({'a': 1}).begin()
    (other / 'made_of.json').unlink()
    (other / 'thesis.txt').write_text('mine')
    for overwrite in (False, True):
        work = make({'a': 1}, overwrite=overwrite)
        with pytest.raises(module.CommandLineError, match='holds files that no conversion made'):
            work.begin()
        work.remove()
    assert (other / 'thesis.txt').is_file()
