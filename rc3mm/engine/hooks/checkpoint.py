"""When checkpoints are written, and which are kept."""

import os
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from rc3mm.registry import HOOKS
from rc3mm.utils.checkpoint import remove_checkpoint

__all__ = ['RC3CheckpointHook']


@HOOKS.register_module()
class RC3CheckpointHook(CheckpointHook):
    """MMEngine's `CheckpointHook`, safe against a kill at any moment.

    An old checkpoint is removed only after the new one is on the disk. Two files name checkpoints and are replaced in
    one step: `last_checkpoint`, and with `save_best` `best_checkpoint` (of several metrics, the best by the first).
    Arguments are those of `mmengine.hooks.CheckpointHook`; `published_keys` is not supported.
    """

    @property
    def best(self) -> str | None:
        """The best checkpoint so far by the first metric of `save_best`; None before the first validation."""
        return self._best_paths[0] if self.save_best else None

    @property
    def _best_paths(self) -> list[str | None]:
        """The best checkpoint by each metric of `save_best`; the base class keeps one in another way than several."""
        if len(self.key_indicators) == 1:
            return [self.best_ckpt_path]
        return [self.best_ckpt_path_dict.get(key) for key in self.key_indicators]

    @_best_paths.setter
    def _best_paths(self, paths: list[str | None]) -> None:
        if len(self.key_indicators) == 1:
            (self.best_ckpt_path,) = paths
        else:
            self.best_ckpt_path_dict = dict(zip(self.key_indicators, paths, strict=True))

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
            for shards in Path(self.out_dir).glob('*.shards'):  # which are there before their checkpoint is
                if not shards.with_suffix('.pth').exists():
                    remove_checkpoint(shards.with_suffix('.pth'))
        if self.save_best:  # after resuming; the folder may have been moved
            self._best_paths = [
                path if path is None or Path(path).is_file() else str(Path(self.out_dir, Path(path).name))
                for path in self._best_paths
            ]
        self._note_best(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        if not self.save_best:
            return
        before = self._best_paths
        self._best_paths = [None] * len(before)  # the base class would remove them first
        super()._save_best_checkpoint(runner, metrics)
        saved = self._best_paths
        self._best_paths = [new or old for new, old in zip(saved, before, strict=True)]
        self._note_best(runner)
        if runner.rank == 0:
            for new, old in zip(saved, before, strict=True):
                if new and old and new != old:
                    remove_checkpoint(old)

    def _note_best(self, runner: Runner) -> None:
        """Let `best_checkpoint` name the best one; without one there is no such file, whatever an earlier run left."""
        if runner.rank == 0 and self.best:
            _replace(Path(runner.work_dir) / 'best_checkpoint', self.best)
        elif runner.rank == 0:
            (Path(runner.work_dir) / 'best_checkpoint').unlink(missing_ok=True)

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
        _replace(Path(runner.work_dir) / 'last_checkpoint', self.last_ckpt)
        for old in outdated:
            remove_checkpoint(folder / self.filename_tmpl.format(old))


def _replace(path: Path, text: str) -> None:
    """Write a small file in one step."""
    path.with_suffix('.tmp').write_text(text)
    os.replace(path.with_suffix('.tmp'), path)
