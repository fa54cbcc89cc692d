"""The benchmark of the WIT converter makes tables that convert, and prints one JSON line."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_report(tmp_path: Path) -> None:
    command = [sys.executable, 'tools/benchmarks/wit_converter.py', '--rows', '4000', '--folder', str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report['benchmark'] == 'wit_converter' and report['rows'] == 4000
    assert 300 < report['uncompressed_bytes_a_row'] < 3000
    assert 100 < report['kept_images'] < report['kept_texts'] < 2000
    assert 0 < report['peak_memory_gb'] < 2 and report['rows_per_second'] > 0
    assert not list(tmp_path.iterdir())
