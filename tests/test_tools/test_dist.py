"""Two processes with half of the batch each do what one does with the whole; torchrun and gloo are real."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rc3mm.datasets import MixedSourceSampler

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS, BATCH = 4, 8
pytestmark = pytest.mark.slow


def launch(script: str, *arguments: object, nodes: int = 1) -> str:
    """Run dist_train.sh or dist_test.sh on a free port, once for each of several nodes; what the first printed."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if key not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
    env |= {'PYTHON': sys.executable, 'PORT': str(port), 'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
    env |= {'NNODES': str(nodes), 'MASTER_ADDR': '127.0.0.1'}
    command = [str(ROOT / 'tools' / script), *map(str, arguments)]
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    running = [
        subprocess.Popen(command, cwd=ROOT, env=env | {'NODE_RANK': str(node)}, **output) for node in range(nodes)
    ]
    printed = [process.communicate(timeout=240)[0] for process in running]
    for process, text in zip(running, printed, strict=True):
        assert process.returncode == 0, text[-6000:]
    return printed[0]


def seed_with_every_source() -> int:
    """A sampler's seed with which the few iterations draw every source, and strict before weak."""
    dataset = SimpleNamespace(names=['strict', 'weak', 'parallel'], sizes=[100, 100, 100])
    for seed in range(1000):
        drawn = MixedSourceSampler(dataset, BATCH, seed=seed).sources(0)[:ITERATIONS].tolist()
        if set(drawn) == {0, 1, 2} and drawn.index(0) < drawn.index(1):
            return seed
    raise AssertionError('no such seed')


@pytest.fixture
def plain_sgd(configs: Path) -> Path:
    """The tiny config with SGD; AdamW would blow the noise of small gradients up to whole steps."""
    path = configs / 'plain_sgd.py'
    path.write_text(
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from .rc3.pretrain_tiny import *\n'
        'from torch.optim import SGD\n'
        'optim_wrapper.optimizer = dict(type=SGD, lr=0.3, momentum=0.9)\n'
        'custom_hooks = []\n'
        'test_after_train = False\n'
    )
    return path


def test_training_is_that_of_one_process(
    warm: Any, plain_sgd: Path, shrunk: Callable[..., list[str]], tmp_path: Path
) -> None:
    def options(processes: int) -> list[str]:
        return [
            '--cfg-options',
            *shrunk(ITERATIONS, batch=BATCH // processes),
            *(f'train_dataloader.sampler.ratios.{source}=1' for source in ('strict', 'weak', 'parallel')),
            f'train_dataloader.sampler.seed={seed_with_every_source()}',
            f'+model.negatives_within={BATCH // 2}',
            'model.text_encoder.position_shift=0',  # drawn by each process for itself, as dropout is
        ]

    done = warm('train.py', plain_sgd, '--work-dir', tmp_path / 'one', *options(1))
    assert done.code == 0, done.output[-3000:]
    launch('dist_train.sh', plain_sgd, 1, '--work-dir', tmp_path / 'two', *options(2), nodes=2)
    # the environment is for the log file alone
    assert any('GPU number: 2' in log.read_text() for log in (tmp_path / 'two').glob('*/*.log'))
    one, two = (torch.load(tmp_path / name / f'iter_{ITERATIONS}.pth', weights_only=True) for name in ('one', 'two'))
    assert one['state_dict'].keys() == two['state_dict'].keys()
    for name, value in one['state_dict'].items():
        torch.testing.assert_close(
            two['state_dict'][name], value, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f'{n}: {m}'
        )
    # and the weights have moved by far more than that
    early = torch.load(tmp_path / 'one' / 'iter_2.pth', weights_only=True)['state_dict']
    moved = [float((value - early[name]).abs().max()) for name, value in one['state_dict'].items()]
    assert max(moved) > 1e-2
    assert int(one['state_dict']['objectives.rxvtcl.means.updates']) >= 1
    assert (len(one['rng']), len(two['rng'])) == (1, 2)

    def losses(name: str) -> dict[int, dict[str, float]]:
        (file,) = (tmp_path / name).glob('*/vis_data/scalars.json')
        records = [json.loads(line) for line in file.read_text().splitlines()]
        return {
            r['step']: {k: v for k, v in r.items() if k.startswith('retrieval')} for r in records if 'loss' not in r
        }

    assert losses('one') == losses('two') != {}  # the evaluations in between agree too


def test_testing_is_that_of_one_process(warm: Any, trained: Any, tmp_path: Path) -> None:
    common = (trained.config, trained.work_dir / 'iter_4.pth')
    # an odd number of scenes, of which no process may count one twice, in batches of other sizes
    options = [
        '--cfg-options',
        *trained.options,
        'test_dataloader.dataset.num_scenes=7',
        'test_dataloader.batch_size=3',
    ]
    done = warm('test.py', *common, '--work-dir', tmp_path / 'one', *options)
    assert done.code == 0, done.output[-3000:]
    out, items = tmp_path / 'out.json', tmp_path / 'items.jsonl'
    launch(
        *(
            'dist_test.sh',
            *common,
            2,
            '--work-dir',
            tmp_path / 'two',
            '--out',
            out,
            '--out-item',
            items,
            *options,
        )
    )
    two = json.loads(out.read_text(encoding='utf-8'))
    one = json.loads((tmp_path / 'one' / 'results.json').read_text(encoding='utf-8'))
    assert two['metrics'] == pytest.approx(one['metrics'], abs=1e-4)
    assert two['metrics']['retrieval/de/num_t2i'] == two['metrics']['shortcut/zh/num_items'] == 7
    assert two['num_items'] == 7
    assert len(items.read_text(encoding='utf-8').splitlines()) == 2 * 6 * 7
