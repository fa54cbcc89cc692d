"""A training killed at any moment and resumed ends with the very bits of one that was never interrupted.

Every interruption is SIGKILL, sent to a real `tools/train.py` by itself at a chosen moment or by the test.
Dropout is on, so the random generators matter; two threads compute; evaluation takes place in between.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rc3mm.datasets import EmojiParallel
from rc3mm.datasets.shards import ImageTextRecord, ShardWriter

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS, EVERY = 8, 2
pytestmark = pytest.mark.slow

# Runs inside of the training process: notes which batches are read and when an evaluation ends.
WATCH = """
import json, os, signal
import torch
from rc3mm.datasets import MixedSources
from rc3mm.engine import RetrievalLoop

torch.set_num_threads(2)
NOTES = {notes!r}

def note(what, number):
    with open(NOTES, 'a') as file:
        file.write(json.dumps([os.getpid(), what, number]) + chr(10))

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

get = MixedSources.__getitem__
def __getitem__(self, draws):
    note('read', draws[0].iteration)
    return get(self, draws)
MixedSources.__getitem__ = __getitem__

evaluate = RetrievalLoop.run
def run(self):
    metrics = evaluate(self)
    note('evaluated', self.runner.iter)
    return metrics
RetrievalLoop.run = run
"""

KILLS = {
    # after the backward pass of iteration n, before the optimiser's step
    'in an iteration': """
from mmengine.optim import OptimWrapper
backward = OptimWrapper.backward
def killing(self, loss, **kwargs):
    backward(self, loss, **kwargs)
    last = json.loads(open(NOTES).read().splitlines()[-1])
    if last[1:] == ['read', {n}]:
        kill()
OptimWrapper.backward = killing
""",
    # iteration n is over; the next batch is read
    'between iterations': """
counted = MixedSources.__getitem__
def killing(self, draws):
    if draws[0].iteration == {n}:
        kill()
    return counted(self, draws)
MixedSources.__getitem__ = killing
""",
    # the checkpoint of iteration n is on the disk, the evaluation of its weights is not over
    'in an evaluation': """
rank = RetrievalLoop._rank
def killing(self, index, local, language, form):
    if self.runner.iter == {n} and language == 'fr':
        kill()
    return rank(self, index, local, language, form)
RetrievalLoop._rank = killing
""",
    # half of the checkpoint of iteration n is written
    'in a checkpoint': """
import io, torch
save = torch.save
def killing(checkpoint, file):
    if checkpoint['meta']['iter'] != {n}:
        return save(checkpoint, file)
    whole = io.BytesIO()
    save(checkpoint, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    kill()
torch.save = killing
""",
    # the checkpoint of iteration n is there under its name, `last_checkpoint` still names the one before
    'after a checkpoint': """
replace = os.replace
def killing(source, target):
    if str(target).endswith('last_checkpoint') and 'iter_{n}.pth' in open(source).read():
        kill()
    replace(source, target)
os.replace = killing
""",
}


def same(a: Any, b: Any, where: str = '') -> None:
    """Assert that two nests of containers and tensors are equal to the last bit."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f'{where}.{key}')
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f'{where}.{number}')
    else:
        assert a == b, where


class Training:
    """One work dir, with the ways to start, kill and resume its training."""

    def __init__(self, warm: Any, folder: Path, config: Path, arguments: list[str]) -> None:
        self.warm, self.folder, self.config, self.arguments = warm, folder, config, arguments
        self.work_dir = folder / 'work'
        self.notes = folder / 'notes'
        folder.mkdir()
        self.starts = 0

    def run(self, kill: str | None = None, n: int = 0, meanwhile: Callable[[int], None] | None = None) -> list[Any]:
        """Train, from the newest checkpoint if there is one, to the end or to the kill; returns what was noted."""
        self.starts += 1
        before = self.folder / f'before_{self.starts}.py'
        before.write_text(WATCH.format(notes=str(self.notes)) + (KILLS[kill].format(n=n) if kill else ''))
        self.notes.write_text('')
        done = self.warm(
            *('train.py', self.config, '--work-dir', self.work_dir, '--resume', *self.arguments),
            before=[before],
            meanwhile=meanwhile,
        )
        expected = -signal.SIGKILL if kill or meanwhile else 0
        assert done.code == expected, done.output[-3000:]
        assert 'metainfo from the resumed checkpoint is different' not in done.output
        return [json.loads(line)[1:] for line in self.notes.read_text().splitlines()]

    def assert_same_end(self, other: 'Training') -> None:
        """Weights, buffers, optimiser, schedules, averages and generators are equal to the last bit."""
        mine, theirs = (torch.load(t.work_dir / f'iter_{ITERATIONS}.pth', weights_only=True) for t in (self, other))
        for checkpoint in (mine, theirs):
            for part in ('meta', 'message_hub'):  # times of day, durations and the paths of the two folders
                checkpoint.pop(part)
        assert {'state_dict', 'optimizer', 'param_schedulers', 'rng'} <= mine.keys()
        assert any(key.startswith('objectives.rxvtcl.means.') for key in mine['state_dict'])
        same(mine, theirs)


