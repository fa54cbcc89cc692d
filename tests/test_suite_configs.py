"""The suites that ship: every option fits its config, and every metric is one that its task yields."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mmengine.config import Config

from rc3mm.registry import RUNNERS

ROOT = Path(__file__).resolve().parents[1]
SUITE = Config.fromfile(str(ROOT / 'configs/suites/emoji_scenes.py')).suite.to_dict()
UNITS = {'retrieval': 4, 'xgqa': 4, 'xvnli': 3, 'marvl': 4, 'mmt': 2}  # items that belong together


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of tools/."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return importlib.import_module


@pytest.mark.parametrize('name', SUITE['tasks'])
def test_options_of_controls_fit(name: str, load: Any) -> None:
    (task,) = load('suite_tasks').read_tasks(SUITE, [name])
    for options in task.controls.values():
        cfg = Config.fromfile(str(ROOT / task.config))
        before = cfg.to_dict()
        load('cli').apply_options(cfg, load('suite_tasks').test_only(options) or options)
        assert cfg.to_dict() != before


@pytest.mark.parametrize('name', SUITE['tasks'])
def test_metrics_are_what_the_task_yields(name: str, load: Any, tmp_path: Path) -> None:
    """By the real runner, in one step."""
    (task,) = load('suite_tasks').read_tasks(SUITE, [name])
    cfg = Config.fromfile(str(ROOT / task.config))
    cfg.work_dir, cfg.load_from, cfg.launcher = str(tmp_path), None, 'none'
    cfg.train_cfg.max_iters = 1
    cfg.train_dataloader.sampler.batch_size = 4
    cfg.test_dataloader.dataset['num_scenes' if name == 'retrieval' else 'num_items'] = UNITS[name]
    runner = RUNNERS.build(cfg)
    runner.train()
    metrics = runner.test()
    assert cfg.test_cfg.setting == (task.setting or SUITE['setting'])
    for metric in task.metrics.values():
        for language in task.languages or ('en', 'de', 'fr', 'cs', 'ja', 'zh'):
            assert metric.format(language) in metrics
