"""The suites that ship: every option fits its config. (Metrics: tests/test_engine/test_prediction_loop.py.)"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
SUITE = Config.fromfile(str(ROOT / 'configs/suites/emoji_scenes.py')).suite.to_dict()


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of tools/."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return importlib.import_module


@pytest.mark.parametrize('name', SUITE['tasks'])
def test_options_of_controls_fit(name: str, load: Any) -> None:
    task = next(task for task in load('suite_tasks').read_tasks(SUITE, [name]) if task.name == name)
    for options in task.controls.values():
        cfg = Config.fromfile(str(ROOT / task.config))
        before = cfg.to_dict()
        load('cli').apply_options(cfg, load('suite_tasks').test_only(options) or options)
        assert cfg.to_dict() != before
