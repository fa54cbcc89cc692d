"""tools/test.py on a trained checkpoint."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow


def results_of(folder: Path) -> dict[str, Any]:
    """The results file of a work dir."""
    return json.loads((folder / 'results.json').read_text(encoding='utf-8'))


def test_the_metrics_are_those_at_the_end_of_training(warm: Any, trained: Any, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.work_dir.rglob('*')}
    checkpoint = trained.work_dir / 'iter_4.pth'
    done = warm(
        'test.py',
        trained.config,
        checkpoint,
        '--cfg-options',
        f'work_dir={tmp_path / "run"}',
        *trained.options,
    )
    assert done.code == 0, done.output[-3000:]
    found, expected = results_of(tmp_path / 'run' / 'test'), results_of(trained.work_dir)
    assert found['metrics'] == expected['metrics']
    assert found['checkpoint'] == str(checkpoint) and found['form'] == 'patch'
    assert 'mean w/o en' in done.output
    assert before == {path: path.stat().st_mtime_ns for path in trained.work_dir.rglob('*')}


@pytest.mark.parametrize('form', ['roi', 'both'])
def test_another_form_with_all_outputs(warm: Any, trained: Any, tmp_path: Path, form: str) -> None:
    out, items, pictures = tmp_path / 'a/out.json', tmp_path / 'b/items.jsonl', tmp_path / 'c'
    rerank = ['--no-rerank'] if form == 'roi' else ['--amp']
    done = warm(
        *('test.py', trained.config, trained.work_dir / 'iter_4.pth', '--work-dir', tmp_path / 'work'),
        *('--form', form, '--out', out, '--out-item', items, '--show-dir', pictures, *rerank),
        *('--cfg-options', *trained.options),
    )
    assert done.code == 0, done.output[-3000:]
    results = json.loads(out.read_text(encoding='utf-8'))
    assert results == results_of(tmp_path / 'work')
    assert results['form'] == form
    assert ('retrieval/itm_mean_R@1' in results['metrics']) == (form == 'both')
    reference = results_of(trained.work_dir)['metrics']
    assert any(value != reference[name] for name, value in results['metrics'].items())
    lines = [json.loads(line) for line in items.read_text(encoding='utf-8').splitlines()]
    assert len(lines) == 2 * 6 * 8  # directions, languages, scenes
    assert len({(line['direction'], line['language'], line['query_id']) for line in lines}) == len(lines)
    hits = [line['rank'] == 1 for line in lines if (line['direction'], line['language']) == ('t2i', 'de')]
    assert results['metrics']['retrieval/de/t2i_R@1'] == pytest.approx(100 * sum(hits) / 8)
    assert (pictures / 'gallery.png').read_bytes().startswith(b'\x89PNG')
    assert not (tmp_path / 'work' / 'gallery.png').exists()


def test_averaged_weights_are_what_is_tested_at_the_end_of_training_too(
    warm: Any, configs: Path, shrunk: Callable[..., list[str]], tmp_path: Path
) -> None:
    config = configs / 'with_average.py'
    config.write_text(
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from .rc3.pretrain_tiny import *\n'
        'from mmengine.hooks import EMAHook\n'
        'custom_hooks.append(dict(type=EMAHook, momentum=0.3))\n'
        'optim_wrapper.optimizer.lr = 0.01\n'
    )
    options = ['--cfg-options', *shrunk(4), '+custom_hooks.0.gallery_rows=0']
    done = warm('train.py', config, '--work-dir', tmp_path / 'run', '--no-validate', *options)
    assert done.code == 0, done.output[-3000:]
    done = warm('test.py', config, tmp_path / 'run/iter_4.pth', '--work-dir', tmp_path / 'test', *options)
    assert done.code == 0, done.output[-3000:]
    assert results_of(tmp_path / 'test')['metrics'] == results_of(tmp_path / 'run')['metrics']


class Malice:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize('kind', ['zip', 'bare pickle', 'truncated', 'missing'])
def test_a_bad_checkpoint_is_refused_in_one_line_and_not_executed(
    warm: Any, trained: Any, tmp_path: Path, kind: str
) -> None:
    checkpoint, target = tmp_path / 'bad.pth', tmp_path / 'executed'
    malice = {'state_dict': {'weight': torch.zeros(2)}, 'meta': Malice(target)}
    if kind == 'zip':
        torch.save(malice, checkpoint)
    elif kind == 'bare pickle':
        checkpoint.write_bytes(pickle.dumps(malice))
    elif kind == 'truncated':
        checkpoint.write_bytes((trained.work_dir / 'iter_4.pth').read_bytes()[:100_000])
    done = warm('test.py', trained.config, checkpoint, '--work-dir', tmp_path / 'work')
    assert done.code == 2
    assert done.output.startswith('error: ') and done.output.count('\n') == 1, done.output
    assert str(checkpoint) in done.output
    assert not target.exists()
    assert not (tmp_path / 'work').exists()
