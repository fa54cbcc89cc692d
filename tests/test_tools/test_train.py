"""tools/train.py as a user runs it: what it prints, and what it leaves in the work dir."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from rc3mm.utils.checkpoint import read_checkpoint

LANGUAGES = ('en', 'de', 'fr', 'cs', 'ja', 'zh')
pytestmark = pytest.mark.slow


def test_the_table_shows_every_language_and_the_mean_without_english(trained: Any) -> None:
    table = trained.output[trained.output.index('zero-shot, split test, 8 images') :]
    for language in LANGUAGES:
        (row,) = re.findall(rf'^\W*{language}\s.*\d.*$', table, flags=re.MULTILINE)
        assert '…' not in row and len(re.findall(r'\d+\.\d+', row)) >= 8, row
    (mean,) = re.findall(r'^\W*mean w/o en.*\d.*$', table, flags=re.MULTILINE)
    assert '…' not in mean
    assert 'shortcut accuracy' in table


def test_results_hold_all_that_is_needed_to_trust_and_repeat_them(trained: Any) -> None:
    results = json.loads((trained.work_dir / 'results.json').read_text(encoding='utf-8'))
    assert (results['setting'], results['split'], results['num_items']) == ('zero-shot', 'test', 8)
    assert results['seed'] == 0 and results['form'] == 'patch'
    assert results['checkpoint'] == str(trained.work_dir / 'iter_4.pth')
    assert set(results['git']) == {'revision', 'dirty'}
    assert {'torch', 'mmengine', 'transformers', 'rc3mm'} <= set(results['environment']['versions'])
    assert results['timings']['train_seconds'] > 0 and results['timings']['test_seconds'] > 0
    assert 'max_iters=4' in results['config'].replace(' ', '')
    metrics = results['metrics']
    for language in LANGUAGES:
        for direction in ('t2i', 'i2t'):
            assert 0 <= metrics[f'retrieval/{language}/{direction}_R@1'] <= 100
            assert 0 <= metrics[f'retrieval/{language}/itm_{direction}_R@1'] <= 100
    others = [metrics[f'retrieval/{language}/t2i_R@5'] for language in LANGUAGES[1:]]
    assert metrics['retrieval/mean/t2i_R@5'] == pytest.approx(sum(others) / 5)


def test_the_work_dir(trained: Any) -> None:
    work_dir: Path = trained.work_dir
    assert Config.fromfile(work_dir / 'pretrain_tiny.py').train_cfg.max_iters == 4
    assert sorted(path.name for path in work_dir.glob('iter_*.pth')) == ['iter_2.pth', 'iter_4.pth']
    assert (work_dir / 'last_checkpoint').read_text(encoding='utf-8') == str(work_dir / 'iter_4.pth')
    assert not list(work_dir.glob('.*'))  # nothing half written
    for picture in ('losses.png', 'gallery.png'):
        assert (work_dir / picture).read_bytes().startswith(b'\x89PNG')
    table = (work_dir / 'results.md').read_text(encoding='utf-8')
    assert all(f'|{name}|' in table for name in (*LANGUAGES, '**mean w/o en**'))
    (log_dir,) = (path.parent for path in work_dir.glob('*/vis_data'))
    assert list(log_dir.glob('*.log'))
    assert list(log_dir.rglob('events.out.tfevents.*'))
    lines = (log_dir / 'vis_data' / 'scalars.json').read_text(encoding='utf-8').splitlines()
    records = [json.loads(line) for line in lines]
    losses = [record for record in records if 'loss' in record]
    assert [record['step'] for record in losses] == [1, 2, 3, 4]
    assert all('lr' in record and 'grad_norm' in record for record in losses)
    assert any('retrieval/mean_R@1' in record for record in records)


def test_a_checkpoint_reads_safely_and_tells_where_it_comes_from(trained: Any) -> None:
    checkpoint = read_checkpoint(trained.work_dir / 'iter_4.pth')
    assert set(checkpoint) >= {'meta', 'state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'rng'}
    assert checkpoint['meta']['iter'] == 4 and checkpoint['meta']['seed'] == 0
    assert 'torch' in checkpoint['meta']['versions']


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['configs/rc3/pretrain_tinny.py'], 'did you mean configs/rc3/pretrain_tiny.py?'),
        (['configs/rc3/pretrain_tiny.py', '--cfg-options', 'train_cfg.max_iter=3'], 'train_cfg.max_iters'),
        (
            ['configs/rc3/pretrain_tiny.py', '--cfg-options', 'train_cfg.max_iters=a'],
            'is a str, but the config has',
        ),
        (['configs/rc3/pretrain_tiny.py', '--resume', 'nowhere.pth'], 'no checkpoint at nowhere.pth'),
    ],
)
def test_a_mistake_ends_with_one_line(warm: Any, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = warm('train.py', *arguments, '--work-dir', tmp_path / 'work')
    assert done.code == 2
    assert done.output.startswith('error: ') and done.output.count('\n') == 1 and said in done.output
    assert not (tmp_path / 'work').exists()
