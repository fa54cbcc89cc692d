"""How many images had no regions and were shown as patches instead."""

from collections import Counter
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rc3mm.registry import HOOKS
from rc3mm.utils.dist import all_reduce_sum

__all__ = ['RegionCoverageHook']

_NAMED = 3  # images that the first warning names


@HOOKS.register_module()
class RegionCoverageHook(Hook):
    """Count, over all processes, the images that came without regions in batches that carry regions.

    Warns when the first one comes and reports the total at the end of training and of each evaluation.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._warned = False

    def before_train(self, runner: Runner) -> None:
        """Count anew."""
        self._restart('train')

    def before_val(self, runner: Runner) -> None:
        """Count anew."""
        self._restart('val')

    def before_test(self, runner: Runner) -> None:
        """Count anew."""
        self._restart('test')

    def after_train(self, runner: Runner) -> None:
        """Report."""
        self._report(runner, 'train')

    def after_val(self, runner: Runner) -> None:
        """Report."""
        self._report(runner, 'val')

    def after_test(self, runner: Runner) -> None:
        """Report."""
        self._report(runner, 'test')

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = 'train'
    ) -> None:
        inputs = data_batch['inputs'] if data_batch else {}
        if 'roi_missing' not in inputs:
            return
        self._counts[mode, 'images'] += len(inputs['roi_mask'])
        missing = inputs['roi_missing']
        self._counts[mode, 'missing'] += len(missing)
        if missing and not self._warned:
            self._warned = True
            names = [data_batch['data_samples'][row].image_id for row in missing[:_NAMED]]
            runner.logger.warning(
                f'images without regions are shown as patches wherever regions are asked for; the first: {names}'
            )

    def _restart(self, mode: str) -> None:
        for key in [key for key in self._counts if key[0] == mode]:
            del self._counts[key]

    def _report(self, runner: Runner, mode: str) -> None:
        own = [self._counts[mode, part] for part in ('images', 'missing')]
        device = next(runner.model.parameters()).device
        images, missing = all_reduce_sum(torch.tensor(own, device=device)).tolist()
        if images:
            runner.logger.info(
                f'{mode}: {missing:,} of {images:,} images ({missing / images:.2%}) had no regions and were shown as '
                'patches'
            )
