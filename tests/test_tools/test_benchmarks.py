"""The benchmark of the training step prints one JSON line whose parts make up the step."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_train_step_reports_its_parts() -> None:
    command = [sys.executable, 'tools/benchmarks/train_step.py', 'configs/rc3/pretrain_tiny.py']
    command += ['--steps', '1', '--warmup', '1', '--batches', '1', '--cfg-options']
    command += [f'train_dataloader.sampler.batch_size.{source}=4' for source in ('strict', 'weak', 'parallel')]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report['benchmark'] == 'train_step'
    assert set(report['sources']) == {'strict', 'weak', 'parallel'}
    for source in report['sources'].values():
        parts = {part: seconds for part, seconds in source['seconds'].items() if not part.startswith('data')}
        assert {'text', 'losses', 'backward', 'optimizer'} <= set(parts)
        assert 0.9 * source['step_seconds'] < sum(parts.values()) <= 1.05 * source['step_seconds']
        assert source['gflop'] > 0 and source['samples'] == 4
    assert report['samples_per_second'] > 0 and report['peak_memory_mb'] > 100
    assert 0 < report['share_of_matmul_rate'] < 1.5
