"""tools/tables.py: whatever corpora, file names and commands hold is shown as it is."""

import importlib
import io
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from rc3mm.datasets.shards import DropReport

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return importlib.import_module('tables')


def shown(what: object) -> str:
    file = io.StringIO()
    Console(file=file, width=120).print(what)
    return file.getvalue()


@pytest.mark.parametrize('text', ['Fig. 2 [/b] x', '[bold]a[/]', 'a :dog: b', 'back\\', '犬 [1, 2]', 'a\\[b'])
def test_as_it_is(tables: ModuleType, text: str) -> None:
    assert shown(tables.verbatim(text)).rstrip('\n') == text


def test_what_terminals_obey_is_written_out(tables: ModuleType) -> None:
    assert str(tables.verbatim('a\x1b[31mb\r\n\ud800')) == 'a\\x1b[31mb\\r\\n\\ud800'
    assert str(tables.verbatim(Path('a/b'))) == 'a/b'


def test_what_was_left_out(tables: ModuleType) -> None:
    report = DropReport()
    report.read(3)
    report.fault('bad UTF-8', '[x].tsv:2', 'Fig. 2 [/b] x')
    report.rule('too short', count=2)
    lines = [line.split('  ') for line in shown(tables.drop_table(report)).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ['bad UTF-8 (malformed)', '1', '[x].tsv:2: Fig. 2 [/b] x'] in cells and ['too short', '2'] in cells
    assert cells[0] == ['left out (3 read, 0 kept)']
