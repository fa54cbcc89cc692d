"""When checkpoints are written, and which are kept."""

import os
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from rc3mm.registry import HOOKS

__all__ = ['RC3CheckpointHook']


@HOOKS.register_module()
class RC3CheckpointHook(CheckpointHook):
    """MMEngine's `CheckpointHook`, safe against a kill at any moment.

    An old checkpoint is removed only after the new one is on the disk, and `last_checkpoint` is replaced in one step.
    Arguments are those of `mmengine.hooks.CheckpointHook`; `published_keys` is not supported.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the interval against gradient accumulation; remove what a kill left of a checkpoint half written.

        Raises:
            ValueError: checkpoints would fall between two optimiser steps and lose accumulated gradients.
        """
        super().before_train(runner)
        accumulation = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if not self.by_epoch and self.interval > 0 and self.interval % accumulation:
            raise ValueError(
                f'checkpoint interval {self.interval} is not a multiple of accumulative_counts {accumulation}: a '
                'checkpoint between two optimiser steps would lose the accumulated gradients'
            )
        if runner.rank == 0:
            for part in Path(self.out_dir).glob('.*.pth.*.tmp'):  # the temporary names of `write_checkpoint`
                part.unlink(missing_ok=True)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        kept = list(getattr(self, 'keep_ckpt_ids', ()))
        kept = kept if kept and kept[-1] == step else [*kept, step]
        outdated = []
        if self.max_keep_ckpts > 0:
            outdated, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
            self.keep_ckpt_ids = kept
            runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        folder = Path(self.out_dir)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = str(folder / filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
        )
        if runner.rank != 0:
            return
        pointer = Path(runner.work_dir) / 'last_checkpoint'
        pointer.with_suffix('.tmp').write_text(self.last_ckpt)
        os.replace(pointer.with_suffix('.tmp'), pointer)
        for old in outdated:
            (folder / self.filename_tmpl.format(old)).unlink(missing_ok=True)
