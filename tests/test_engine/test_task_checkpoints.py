"""A pre-trained checkpoint begins a task, and the task's own checkpoints resume and are tested exactly.

The runs are those of a user: tools/train.py and tools/test.py, on the twins of the benchmarks, in small.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rc3mm.utils.checkpoint import LoadReport
from tests.test_engine.test_resume import same

ROOT = Path(__file__).resolve().parents[2]
ENCODERS = ('text_encoder.', 'patch_encoder.', 'roi_encoder.', 'fusion.')
# task -> what pre-training does not give it
NEW = {
    'xgqa': ('head.',),
    'marvl': ('head.',),
    'mmt': ('decoder.positions', 'decoder.input_norm.'),  # the rest of the decoder starts from the fusion head
    'retrieval': (),
}
SMALL = [
    'train_cfg.max_iters=4',
    'param_scheduler.0.end=1',
    'param_scheduler.1.begin=1',
    'param_scheduler.1.end=4',
    'default_hooks.checkpoint.interval=2',
    'train_dataloader.sampler.batch_size=8',
    'model.text_encoder.config.hidden_dropout_prob=0.1',  # so that the random generators matter
    '+model.fusion.dropout=0.1',
    '+custom_hooks.0.gallery_rows=0',
]

# Runs inside of the training process: notes the weights that training begins with.
NOTE = """
import torch
from rc3mm.engine import RC3Runner

load = RC3Runner.load_checkpoint

def load_checkpoint(self, *args, **kwargs):
    checkpoint = load(self, *args, **kwargs)
    torch.save(self.model.state_dict(), {place!r})
    return checkpoint

RC3Runner.load_checkpoint = load_checkpoint
"""


def state_of(folder: Path, number: int) -> dict[str, Any]:
    """A checkpoint without times of day, durations and the paths of its folder."""
    checkpoint = torch.load(folder / f'iter_{number}.pth', weights_only=True)
    return {part: value for part, value in checkpoint.items() if part not in ('meta', 'message_hub')}


def metrics_of(folder: Path) -> dict[str, float | None]:
    return json.loads((folder / 'results.json').read_text(encoding='utf-8'))['metrics']


@pytest.mark.parametrize('task', NEW)
def test_from_pre_training_to_the_test(task: str, warm: Any, trained: Any, tmp_path: Path) -> None:
    config, pretrained = ROOT / f'configs/{task}/emoji.py', trained.work_dir / 'iter_4.pth'
    size = {'retrieval': 'num_scenes=4', 'marvl': 'num_items=48'}.get(task, 'num_items=4')
    options = ['--cfg-options', *SMALL, f'test_dataloader.dataset.{size}']

    def run(script: str, *arguments: object, before: list[Path] | None = None) -> str:
        done = warm(script, config, *arguments, *options, before=before or [])
        assert done.code == 0, done.output[-3000:]
        return done.output

    # it begins with what the checkpoint has, and tells what that is
    note = tmp_path / 'note.py'
    note.write_text(NOTE.format(place=str(tmp_path / 'start.pth')))
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    options.append(f'load_from={pretrained}')
    said = run('train.py', '--work-dir', whole, before=[note])
    given = torch.load(pretrained, weights_only=True)['state_dict']
    start = torch.load(tmp_path / 'start.pth', weights_only=True)
    report = LoadReport(
        loaded=[key for key in start if key in given],
        missing=[key for key in start if key.startswith(NEW[task])],
        unexpected=[key for key in given if key not in start],
    )
    assert f'{pretrained}: {report}\n' in said
    assert report.unexpected and all(torch.equal(start[key], given[key]) for key in report.loaded)
    assert [key for key in given if key.startswith(ENCODERS)] == [key for key in start if key.startswith(ENCODERS)]
    from_fusion = [key for key in start if key.startswith('decoder.') and key not in report.missing]
    assert bool(from_fusion) == (task == 'mmt')
    assert all(torch.equal(start[key], given[key.replace('decoder.', 'fusion.', 1)]) for key in from_fusion)

    # stopped after two iterations and resumed, it ends with the very bits of the uninterrupted run
    middle, end = state_of(whole, 2), state_of(whole, 4)
    assert all(not torch.equal(middle['state_dict'][key], end['state_dict'][key]) for key in report.missing)
    run('train.py', '--work-dir', broken, '--resume', whole / 'iter_2.pth')
    same(state_of(broken, 4), end)
    # and the checkpoint is tested as the model was at the end of the training
    run('test.py', broken / 'iter_4.pth', '--work-dir', tmp_path / 'test')
    metrics = metrics_of(whole)
    assert metrics_of(tmp_path / 'test') == metrics_of(broken) == metrics and len(metrics) > 3
