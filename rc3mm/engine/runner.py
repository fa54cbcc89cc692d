"""MMEngine's Runner with gloo on CPUs, checkpoints that are safe to read and exact to resume from."""

import json
import logging
import os
import subprocess
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import mmengine
import torch
import torch.distributed as dist
from mmengine.dist import barrier
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from rc3mm.engine.hooks.checkpoint import RC3CheckpointHook
from rc3mm.engine.message_hub import pack_message_hub, unpack_message_hub
from rc3mm.engine.strategies import DataParallel, Strategy
from rc3mm.registry import RUNNERS, STRATEGIES
from rc3mm.utils.checkpoint import find_latest_checkpoint
from rc3mm.utils.rng import get_rng_state
from rc3mm.version import __version__

__all__ = ['RC3Runner', 'first_host']

_RANK_VARIABLES = {
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}

# Warnings about kinds of component that rc3mm does not extend, and about MMEngine's use of its own deprecated parts.
_NOISE = (
    'Failed to search registry with scope "rc3mm"',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Distributed training is not used, all SyncBatchNorm',
)


@RUNNERS.register_module()
class RC3Runner(Runner):
    """Drives training and testing; differs from `mmengine.runner.Runner` in this:

    - Without a GPU a distributed launch uses gloo (MMEngine's own start calls CUDA).
    - Checkpoints are written atomically, hold the state of all random generators, and are read without executing
      code; loading reports missing, unexpected and reshaped keys, and resuming insists that there are none.
    - `resume=True` takes the newest whole checkpoint of the work directory, whatever was interrupted.

    Attributes:
        chosen: the checkpoint whose weights `test_trained` has tested, or None.
        evaluation_rng: state of the random generators before the evaluation that is under way, else None.
        resumed_rng: states to restore when training starts, one a rank, or None.
    """

    model: Any
    chosen: str | None = None
    evaluation_rng: dict[str, Any] | None = None
    _load_from: str | None
    _has_loaded: bool
    _resume: bool
    resumed_rng: list[dict[str, Any]] | None = None
    _prepared = False

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """As the base class, but `before_run` once, although training, validation and test each ask for it.

        A hook that sets itself up there would forget what it knows: `EMAHook` its averaged weights, between training
        and the test after it.
        """
        if fn_name == 'before_run':
            if self._prepared:
                return
            self._prepared = True
        super().call_hook(fn_name, **kwargs)

    @cached_property
    def config_text(self) -> str:
        """The config as text; formatting it takes about a second, so it is done once and not for every checkpoint."""
        return str(self.cfg.pretty_text)

    def setup_env(self, env_cfg: dict) -> None:
        """As the base class, but with gloo where there is no GPU."""
        if self.distributed and not dist.is_initialized() and not torch.cuda.is_available():
            self._init_gloo()
        super().setup_env(env_cfg)

    def _init_gloo(self) -> None:
        for source, target in zip(
            _RANK_VARIABLES.get(self.launcher, ()), ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), strict=False
        ):
            if source not in os.environ:
                raise RuntimeError(f'launcher "{self.launcher}" was named, but {source} is not set')
            os.environ.setdefault(target, os.environ[source])
        os.environ.setdefault('MASTER_ADDR', first_host(os.environ.get('SLURM_JOB_NODELIST')))
        os.environ.setdefault('MASTER_PORT', '29500')
        dist.init_process_group('gloo')

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """As the base class, but the terminal is spared what only a file can be searched for.

        Messages of many lines (the environment, the config, the order of hooks) go to the log file alone, and warnings
        about MMEngine's own inner workings go nowhere.
        """
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(lambda record: not any(noise in record.getMessage() for noise in _NOISE))
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda record: record.getMessage().count('\n') < 5)
        return logger

    @cached_property
    def strategy(self) -> Strategy:
        """How the model is spread over the processes: the config's `strategy`; with one process it is whole.

        Raises:
            TypeError: the config names something that is no strategy of rc3mm.
        """
        config = {'type': DataParallel, **(self.cfg.get('strategy') or {})} if self.distributed else {}
        kind = config.get('type', DataParallel)
        kind = STRATEGIES.get(kind) if isinstance(kind, str) else kind
        if not (isinstance(kind, type) and issubclass(kind, Strategy)):
            raise TypeError(f"strategy.type={config['type']!r} is none of rc3mm's: {sorted(STRATEGIES.module_dict)}")
        return STRATEGIES.build({**config, 'type': kind})

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """As the base class; the config's `strategy` says how, with `model_wrapper_cfg` for more of its options."""
        if not self.distributed or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        wrap = super().wrap_model
        return self.strategy.wrap(model, lambda config: wrap({**config, **(model_wrapper_cfg or {})}, model))

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """As the base class; the strategy may put itself between model and optimiser.

        Raises:
            ValueError: a hook would copy a model that is spread over processes.
        """
        if self.strategy.sharded and any(isinstance(hook, EMAHook) for hook in self.hooks):
            raise ValueError('EMAHook copies the whole model, which a sharded one has nowhere: leave one of them out')
        built = super().build_optim_wrapper(optim_wrapper)
        if built is not optim_wrapper:
            self.model, built = self.strategy.bind(self.model, built)
        return built

    def _init_model_weights(self) -> None:
        if not self.strategy.initialises:
            super()._init_model_weights()

    def test(self) -> dict[str, float]:
        """As the base class, with the model whole on every process."""
        with self.strategy.whole(self.model):
            return dict(super().test())

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """Scale learning rates by (batch over all processes) / `base_batch_size`.

        Args:
            optim_wrapper: the optimiser wrapper.
            auto_scale_lr: `enable` and `base_batch_size`, as in MMEngine; batches of different sizes by source are
                measured by the largest.
        """
        if not auto_scale_lr or not auto_scale_lr.get('enable', False):
            return
        if 'base_batch_size' not in auto_scale_lr:
            raise ValueError('auto_scale_lr needs `base_batch_size`, the batch that the learning rate was chosen for')
        sampler = self.train_dataloader.sampler
        batch = max(getattr(sampler, 'batch_sizes', None) or [self.train_dataloader.batch_size])
        ratio = batch * self.world_size / auto_scale_lr['base_batch_size']
        self.logger.info(f'learning rates are scaled by {ratio:.4g} for a batch of {batch * self.world_size}')
        for group in optim_wrapper.optimizer.param_groups:
            group['lr'] *= ratio
            if 'initial_lr' in group:
                group['initial_lr'] *= ratio

    def load_or_resume(self) -> None:
        """As the base class, but `resume=True` without a checkpoint finds the newest whole one."""
        if self._resume and self._load_from is None and not self._has_loaded:
            latest = find_latest_checkpoint(self.work_dir)
            if latest is None:
                self.logger.info(f'nothing to resume from in {self.work_dir}: training starts at iteration 0')
                self._has_loaded = True
                return
            self._load_from = str(latest)
        super().load_or_resume()

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', strict: bool = False, **_: Any) -> dict:
        """Read a checkpoint safely and load its weights, with a report.

        Args:
            filename: a local file.
            map_location: device for the tensors.
            strict: every key must match; always so when resuming.

        Returns:
            The checkpoint.

        Raises:
            FileNotFoundError, UnsafeCheckpointError, ValueError: see `read_checkpoint` and `load_state_dict`.
        """
        checkpoint = self.strategy.read(filename)
        if self._resume:
            missing = [key for key in ('meta', 'message_hub', 'optimizer', 'rng') if key not in checkpoint]
            if missing:
                raise ValueError(
                    f'{filename} cannot be resumed from: it lacks {missing} (weights only?); start from it with '
                    '`load_from` instead'
                )
            self.resumed_rng = checkpoint['rng']
            if checkpoint['meta'].get('dataset_text') == self._dataset_text():
                # MMEngine warns unless this is equal; arbitrary objects have no place in a checkpoint of ours
                checkpoint['meta']['dataset_meta'] = getattr(self.train_dataloader.dataset, 'metainfo', None)
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = unpack_message_hub(checkpoint['message_hub'])
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model: Any = self.model.module if is_model_wrapper(self.model) else self.model
        report = self.strategy.load(model, checkpoint, Path(filename), strict or self._resume)
        if self._resume:
            optimizer = self.strategy.optimizer_state(model, self.optim_wrapper, checkpoint, Path(filename))
            checkpoint['optimizer'] = optimizer
        (self.logger.info if report.clean else self.logger.warning)(f'{filename}: {report}')
        self._has_loaded = True
        return checkpoint

    def test_trained(self) -> dict[str, float]:
        """After training, test what it has chosen: its best checkpoint (`save_best`), or without one the last weights.

        With `EMAHook` both are averaged ones.
        """
        hook = next((hook for hook in self.hooks if isinstance(hook, RC3CheckpointHook)), None)
        if hook and hook.best:
            barrier()  # the main process may still be writing it
            self._resume = False  # the checkpoint is for testing: it has no optimiser, and hooks shall take its weights
            self.load_checkpoint(hook.best, strict=True)
            self.chosen = hook.best
            self.logger.info(f'what is tested now: the best weights, {hook.best}')
        elif hook and hook.save_best:
            self.logger.warning(
                'what is tested now: the last weights; `save_best` is set, but no validation has chosen others'
            )
        else:
            self.logger.info('what is tested now: the last weights; `save_best` of the checkpoint hook is not set')
        return dict(self.test())

    def _dataset_text(self) -> str:
        """What the training data say of themselves, to tell on resuming whether they are still the same."""
        return json.dumps(getattr(self.train_dataloader.dataset, 'metainfo', None), default=str, sort_keys=True)

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Continue exactly where a checkpoint was written.

        Raises:
            ValueError: the checkpoint holds weights only.
        """
        self._resume = True
        super().resume(filename, *args, **kwargs)

    def save_checkpoint(  # every rank takes part: each contributes its random generators
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
    ) -> None:
        """Write a checkpoint atomically to a local folder.

        Args:
            out_dir: folder.
            filename: name in it.
            file_client_args: must be None; checkpoints are local files.
            save_optimizer: with the optimiser's state.
            save_param_scheduler: with the schedules' state.
            meta: `epoch` and `iter` to continue with.
            by_epoch: whether the count is of epochs, where `meta` does not say.
            backend_args: must be None; checkpoints are local files.
        """
        if file_client_args or backend_args:
            raise ValueError('RC3Runner writes checkpoints to local folders only')
        states = [self.evaluation_rng or get_rng_state()]
        if self.world_size > 1:
            gathered: list[Any] = [None] * self.world_size
            dist.all_gather_object(gathered, states[0])
            states = gathered
        if self.rank != 0 and not self.strategy.sharded:
            return
        default = (self.epoch + 1, self.iter) if by_epoch else (self.epoch, self.iter + 1)
        meta = {'epoch': default[0], 'iter': default[1], **(meta or {})}
        meta |= {
            'cfg': self.config_text,
            'seed': self.seed,
            'experiment_name': self.experiment_name,
            'dataset_text': self._dataset_text(),
            'time': time.strftime('%Y%m%d_%H%M%S'),
            'versions': {'rc3mm': __version__, 'mmengine': mmengine.__version__, 'torch': torch.__version__},
        }
        meta['versions'] = {name: str(version) for name, version in meta['versions'].items()}
        model: Any = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoint: dict[str, Any] = {
            'meta': meta,
            'state_dict': dict(model.state_dict()),
            'message_hub': pack_message_hub(self.message_hub.state_dict()),
            'rng': states,
        }
        if save_optimizer:
            checkpoint['optimizer'] = self.optim_wrapper.state_dict()
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in self.param_schedulers]
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        self.strategy.write(checkpoint, Path(out_dir) / filename, model, self.optim_wrapper)


def first_host(nodes: str | None) -> str:
    """The first of a Slurm job's nodes, where its first process runs; this machine if there are none.

    Args:
        nodes: Slurm's own notation, such as `gpu[07-10]`, which its `scontrol` takes apart.
    """
    if not nodes:
        return '127.0.0.1'
    done = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]