@pytest.fixture
def training(warm: Any, tmp_path: Path, shrunk: Callable[..., list[str]]) -> Callable[..., Training]:
    """Makes trainings of a config with dropout, evaluation every 4 iterations and without reports."""

    def make(name: str, config: Path, *arguments: str) -> Training:
        options = [
            *shrunk(ITERATIONS, interval=EVERY),
            'train_cfg.val_interval=4',
            'default_hooks.checkpoint.max_keep_ckpts=9',
            'train_dataloader.sampler.ratios.parallel=0.5',
            'model.text_encoder.config.hidden_dropout_prob=0.1',
            '+model.fusion.dropout=0.1',
            'test_after_train=False',
        ]
        if config == TINY:
            options.append('custom_hooks=None')
        return Training(warm, tmp_path / name, config, [*arguments, '--cfg-options', *options])

    return make


TINY = ROOT / 'configs/rc3/pretrain_tiny.py'


def reads(start: int, stop: int) -> list[list[Any]]:
    """The notes of a run that reads these batches, each once and in order."""
    return [['read', number] for number in range(start, stop)]


def only_reads(notes: list[Any]) -> list[Any]:
    """Without the evaluations."""
    return [entry for entry in notes if entry[0] == 'read']


def test_killed_at_every_kind_of_moment(training: Callable[..., Training]) -> None:
    whole, broken = training('whole', TINY), training('broken', TINY)
    notes = whole.run()
    assert notes == [*reads(0, 4), ['evaluated', 4], *reads(4, 8), ['evaluated', 8]]

    assert broken.run('between iterations', 1) == reads(0, 1)  # nothing saved yet
    assert broken.run('in an iteration', 3) == reads(0, 4)
    assert broken.run('in an evaluation', 4) == reads(2, 4)
    # the evaluation that was cut short is made up for, and no batch is read again that a checkpoint knows
    assert broken.run('in a checkpoint', 6) == [['evaluated', 4], *reads(4, 6)]
    assert list(broken.work_dir.glob('.iter_6.pth.*.tmp'))
    assert not (broken.work_dir / 'iter_6.pth').exists()
    assert broken.run('after a checkpoint', 6) == [['evaluated', 4], *reads(4, 6)]
    assert (broken.work_dir / 'last_checkpoint').read_text() == str(broken.work_dir / 'iter_4.pth')
    assert broken.run() == [*reads(6, 8), ['evaluated', 8]]
    assert not list(broken.work_dir.glob('.*'))  # what the kill left half written is gone
    broken.assert_same_end(whole)

    # A copy that was cut short has the newest name, but is passed over.
    newest = broken.work_dir / f'iter_{ITERATIONS}.pth'
    newest.write_bytes(newest.read_bytes()[:200_000])
    assert broken.run() == [*reads(6, 8), ['evaluated', 8]]
    broken.assert_same_end(whole)


def test_killed_from_outside_with_bfloat16(training: Callable[..., Training]) -> None:
    whole, broken = training('whole', TINY, '--amp'), training('broken', TINY, '--amp')
    whole.run()

    def kill_after_checkpoint(number: int) -> Callable[[int], None]:
        def watch(pid: int) -> None:
            deadline = time.monotonic() + 60
            while not (broken.work_dir / f'iter_{number}.pth').exists() and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(0.05)  # somewhere in what follows
            os.kill(pid, signal.SIGKILL)

        return watch

    first = broken.run(meanwhile=kill_after_checkpoint(2))
    second = broken.run(meanwhile=kill_after_checkpoint(4))
    last = broken.run()
    assert only_reads(first)[0] == ['read', 0]
    for notes in (second, last):
        assert only_reads(notes) == [] or only_reads(notes)[0][1] in (2, 4, 6)
    broken.assert_same_end(whole)


