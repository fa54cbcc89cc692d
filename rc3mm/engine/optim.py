"""The optimiser wrapper for bfloat16 autocast, on CPUs and GPUs alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from rc3mm.models.layers.cpu_attention import speed_up_bfloat16_attention
from rc3mm.registry import OPTIM_WRAPPERS

__all__ = ['BFloat16OptimWrapper']


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Forward passes under bfloat16 autocast; parameters and optimiser stay float32, and no loss scaling is needed.

    MMEngine's `AmpOptimWrapper` asks for a GPU; use that one for float16. Arguments are those of `OptimWrapper`. On a
    CPU it also has gradients of attention computed faster, see `speed_up_bfloat16_attention`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if get_device() == 'cpu':
            speed_up_bfloat16_attention()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[Any]:
        """Autocast around the forward pass, inside the base class's handling of gradient accumulation."""
        with super().optim_context(model), torch.autocast(get_device(), dtype=torch.bfloat16):
            yield
