"""The benchmarks of shards print what they measured, on a tiny set."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_datasets.test_shards.making import make_set, record

ROOT = Path(__file__).parents[2]


def test_report(tmp_path: Path) -> None:
    pytest.importorskip('datasets')
    command = [sys.executable, 'tools/benchmarks/shards.py', '--folder', str(tmp_path), '--rounds', '1']
    command += ['--rows', '70', '--image-bytes', '500', '--reads', '20']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert len(report['rows_per_second']) == 6 and all(rate > 0 for rate in report['rows_per_second'].values())
    assert set(report['megabytes']) == {'70 rows', '700 rows'} and not list(tmp_path.iterdir())
    assert all(0 < found['before'] <= found['peak'] for found in report['megabytes'].values())


def test_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'benchmarks'))
    monkeypatch.setenv('COLUMNS', '200')
    for name in ('cli', 'padding'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    tool = importlib.import_module('padding')
    make_set(tmp_path / 'set', [record(k, texts=(('en', 'dog ' * k), ('de', 'Hund ' * k))) for k in range(1, 60)])
    arguments = ['--batch-size', '4', '--pools', '1', '16', '--batches', '32']
    monkeypatch.setattr(sys, 'argv', ['padding.py', str(tmp_path / 'set'), *arguments])
    tool.run_main(tool.main)
    cells = capsys.readouterr().out.splitlines()[-2].split()
    plain, pooled, least, grouped = (float(cell.removesuffix('%')) for cell in cells[-4:])
    assert cells[1] == 'bytes' and least < pooled < plain / 2 and grouped <= pooled
