"""What is tested after training: the best checkpoint where validation chooses one, and how it is kept."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from torch import Tensor

from rc3mm.engine.strategies import base as strategy_module
from rc3mm.registry import HOOKS, METRICS, RUNNERS
from rc3mm.utils.checkpoint import find_chosen_checkpoint, read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
KEY = 'image_projection.weight'


class Scores(BaseMetric):
    """Scores of the validations, one after the other."""

    default_prefix = 'scores'

    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        score = next(self.scores)
        return {'a': score, 'b': -score}


class WeightsUnderTest(Hook):
    """Keeps a parameter as it is while a test goes on."""

    priority = 'VERY_LOW'
    weight: Tensor

    def before_test_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        self.weight = dict(runner.model.named_parameters())[KEY].detach().clone()


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry, kind in ((METRICS, Scores), (HOOKS, WeightsUnderTest)):
        monkeypatch.setitem(registry.module_dict, kind.__name__, kind)


def build(folder: Path, scores: Sequence[float] | None, save_best: Any, average: bool = False, steps: int = 3) -> Any:
    """A runner that trains some steps, validates after each and saves no checkpoint but the last."""
    cfg = Config.fromfile(str(ROOT / 'configs/retrieval/emoji.py'))
    cfg.work_dir, cfg.load_from, cfg.launcher = str(folder), None, 'none'
    cfg.experiment_name = f'best_{folder.name}_{steps}'
    cfg.train_cfg.update(max_iters=steps, val_interval=1)
    cfg.train_dataloader.sampler.batch_size = 4
    cfg.test_dataloader.dataset.update(num_scenes=2, languages=('en', 'de'))
    cfg.test_cfg.rerank_topk = 0
    cfg.param_scheduler = []
    if scores is not None:
        cfg.val_dataloader, cfg.val_cfg = cfg.test_dataloader, cfg.test_cfg
        cfg.val_evaluator = [dict(type='Scores', scores=list(scores))]
    cfg.default_hooks.checkpoint.update(interval=3, save_best=save_best, rule='greater')
    cfg.custom_hooks = [dict(type='ReportHook', gallery_rows=0), dict(type='WeightsUnderTest')]
    if average:
        cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.3))
    cfg.visualizer.vis_backends = cfg.vis_backends[:1]
    return RUNNERS.build(cfg)


def weight_of(runner: Any) -> Tensor:
    return next(hook.weight for hook in runner.hooks if isinstance(hook, WeightsUnderTest))


def weight_in(path: str | Path) -> Tensor:
    return read_checkpoint(path)['state_dict'][KEY]


@pytest.mark.parametrize('average', [False, True], ids=['plain', 'averaged'])
def test_the_best_weights_are_tested(tmp_path: Path, average: bool) -> None:
    runner = build(tmp_path, [1.0, 3.0, 2.0], 'scores/a', average)
    runner.train()
    runner.test_trained()
    best = tmp_path / 'best_scores_a_iter_2.pth'
    assert [path.name for path in tmp_path.glob('best_*.pth')] == [best.name]
    assert (tmp_path / 'best_checkpoint').read_text() == str(best) and find_chosen_checkpoint(tmp_path) == best
    assert json.loads((tmp_path / 'results.json').read_text())['checkpoint'] == str(best)
    (log,) = tmp_path.glob('*/*.log')
    assert f'what is tested now: the best weights, {best}' in log.read_text()
    tested = weight_of(runner)
    assert torch.equal(tested, weight_in(best))
    assert not torch.equal(tested, weight_in(tmp_path / 'iter_3.pth'))
    if average:  # what is stored as the model's weights is the average, and not what was trained
        assert not torch.equal(tested, read_checkpoint(tmp_path / 'iter_3.pth')['ema_state_dict'][f'module.{KEY}'])

    # a finished training, resumed in a folder that has been moved: the same weights
    moved = tmp_path.rename(tmp_path.with_name(f'{tmp_path.name}_moved'))
    again = build(moved, [0.0], 'scores/a', average)
    again._resume = True
    again.train()
    again.test_trained()
    assert torch.equal(weight_of(again), tested)
    assert (moved / 'best_checkpoint').read_text() == str(moved / best.name)


def test_without_choice_the_last_weights_are_tested(tmp_path: Path) -> None:
    for name, scores, save_best, said in (
        ('unset', [3.0, 2.0, 1.0], None, '`save_best` of the checkpoint hook is not set'),
        ('never', None, 'scores/a', '`save_best` is set, but no validation has chosen'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'best_checkpoint').write_text('of an earlier run')
        runner = build(tmp_path / name, scores, save_best)
        runner.train()
        runner.test_trained()
        last = tmp_path / name / 'iter_3.pth'
        assert torch.equal(weight_of(runner), weight_in(last))
        assert json.loads((tmp_path / name / 'results.json').read_text())['checkpoint'] == str(last)
        assert find_chosen_checkpoint(tmp_path / name) == last
        (log,) = (tmp_path / name).glob('*/*.log')
        assert f'the last weights; {said}' in log.read_text()


def test_of_several_metrics_the_first_chooses(tmp_path: Path) -> None:
    runner = build(tmp_path, [1.0, 3.0, 2.0], ['scores/b', 'scores/a'])
    runner.train()
    runner.test_trained()
    names = {'best_scores_b_iter_1.pth', 'best_scores_a_iter_2.pth'}
    assert {path.name for path in tmp_path.glob('best_*.pth')} == names
    assert torch.equal(weight_of(runner), weight_in(tmp_path / 'best_scores_b_iter_1.pth'))


def test_the_best_so_far_stays_until_a_better_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = build(tmp_path, [1.0, 3.0, 2.0], 'scores/a')
    write = strategy_module.write_checkpoint

    def no_space(checkpoint: Any, path: Path) -> None:
        if path.name == 'best_scores_a_iter_2.pth':
            raise OSError('no space left')
        write(checkpoint, path)

    monkeypatch.setattr(strategy_module, 'write_checkpoint', no_space)
    with pytest.raises(OSError, match='no space left'):
        runner.train()
    assert find_chosen_checkpoint(tmp_path) == tmp_path / 'best_scores_a_iter_1.pth'
    assert weight_in(tmp_path / 'best_scores_a_iter_1.pth').isfinite().all()
