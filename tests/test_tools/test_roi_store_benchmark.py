"""The benchmark of the store reads every layout and prints one JSON line."""

import json
from pathlib import Path
from typing import Any


def test_report(warm: Any, tmp_path: Path) -> None:
    command = ['benchmarks/roi_store.py', '--folder', str(tmp_path), '--rounds', '1']
    command += ['--images', '6', '--regions', '3', '--feature-dim', '16', '--shards', '5']
    done = warm(*command)
    assert done.code == 0, done.output[-2000:]
    report = json.loads(done.output.splitlines()[-1])
    layouts = ('volta_raw', 'volta_base64', 'npz_float16', 'npz_float32')
    ways = {f'{layout}, {way}' for layout in layouts for way in ('plain', 'rc3mm')}
    assert set(report['images_per_second']) == set(report['store_times_as_fast']) == ways | {'store'}
    assert all(value > 0 for value in report['images_per_second'].values())
    assert set(report['megabytes']) == {*layouts, 'store'}
    by_shards = report['by_shards']
    assert by_shards['images'] == 125 and set(by_shards['images_per_second']) == {'4 shards', '5 shards'}
    assert by_shards['many_times_as_fast_as_few'] > 0
    assert not list(tmp_path.iterdir())
