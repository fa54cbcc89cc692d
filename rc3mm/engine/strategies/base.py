"""What the runner asks of a strategy."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

from rc3mm.utils.checkpoint import LoadReport, load_state_dict, read_checkpoint, write_checkpoint

__all__ = ['Strategy', 'give_scalars_a_dimension']


class Strategy:
    """How a model is spread over the processes of a run.

    `RC3Runner` builds one from the config's `strategy` (registry `STRATEGIES`, a child of MMEngine's) and asks it for
    what differs between data-parallel and sharded training; all else (environment, logs, hooks, loops, schedules) stays
    the runner's. MMEngine's own strategies do all of that themselves, for its `FlexibleRunner`, and read pickles.

    Attributes:
        sharded: whether a process holds a part of each tensor, so that writing a checkpoint takes all of them.
        initialises: whether `wrap` has the model initialise its weights; else the runner does it afterwards.
    """

    sharded = False
    initialises = False

    def wrap(self, model: nn.Module, by_mmengine: Callable[[dict], nn.Module]) -> nn.Module:
        """The model that training calls.

        Args:
            model: on its device or on the CPU, with the weights that it was built with.
            by_mmengine: moves the model to its device and wraps it as a config of a model wrapper says.
        """
        raise NotImplementedError

    @staticmethod
    def initialise(model: Any) -> None:
        """Have the model, on its device, initialise its weights, and give the first process's to all."""
        if hasattr(model, 'init_weights'):
            model.init_weights()
        for value in model.state_dict().values():
            dist.broadcast(value, 0)

    def bind(self, model: nn.Module, optim_wrapper: Any) -> tuple[nn.Module, Any]:
        """The model and the optimiser wrapper that training calls, once there is an optimiser."""
        return model, optim_wrapper

    def whole(self, model: nn.Module) -> AbstractContextManager[Any]:
        """A block within which any part of the model can be called by one process alone, as evaluation does."""
        return nullcontext()

    def read(self, path: str | Path) -> dict[str, Any]:
        """A checkpoint as `load` and `optimizer_state` take it; see `read_checkpoint` for what is raised."""
        return read_checkpoint(path)

    def write(self, checkpoint: dict[str, Any], path: Path, model: nn.Module, optim_wrapper: Any) -> None:
        """Write a checkpoint; called by the first process, or by all if `sharded`."""
        write_checkpoint(checkpoint, path)

    def load(self, model: nn.Module, checkpoint: Mapping[str, Any], path: Path, strict: bool) -> LoadReport:
        """Copy a checkpoint's weights into the unwrapped model.

        Args:
            model: the receiver.
            checkpoint: as `read` returned it.
            path: where it came from.
            strict: every key must match.
        """
        state: Mapping[str, Tensor] = checkpoint['state_dict']
        return load_state_dict(model, state, strict)

    def optimizer_state(
        self, model: nn.Module, optim_wrapper: Any, checkpoint: Mapping[str, Any], path: Path
    ) -> dict[str, Any]:
        """What the optimiser wrapper's `load_state_dict` takes; the arguments are those of `load`.

        Raises:
            ValueError: the optimiser has other parameters than the checkpoint's.
        """
        return dict(checkpoint['optimizer'])


def give_scalars_a_dimension(model: nn.Module) -> list[str]:
    """Names of the parameters that had none; what cannot be sharded, or sent as bytes."""
    scalars = [name for name, parameter in model.named_parameters() if not parameter.ndim]
    for name in scalars:
        owner, _, own = name.rpartition('.')
        old = model.get_parameter(name)
        setattr(model.get_submodule(owner), own, nn.Parameter(old.detach().reshape(1), old.requires_grad))
    return scalars
