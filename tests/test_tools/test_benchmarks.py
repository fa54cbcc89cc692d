"""Benchmarks print one JSON line: parts of the training step, the data path, what contrastive losses cost."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

_SOURCES = ('strict', 'weak', 'parallel', 'task_texts')
_PEERS = ('ImageFolder', 'ImageFolder, uint8')


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


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_data_loading_compares_paths_and_tells_the_wait(warm: Any, tmp_path: Path) -> None:
    command = ['benchmarks/data_loading.py', '--folder', tmp_path, '--images', '64', '--size', '100x80']
    command += ['--workers', '1', '--batch-size', '8', '--rounds', '1', '--steps', '1', '--warmup', '1']
    command += ['--cfg-options', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    command += [f'train_dataloader.sampler.batch_size.{source}=4' for source in _SOURCES]
    command += ['train_dataloader.dataset.sources.weak.pipeline.2.scorer.num_sentences=300']
    done = warm(*command)
    assert done.code == 0, done.output[-2000:]
    report = json.loads(done.output.splitlines()[-1])
    ours = {f'{way}: rc3mm{texts}' for way in ('crop', 'squash', 'roi') for texts in ('', ', with texts')}
    theirs = {f'{way}: ImageFolder{kind}' for way in ('crop', 'squash') for kind in ('', ', uint8')}
    for rates in ('images_per_second', 'images_per_second_a_core', 'gigabytes_per_second'):
        assert set(report[rates]) == ours | theirs and all(rate > 0 for rate in report[rates].values()), rates
    assert set(report['times_as_fast']) == {f'{way}, as {peer}' for way in ('crop', 'squash') for peer in _PEERS}
    assert all(0 < found['USS, late'] < found['PSS, late'] for found in report['worker_megabytes'].values())
    assert 0 <= report['wait']['share_of_waiting_percent'] <= 100 and report['wait']['seconds_a_step'] > 0
    assert not list(tmp_path.iterdir())


def test_contrastive_scaling_is_linear_with_the_local_loss(warm: Any) -> None:
    done = warm('benchmarks/contrastive_scaling.py', '--processes', 1, 2, '--batch', 16, '--dim', 8)
    assert done.code == 0, done.output[-2000:]
    report = json.loads(done.output.splitlines()[-1])
    assert [case['global_batch'] for case in report['cases']] == [16, 16, 32, 32]
    local, whole = report['cases'][2:]
    # two views are gathered, and their gradients summed
    assert local['received_bytes'] == whole['received_bytes'] == 2 * 2 * 32 * 8 * 4
    assert local['peak_bytes'] < whole['peak_bytes']
