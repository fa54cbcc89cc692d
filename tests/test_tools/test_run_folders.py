"""Runs in their order."""

import importlib
import threading
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def test_runs_begin_when_what_they_need_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    folders, error = importlib.import_module('run_folders'), importlib.import_module('cli').CommandLineError
    started: list[Any] = []
    lock = threading.Barrier(2, timeout=20)
    order = {'a': None, 'b': 'a', 'c': None, 'none': None, 'd': 'b', 'e': 'bad', 'bad': None}

    def execute(run: Any, threads: int) -> Any:
        started.append(run)
        if run in ('a', 'c'):
            lock.wait()  # these two run at the same time
        if run == 'bad':
            raise error('bad has failed')
        return run

    monkeypatch.setattr(folders, 'execute', execute)
    ended: list[Any] = []
    with pytest.raises(error, match='bad has failed'):
        folders.execute_as_ready(order, lambda key: None if key == 'none' else key, 2, ended.append)
    assert sorted(ended) == ['a', 'b', 'c', 'd'] and 'e' not in started
    assert started.index('a') < started.index('b') < started.index('d')
    del order['e'], order['bad']
    assert set(folders.execute_as_ready(order, lambda key: None if key == 'none' else key, 2)) == set('abcd')
