"""The benchmark of the store reads every layout and prints one JSON line."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_report(tmp_path: Path) -> None:
    command = [sys.executable, 'tools/benchmarks/roi_store.py', '--folder', str(tmp_path), '--rounds', '1']
    command += ['--images', '6', '--regions', '3', '--feature-dim', '16', '--shards', '5']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    layouts = ('volta_raw', 'volta_base64', 'npz_float16', 'npz_float32')
    ways = {f'{layout}, {way}' for layout in layouts for way in ('plain', 'rc3mm')}
    assert set(report['images_per_second']) == set(report['store_times_as_fast']) == ways | {'store'}
    assert all(value > 0 for value in report['images_per_second'].values())
    assert set(report['megabytes']) == {*layouts, 'store'}
    by_shards = report['by_shards']
    assert by_shards['images'] == 125 and set(by_shards['images_per_second']) == {'4 shards', '5 shards'}
    assert by_shards['many_times_as_fast_as_few'] > 0
    assert not list(tmp_path.iterdir())
