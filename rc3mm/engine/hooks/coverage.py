"""How many images had no regions and were shown as patches instead."""

import logging
from collections import Counter
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from rc3mm.registry import HOOKS
from rc3mm.utils.dist import all_reduce_sum

__all__ = ['MissingRegionsError', 'RegionCoverageHook']

_NAMED = 3  # images that a message names
_JUDGED = 500  # images after which a share says something


class MissingRegionsError(RuntimeError):
    """More images lack regions than the configured share."""


@HOOKS.register_module()
class RegionCoverageHook(Hook):
    """Count the images that were asked for by their regions and had none, in a store or to be found.

    Warns when the first one comes, stops the run when there are too many (a store of other ids, a detector that finds
    nothing), and reports the total of all processes at the end of training and of each evaluation.

    Args:
        max_missing: share of images without regions that is put up with, judged in training after 500 images; 1 for
            any.

    Raises:
        MissingRegionsError: there are more.
    """

    def __init__(self, max_missing: float = 0.5) -> None:
        if not 0 <= max_missing <= 1:
            raise ValueError(f'max_missing must be in [0, 1], got {max_missing}')
        self.max_missing = max_missing
        self._warned = False
        self._of_training: Counter[str] = Counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Warn once, and stop where too much is missing."""
        counts = _counts(runner)
        if not counts['missing']:
            return
        rows = data_batch['inputs'].get('roi_missing') or [] if data_batch else []
        names = [data_batch['data_samples'][row].image_id for row in rows[:_NAMED]]
        examples = f'; such as {names}' if names else ''
        if not self._warned:
            self._warned = True
            runner.logger.warning(f'images without regions are shown as patches where regions are asked for{examples}')
        if counts['images'] >= _JUDGED and counts['missing'] > self.max_missing * counts['images']:
            raise MissingRegionsError(
                f'{counts["missing"]:,} of {counts["images"]:,} images have no regions{examples}. See that the store '
                "was made of these images and has their ids, or that the detector's threshold and weights are right; "
                'RegionCoverageHook(max_missing=1) goes on all the same'
            )

    def after_train(self, runner: Runner) -> None:
        """Report."""
        self._report(runner, 'train')

    def before_val(self, runner: Runner) -> None:
        """Count evaluation apart."""
        self._set_aside(runner)

    def after_val(self, runner: Runner) -> None:
        """Report."""
        self._report(runner, 'val')
        self._take_up(runner)

    def before_test(self, runner: Runner) -> None:
        """Count evaluation apart."""
        self._set_aside(runner)

    def after_test(self, runner: Runner) -> None:
        """Report."""
        self._report(runner, 'test')
        self._take_up(runner)

    def _set_aside(self, runner: Runner) -> None:
        counts = _counts(runner)
        self._of_training = Counter(counts)
        counts.clear()

    def _take_up(self, runner: Runner) -> None:
        counts = _counts(runner)
        counts.clear()
        counts.update(self._of_training)

    def _report(self, runner: Runner, mode: str) -> None:
        counts = _counts(runner)
        device = next(runner.model.parameters()).device
        own = torch.tensor([counts['images'], counts['missing']], device=device)
        images, missing = all_reduce_sum(own).tolist()
        if images:
            # A test of regions that was one of patches must not pass unnoticed.
            runner.logger.log(
                logging.WARNING if missing else logging.INFO,
                f'{mode}: {missing:,} of {images:,} images ({missing / images:.2%}) had no regions and were shown as '
                'patches',
            )


def _counts(runner: Runner) -> Counter[str]:
    """The model's own counts; none of a model without regions."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    counts: Any = getattr(model, 'region_counts', None)
    return Counter() if counts is None else counts
