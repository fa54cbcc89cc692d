"""DeepSpeed's engine (ZeRO stages 0 to 2), where the package is installed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine._strategy.deepspeed import MMDeepSpeedEngineWrapper
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from rc3mm.engine.strategies.base import Strategy, give_scalars_a_dimension
from rc3mm.registry import STRATEGIES
from rc3mm.utils.checkpoint import LoadReport, write_checkpoint
from rc3mm.utils.optional import require

__all__ = ['DeepSpeed']


@STRATEGIES.register_module()
class DeepSpeed(Strategy):
    """`deepspeed.initialize` around the model and the optimiser of the config.

    Clipping, gradient accumulation and bfloat16 are taken from `optim_wrapper`. DeepSpeed gives parameters without part
    in a step a gradient of zero, where others leave them alone: with several sources, AdamW then goes another way than
    in one process. Checkpoints hold the weights alone, since DeepSpeed keeps the optimiser's state in pickles; such a
    training cannot be resumed, only started from its weights.

    Args:
        stage: 0 (whole on each process), 1 (the optimiser's state in shards) or 2 (gradients too).
        **config: further entries of DeepSpeed's configuration.

    Raises:
        ModuleNotFoundError: DeepSpeed is not installed.
        ValueError: another stage. For parameters in shards take `FSDP2`.
    """

    initialises = True

    def __init__(self, stage: int = 1, **config: Any) -> None:
        if stage not in (0, 1, 2):
            raise ValueError(f'strategy: DeepSpeed runs in stages 0 to 2, not {stage}; FSDP2 shards parameters as well')
        self.deepspeed = require('deepspeed', 'the strategy DeepSpeed')
        self.config = {
            'train_micro_batch_size_per_gpu': 1,  # asked for, and used for nothing but its own log
            'zero_allow_untested_optimizer': True,
            'steps_per_print': 2**31,
            'zero_optimization': {'stage': stage},
            **config,
        }

    def wrap(self, model: nn.Module, by_mmengine: Callable[[dict], nn.Module]) -> nn.Module:
        """See `Strategy`; the engine comes with the optimiser."""
        model = model.to(get_device())
        self.initialise(model)
        self.scalars = give_scalars_a_dimension(model)
        return model

    def bind(self, model: nn.Module, optim_wrapper: Any) -> tuple[nn.Module, Any]:
        """See `Strategy`."""
        config = {
            'gradient_accumulation_steps': optim_wrapper._accumulative_counts,
            'gradient_clipping': float((optim_wrapper.clip_grad_kwargs or {}).get('max_norm', 0)),
            'torch_autocast': {'enabled': 'BFloat16' in type(optim_wrapper).__name__, 'dtype': 'bfloat16'},
            **self.config,
        }
        bound: Any = _EngineOptimWrapper(optim_wrapper.optimizer)
        engine, bound.optimizer, *_ = self.deepspeed.initialize(
            model=model, optimizer=bound.optimizer, config=config, dist_init_required=False
        )
        bound.engine = wrapped = MMDeepSpeedEngineWrapper(model=engine)
        self.optimizer = bound.optimizer
        return wrapped, bound

    def load(self, model: nn.Module, checkpoint: Mapping[str, Any], path: Path, strict: bool) -> LoadReport:
        """See `Strategy`."""
        state = {name: v.reshape(1) if name in self.scalars else v for name, v in checkpoint['state_dict'].items()}
        report = super().load(model, {'state_dict': state}, path, strict)
        refresh = getattr(getattr(self, 'optimizer', None), 'refresh_fp32_params', None)
        if refresh:  # the optimiser's own copy
            refresh()
        return report

    def write(self, checkpoint: dict[str, Any], path: Path, model: nn.Module, optim_wrapper: Any) -> None:
        """See `Strategy`; without the optimiser's state."""
        rest = {key: value for key, value in checkpoint.items() if key != 'optimizer'}
        state = {name: v.reshape(()) if name in self.scalars else v for name, v in checkpoint['state_dict'].items()}
        write_checkpoint({**rest, 'state_dict': state}, path)


class _EngineOptimWrapper(OptimWrapper):
    """Leaves scaling, accumulation, clipping and steps to the engine."""

    engine: Any

    def update_params(self, loss: Tensor, *_: Any, **__: Any) -> None:
        """Backward pass and, when it is due, a step."""
        self.engine.backward(loss)
        self.engine.step()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: see `DeepSpeed`."""
        return {}