@pytest.fixture
def averaged(configs: Path) -> Path:
    """A config with averaged weights and gradient accumulation."""
    path = configs / 'averaged.py'
    path.write_text(
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from .rc3.pretrain_tiny import *\n'
        'from mmengine.hooks import EMAHook\n'
        'custom_hooks = [dict(type=EMAHook, momentum=0.3)]\n'
        'optim_wrapper.update(accumulative_counts=2)\n'
    )
    return path


def test_killed_with_averaged_weights_and_accumulated_gradients(
    training: Callable[..., Training], averaged: Path
) -> None:
    whole, broken = training('whole', averaged), training('broken', averaged)
    whole.run()
    assert broken.run('in an iteration', 3) == reads(0, 4)
    assert broken.run('in an evaluation', 4) == reads(2, 4)  # the averaged weights are in the model's place
    assert broken.run() == [['evaluated', 4], *reads(4, 8), ['evaluated', 8]]
    broken.assert_same_end(whole)
    checkpoint = torch.load(whole.work_dir / f'iter_{ITERATIONS}.pth', weights_only=True)
    average, last = checkpoint['state_dict'], checkpoint['ema_state_dict']  # the hook stores them swapped
    assert not torch.equal(average['image_projection.weight'], last['module.image_projection.weight'])


def test_a_checkpoint_between_two_steps_is_refused(training: Callable[..., Training], averaged: Path) -> None:
    odd = training('odd', averaged)
    done = odd.warm(
        *(
            'train.py',
            averaged,
            '--work-dir',
            odd.work_dir,
            *odd.arguments,
            'default_hooks.checkpoint.interval=3',
        )
    )
    assert done.code == 1
    assert 'checkpoint interval 3 is not a multiple of accumulative_counts 2' in done.output


def test_weights_alone_cannot_be_resumed_from(training: Callable[..., Training], trained: Any, tmp_path: Path) -> None:
    checkpoint = torch.load(trained.work_dir / 'iter_4.pth', weights_only=True)
    torch.save({'state_dict': checkpoint['state_dict']}, tmp_path / 'weights.pth')
    run = training('run', TINY)
    done = run.warm('train.py', TINY, '--work-dir', run.work_dir, '--resume', tmp_path / 'weights.pth', *run.arguments)
    assert done.code != 0
    assert 'weights.pth cannot be resumed from' in done.output and 'load_from' in done.output


@pytest.fixture
def streamed(configs: Path, tmp_path: Path) -> Path:
    """A config whose weak source is streamed, and so is one of parallel text in shards."""
    scenes = EmojiParallel(num_scenes=120, num_concepts=20)
    with ShardWriter(tmp_path / 'shards', made_of={}, kind='parallel', rows_per_shard=32, rows_per_group=4) as writer:
        for index in range(len(scenes)):
            writer.add(ImageTextRecord(scenes.get_image_id(index), tuple(scenes.get_texts(index))), index)
    path = configs / 'streamed.py'
    path.write_text(
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from .rc3.pretrain_tiny import *\n'
        'from rc3mm.datasets import ShardedPairs\n'
        f"sentences = dict(type=ShardedPairs, path={str(tmp_path / 'shards')!r}, pipeline=parallel['pipeline'])\n"
        "train_dataloader['dataset']['sources']['text/emoji'] = sentences\n"
        "train_dataloader['sampler']['ratios'].update(text=0.8)\n"
        "train_dataloader['sampler']['batch_size'].update(text=4)\n"
        "order = dict(weak='stream', text='stream')\n"
        "train_dataloader['sampler'].update(order=order, stream_block=8, stream_window=2)\n"
    )
    return path


def test_killed_with_streams_read_by_two_workers(training: Callable[..., Training], streamed: Path) -> None:
    runs = [training(name, streamed) for name in ('whole', 'broken')]
    for run in runs:
        run.arguments += ['train_dataloader.num_workers=2', 'train_dataloader.sampler.length_pool=2']
    whole, broken = runs
    whole.run()
    broken.run('in a checkpoint', 6)
    broken.run()
    broken.assert_same_end(whole)
