"""The benchmark of the WIT converter makes tables that convert, and prints one JSON line."""

import json
from pathlib import Path
from typing import Any


def test_report(warm: Any, tmp_path: Path) -> None:
    command = ['benchmarks/wit_converter.py', '--rows', '4000', '--folder', str(tmp_path)]
    done = warm(*command)
    assert done.code == 0, done.output[-2000:]
    report = json.loads(done.output.splitlines()[-1])
    assert report['benchmark'] == 'wit_converter' and report['rows'] == 4000
    assert 300 < report['uncompressed_bytes_a_row'] < 3000
    assert 100 < report['kept_images'] < report['kept_texts'] < 2000
    assert 0 < report['peak_memory_gb'] < 2 and report['rows_per_second'] > 0
    assert not list(tmp_path.iterdir())
