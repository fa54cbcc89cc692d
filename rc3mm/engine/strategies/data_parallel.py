"""Every process holds the whole model; gradients are averaged."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from rc3mm.engine.strategies.base import Strategy
from rc3mm.registry import STRATEGIES

__all__ = ['DataParallel', 'varies']


@STRATEGIES.register_module()
class DataParallel(Strategy):
    """`torch.nn.parallel.DistributedDataParallel`, on GPUs and CPUs.

    Which objectives run depends on a batch's source, so most batches leave some parameters without gradient; those are
    looked for in each step, unless all steps are alike.

    Args:
        static_graph: all steps use the same parameters in the same order, so DDP looks for unused ones once, and
            gradients travel while the backward pass goes on. Holds for fine-tuning in one visual form.
        **options: of `DistributedDataParallel` (`bucket_cap_mb`, `gradient_as_bucket_view`, ...), or `type`, another
            model wrapper of MMEngine's registry.
    """

    def __init__(self, static_graph: bool = False, **options: Any) -> None:
        self.static_graph = static_graph
        self.options = options

    def wrap(self, model: nn.Module, by_mmengine: Callable[[dict], nn.Module]) -> nn.Module:
        """See `Strategy`.

        Raises:
            ValueError: `static_graph`, but the model's steps differ.
        """
        if self.static_graph and (reason := varies(model)):
            raise ValueError(f'strategy.static_graph holds only where all steps are alike, but {reason}')
        config: dict[str, Any] = {'type': 'MMDistributedDataParallel', **self.options}
        if config['type'] == 'MMDistributedDataParallel':
            config.setdefault('find_unused_parameters', not self.static_graph)
            config.setdefault('broadcast_buffers', False)
            config['static_graph'] = self.static_graph
            if not torch.cuda.is_available():
                config['device_ids'] = None
        return by_mmengine(config)


def varies(model: nn.Module) -> str | None:
    """Why a model's steps may use different parameters, or None if nothing speaks for it."""
    sampler: Any = getattr(model, 'form_sampler', None)
    if sampler is not None and len(sampler.probs) > 1:
        return f'visual forms are drawn for each batch ({sorted(sampler.probs)}); give `form_probs` one form'
    objectives: Any = getattr(model, 'objectives', {})
    if len({objective.sources for objective in objectives.values()}) > 1:
        return 'objectives run on different sources'
    drawn = [name for name, objective in objectives.items() if objective.probability < 1]
    return f'objectives are drawn for each batch: {drawn}' if drawn else None
