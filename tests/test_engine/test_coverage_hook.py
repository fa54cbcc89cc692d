"""RegionCoverageHook: every image without regions is counted, once, and too many stop the run."""

import logging
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from rc3mm.engine import RegionCoverageHook
from rc3mm.engine.hooks.coverage import MissingRegionsError
from rc3mm.structures import VLDataSample


class Model(nn.Linear):
    """Counts as `RC3` does."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.region_counts: Counter[str] = Counter()

    def see(self, images: int, missing: list[int]) -> dict[str, Any]:
        self.region_counts.update(images=images, missing=len(missing))
        samples = [VLDataSample(metainfo={'image_id': f'i{row}'}) for row in range(images)]
        return {'inputs': {'roi_missing': missing}, 'data_samples': samples}


@pytest.fixture
def runner() -> Any:
    return SimpleNamespace(logger=logging.getLogger('coverage'), model=Model())


def test_counts_and_reports(runner: Any, caplog: pytest.LogCaptureFixture) -> None:
    hook = RegionCoverageHook()
    with caplog.at_level(logging.INFO):
        hook.after_train_iter(runner, 0, runner.model.see(4, []))
        assert not caplog.messages
        hook.after_train_iter(runner, 1, runner.model.see(4, [1, 3]))
        for _ in range(2):  # each evaluation counts for itself
            hook.before_val(runner)
            runner.model.see(10, [5])
            hook.after_val(runner)
        hook.after_train_iter(runner, 2, runner.model.see(4, [0]))
        hook.after_train(runner)
    warnings = [record.message for record in caplog.records if record.levelname == 'WARNING']
    assert len(warnings) == 4 and "['i1', 'i3']" in warnings[0]  # the first image, and three reports with some missing
    assert 'train: 3 of 12 images (25.00%) had no regions' in caplog.text
    assert caplog.text.count('val: 1 of 10 images (10.00%)') == 2


def test_too_many_stop_the_run(runner: Any) -> None:
    hook = RegionCoverageHook(max_missing=0.1)
    hook.after_train_iter(runner, 0, runner.model.see(400, list(range(100))))  # too early to tell
    with pytest.raises(MissingRegionsError, match=r"200 of 800 images have no regions; such as \['i0'.*has their ids"):
        hook.after_train_iter(runner, 1, runner.model.see(400, list(range(100))))
    RegionCoverageHook(max_missing=1).after_train_iter(runner, 1, runner.model.see(1000, list(range(1000))))
    with pytest.raises(ValueError, match='max_missing'):
        RegionCoverageHook(max_missing=2)


def test_silent_without_regions(runner: Any, caplog: pytest.LogCaptureFixture) -> None:
    hook = RegionCoverageHook()
    runner.model = nn.Linear(1, 1)  # such as a detector
    with caplog.at_level(logging.INFO):
        hook.after_train_iter(runner, 0, {'inputs': [], 'data_samples': []})
        hook.before_test(runner)
        hook.after_test(runner)
    assert not caplog.messages
