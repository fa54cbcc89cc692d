"""Benchmarks print one JSON line: the parts of the training step, and what contrastive losses cost."""

import json
from typing import Any


def test_train_step_reports_its_parts(warm: Any) -> None:
    command = ['benchmarks/train_step.py', 'configs/rc3/pretrain_tiny.py']
    command += ['--steps', '1', '--batches', '1', '--cfg-options']
    command += [
        f'train_dataloader.sampler.batch_size.{source}=4' for source in ('strict', 'weak', 'parallel', 'task_texts')
    ]
    command += ['train_dataloader.dataset.sources.weak.pipeline.2.scorer.num_sentences=300']
    done = warm(*command)
    assert done.code == 0, done.output[-2000:]
    report = json.loads(done.output.splitlines()[-1])
    assert report['benchmark'] == 'train_step'
    assert set(report['sources']) == {'strict', 'weak', 'parallel', 'task_texts'}
    for source in report['sources'].values():
        parts = {part: seconds for part, seconds in source['seconds'].items() if not part.startswith('data')}
        assert {'text', 'losses', 'backward', 'optimizer'} <= set(parts)
        assert 0.9 * source['step_seconds'] < sum(parts.values()) <= 1.05 * source['step_seconds']
        assert source['gflop'] > 0 and source['samples'] == 4
    assert report['samples_per_second'] > 0 and report['peak_memory_mb'] > 100
    assert 0 < report['share_of_matmul_rate'] < 1.5


def test_contrastive_scaling_is_linear_with_the_local_loss(warm: Any) -> None:
    done = warm('benchmarks/contrastive_scaling.py', '--processes', 1, 2, '--batch', 16, '--dim', 8)
    assert done.code == 0, done.output[-2000:]
    report = json.loads(done.output.splitlines()[-1])
    assert [case['global_batch'] for case in report['cases']] == [16, 16, 32, 32]
    local, whole = report['cases'][2:]
    # two views are gathered, and their gradients summed
    assert local['received_bytes'] == whole['received_bytes'] == 2 * 2 * 32 * 8 * 4
    assert local['peak_bytes'] < whole['peak_bytes']
