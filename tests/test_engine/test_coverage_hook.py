"""RegionCoverageHook: every image without regions is counted, once."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from rc3mm.engine import RegionCoverageHook
from rc3mm.structures import VLDataSample


def batch(images: int, missing: list[int]) -> dict[str, Any]:
    samples = [VLDataSample(metainfo={'image_id': f'i{row}'}) for row in range(images)]
    return {'inputs': {'roi_mask': torch.ones(images, 4), 'roi_missing': missing}, 'data_samples': samples}


def test_counts_and_reports(caplog: pytest.LogCaptureFixture) -> None:
    hook = RegionCoverageHook()
    runner: Any = SimpleNamespace(logger=logging.getLogger('coverage'), model=nn.Linear(1, 1))
    with caplog.at_level(logging.INFO):
        hook.before_train(runner)
        hook.after_train_iter(runner, 0, batch(4, []))
        assert not caplog.messages
        hook.after_train_iter(runner, 1, batch(4, [1, 3]))
        hook.after_train_iter(runner, 2, batch(4, [0]))
        hook.after_train_iter(runner, 3, {'inputs': {'text_ids': None}, 'data_samples': []})  # parallel text
        hook.after_train(runner)
        for _ in range(2):  # each evaluation counts anew
            hook.before_val(runner)
            hook.after_val_iter(runner, 0, batch(10, [5]))
            hook.after_val(runner)
    warnings = [record.message for record in caplog.records if record.levelname == 'WARNING']
    assert len(warnings) == 1 and "['i1', 'i3']" in warnings[0]
    assert 'train: 3 of 12 images (25.00%) had no regions' in caplog.text
    assert caplog.text.count('val: 1 of 10 images (10.00%)') == 2


def test_silent_without_regions(caplog: pytest.LogCaptureFixture) -> None:
    hook = RegionCoverageHook()
    runner: Any = SimpleNamespace(logger=logging.getLogger('coverage'), model=nn.Linear(1, 1))
    with caplog.at_level(logging.INFO):
        hook.before_test(runner)
        hook.after_test_iter(runner, 0, {'inputs': {}, 'data_samples': []})
        hook.after_test(runner)
    assert not caplog.messages
