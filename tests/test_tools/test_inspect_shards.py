"""tools/inspect_shards.py and measure_token_lengths.py: tables, verdicts, rows and pictures of real sets."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rc3mm.datasets.shards import DropReport, RelevanceWriter, ShardSet
from tests.test_datasets.test_shards.making import make_set, record

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty rows in two to four languages, with relevance of two kinds and a report."""
    report = DropReport()
    report.read(7)
    report.rule('too short', 'in:3', 'a')
    report.fault('not UTF-8', 'in:4', 'byte 0xff')
    records = [record(k, ('en', 'de', 'ja', 'zh')[: 2 + k % 3], relevance=((0, 1, k / 20),)) for k in range(20)]
    records[3] = record(3, image_bytes=None, image_path='nowhere.jpg')
    shards = make_set(tmp_path / 'set', records, scorer='made', report=report, command='convert it')
    scores = RelevanceWriter(shards, 'labse', {'name': 'labse', 'calibration': {'c0': 0.1, 'c1': 0.8}})
    for number in range(2):
        scores.write(number, [[(0, 1, 1.0)] for _ in shards.shard_rows(number)])
    scores.finish()
    return tmp_path / 'set'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    """Runs a tool as its script does: exit code and all that it printed."""
    for place in ('tools', 'tools/dataset_converters'):
        monkeypatch.syspath_prepend(str(ROOT / place))
    monkeypatch.setenv('COLUMNS', '200')

    def call(name: str, *arguments: object) -> tuple[int, str]:
        for module in ('cli', name):
            monkeypatch.delitem(sys.modules, module, raising=False)
        tool = importlib.import_module(name)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        code = 0
        try:
            tool.run_main(tool.main)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out + err

    return call


def lines_of(output: str) -> dict[str, list[str]]:
    """First cell -> cells of the tables' lines."""
    lines = [[cell.strip() for cell in line.strip().split('  ') if cell.strip()] for line in output.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if cells}


def test_the_tables(folder: Path, run: Run) -> None:
    code, output = run('inspect_shards', folder)
    assert code == 0
    lines = lines_of(output)
    assert lines['rows'] == ['20'] and lines['images'] == ['19 in the shards, 1 by path']
    assert lines['shards'] == ['2 of 16 rows, groups of 4'] and lines['made by'][0].startswith('convert it (rc3mm ')
    assert lines['en'][0] == lines['de'][0] == '20' and lines['en'][2] == 'de 20, ja 14, zh 7'
    assert lines['labse'] == ['20', '1.000', '0.0%', '100.0%', '·········█', '{"c0": 0.1, "c1": 0.8}']
    assert lines['stored'][0] == '19' and lines['stored'][2] == '5.3%'
    assert lines['not UTF-8 (malformed)'] == ['1', 'in:4: byte 0xff'] and lines['too short'] == ['1', 'in:3: a']
    assert '27 read, 20 kept' in output


@pytest.mark.parametrize('chunk', [1, 7])
def test_the_arrays_are_looked_at_some_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.delitem(sys.modules, 'inspect_shards', raising=False)
    tool = importlib.import_module('inspect_shards')
    shards = ShardSet(folder)

    def cells() -> list[list[str]]:
        columns = [*tool.languages(shards).columns, *tool.relevance(shards).columns]
        return [[str(cell) for cell in column.cells] for column in columns]

    whole = cells()
    monkeypatch.setattr(tool, '_CHUNK', chunk)
    assert cells() == whole


def test_a_row(folder: Path, run: Run) -> None:
    lines = lines_of(run('inspect_shards', folder, '--row', 4)[1])
    assert lines['image_id'] == ['i4'] and lines['image'][0].endswith(' in the row, 12 x 8 pixels')
    assert lines['text 0 (en)'][0].startswith('en 4') and lines['relevance, labse'] == ['0-1: 1.000']
    lines = lines_of(run('inspect_shards', folder, '--row', 3)[1])
    assert lines['image'] == ['nowhere.jpg, which cannot be decoded'] and lines['relevance, stored'] == ['none']
    code, output = run('inspect_shards', folder, '--row', 20)
    assert code == 2 and output == 'error: row 20 is outside a set of 20 rows\n'


def test_whatever_the_texts_hold(tmp_path: Path, run: Run) -> None:
    text = 'Fig. 2 [/b] x'
    report = DropReport()
    report.fault('bad', 'in[/i]:3', text)
    records = [record(k, texts=(('en', text), ('de', ':dog: [a]'))) for k in range(3)]
    command = f'convert caf\udce9.tsv {text}'
    make_set(tmp_path / '[set]', records, report=report, command=command, made_of={'in': text})
    code, output = run('inspect_shards', tmp_path / '[set]')
    assert code == 0, output
    for shown in (f'in[/i]:3: {text}', f'convert caf\\udce9.tsv {text}', f'{{"in": "{text}"}}', '[set]'):
        assert ''.join(shown.split()) in ''.join(output.split()), output  # wherever a long path is wrapped
    code, output = run('inspect_shards', tmp_path / '[set]', '--row', 1, '--picture', tmp_path / '[x].png')
    assert code == 0 and lines_of(output)['text 0 (en)'] == [text], output
    assert lines_of(output)['text 1 (de)'] == [':dog: [a]'] and f'picture: {tmp_path}/[x].png' in output


def test_the_verdict(folder: Path, run: Run) -> None:
    code, output = run('inspect_shards', folder, '--verify')
    assert code == 0 and f'intact: {folder}, 20 rows' in output
    path = folder / 'part-00001.parquet'
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    index = folder / 'index' / 'languages.npy'
    index.write_bytes(index.read_bytes()[:-1] + b'\x01')
    (folder / 'relevance' / 'labse' / 'index' / 'score.npy').unlink()
    code, output = run('inspect_shards', folder, '--verify')
    assert code == 1 and '3 problems' in output and 'score.npy is missing' in output
    assert f'- {path} was altered' in output and f'- {index} was altered' in output


def test_the_picture(folder: Path, run: Run, tmp_path: Path) -> None:
    code, output = run('inspect_shards', folder, '--picture', tmp_path / 'x.png', '--num', 5)
    assert code == 0 and f'picture: {tmp_path}/x.png' in output
    with Image.open(tmp_path / 'x.png') as picture:
        assert picture.size[1] > 900
    code, output = run('inspect_shards', folder, '--picture', tmp_path / 'x.png', '--start', 20)
    assert code == 2 and 'there is none from --start 20 on' in output


def test_what_is_no_set(run: Run, tmp_path: Path) -> None:
    code, output = run('inspect_shards', tmp_path)
    assert code == 2 and output.count('\n') == 1 and 'is no shard set' in output


def test_measuring_token_lengths(folder: Path, run: Run) -> None:
    code, output = run('measure_token_lengths', folder, '--tokenizer', 'emoji')
    assert code == 0 and lines_of(output)[str(folder)][0] == f'{ShardSet(folder).manifest.texts}'
    (path,) = (folder / 'index').glob('tokens-*.npy')
    before = path.stat().st_mtime_ns
    assert run('measure_token_lengths', folder, '--tokenizer', 'emoji')[0] == 0
    assert path.stat().st_mtime_ns == before
    assert path.stem.removeprefix('tokens-') in run('inspect_shards', folder)[1]
    code, output = run('measure_token_lengths', folder, '--tokenizer', str(folder))
    assert code == 2 and output.startswith('error: the tokenizer')
