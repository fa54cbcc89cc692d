"""The ablation of weak pairs: each arm differs in what its name says, trains, and yields every figure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from rc3mm.engine.hooks.report import read_history
from rc3mm.models import BandRegularizer, NoRegularizer, SoftTargetRegularizer
from rc3mm.registry import RUNNERS

ROOT = Path(__file__).resolve().parents[1]
BASE = 'configs/ablations/weak_pairs.py'
ABLATION = Config.fromfile(ROOT / BASE).ablation
ARMS = {name: arm.get('config', BASE) for name, arm in ABLATION.arms.items()}


def differences(one: Any, other: Any, path: str = '') -> Iterator[str]:
    """Paths at which two configs differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from differences(one.get(key), other.get(key), f'{path}.{key}' if path else key)
    elif one != other:
        yield path


def test_arms_differ_in_one_thing_each() -> None:
    base = Config.fromfile(ROOT / BASE)
    weak = 'train_dataloader.dataset.sources.weak.pipeline'
    expected = {
        'strict_only': {'train_dataloader.sampler.ratios.strict', 'train_dataloader.sampler.ratios.weak'},
        'weak_as_strict': {f'model.objectives.rxvtcl.regularizer.{key}' for key in ('type', 'band_weight', 'delta')},
        'band': set(),
        'true_relevance': {weak},
        'soft_target': {f'model.objectives.rxvtcl.regularizer.{key}' for key in ('type', 'band_weight', 'delta')},
        'no_split_views': {f'model.form_probs.{form}' for form in ('roi', 'patch', 'split')},
        'no_mismatched_texts': {f'model.objectives.{name}.mismatched_negatives' for name in ('xvtcl', 'rxvtcl')},
    }
    assert expected.keys() == ARMS.keys()
    for name, path in ARMS.items():
        arm = Config.fromfile(ROOT / path)
        live = ('model', 'train_dataloader', 'test_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg')
        found = {difference for key in live for difference in differences(base[key], arm[key], key)}
        assert found == expected[name], name
        sampler = arm.train_dataloader.sampler
        assert len(set(sampler.batch_size.values())) == 1, 'steps of the same size'
    kinds = {name: Config.fromfile(ROOT / path).model.objectives.rxvtcl.regularizer.type for name, path in ARMS.items()}
    assert kinds['weak_as_strict'] is NoRegularizer and kinds['soft_target'] is SoftTargetRegularizer
    assert kinds['band'] is BandRegularizer is kinds['true_relevance']


def shrink(cfg: Config) -> None:
    """A run of seconds, with every test in it."""
    sources = cfg.train_dataloader.dataset.sources
    sources.strict.num_scenes = sources.weak.num_scenes = 60
    for step in sources.weak.pipeline:
        if 'scorer' in step:
            step.scorer.corpus.num_scenes = step.scorer.weak_corpus.num_scenes = 200
    cfg.train_dataloader.sampler.update(batch_size=dict(strict=4, weak=4))
    cfg.train_cfg.max_iters = 6
    for name, part in cfg.test_cfg.parts.items():
        cfg.test_dataloader[name].dataset.num_scenes = 60 if name == 'weak' else 6
        if 'rerank_topk' in part:
            part.rerank_topk = 6
        else:
            part.probe_dataloader.dataset.num_scenes = 40
    cfg.default_hooks.logger.interval = 1
    cfg.custom_hooks, cfg.visualizer.vis_backends = [], cfg.vis_backends[:1]


@pytest.mark.parametrize('arm', ARMS)
def test_arm_runs(arm: str, tmp_path: Path) -> None:
    cfg = Config.fromfile(ROOT / ARMS[arm])
    shrink(cfg)
    cfg.update(work_dir=str(tmp_path), launcher='none', experiment_name=f'{arm}_{tmp_path.name}')
    runner = RUNNERS.build(cfg)
    runner.train()
    history = read_history(tmp_path)
    assert ('loss_rxvtcl' in history) == (arm != 'strict_only')
    assert ('rxvtcl_band' in history) == (arm in ('band', 'true_relevance', 'no_split_views', 'no_mismatched_texts'))
    assert ('xvtcl_shortcut_acc' in history) == (arm != 'no_mismatched_texts')
    metrics = runner.test()
    wanted = {*ABLATION.metrics.values(), *ABLATION.curves.proximity.points}
    wanted |= {name.format(language) for name in ABLATION.by_language.values() for language in ('en', 'de', 'zh')}
    assert wanted <= metrics.keys(), wanted - metrics.keys()
