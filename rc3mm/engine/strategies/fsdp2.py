"""Every process holds a part of each parameter, gradient and optimiser state (`torch.distributed.fsdp.fully_shard`)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.device import get_device
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from rc3mm.engine.strategies.base import Strategy, give_scalars_a_dimension
from rc3mm.models.layers import repeated_layers
from rc3mm.models.losses import Temperature
from rc3mm.registry import STRATEGIES
from rc3mm.utils.checkpoint import LoadReport, load_state_dict, read_checkpoint, write_checkpoint
from rc3mm.utils.shards import load_shards, write_shards

__all__ = ['FSDP2']

_DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


@STRATEGIES.register_module()
class FSDP2(Strategy):
    """Fully sharded data parallelism: layer by layer, put together when called, taken apart again.

    The layers of each encoder and of the fusion head are units of their own; what is left (embeddings, projections,
    heads) is one more, whole during a step. A part of the model that is frozen when it is built, such as a detector,
    stays whole. The model is evaluated whole too. Parameters without a dimension get one.

    Args:
        param_dtype: what layers are sent and computed in; `bfloat16` halves the traffic and needs `--amp`, for what is
            outside of the layers. Between two layers, in the shards and in the optimiser everything is float32.
        reduce_dtype: what gradients are summed in.
        reshard_after_forward: take a layer apart between its forward and its backward pass: less memory, half as much
            traffic again.
        shard_size: processes over which a parameter is spread, such as those of one machine; groups of so many hold
            copies. None: all processes.

    Raises:
        ValueError: an unknown type, or (in `wrap`) `shard_size` does not divide the number of processes.
    """

    sharded = initialises = True

    def __init__(
        self,
        param_dtype: str = 'float32',
        reduce_dtype: str = 'float32',
        reshard_after_forward: bool = True,
        shard_size: int | None = None,
    ) -> None:
        for name in (param_dtype, reduce_dtype):
            if name not in _DTYPES:
                raise ValueError(f'strategy: FSDP2 knows the types {sorted(_DTYPES)}, not {name!r}')
        self.param_dtype, self.reduce_dtype = _DTYPES[param_dtype], _DTYPES[reduce_dtype]
        self.reshard_after_forward = reshard_after_forward
        self.shard_size = shard_size
        self.scalars: list[str] = []
        self._is_whole = False

    # -- the model

    def wrap(self, model: nn.Module, by_mmengine: Callable[[dict], nn.Module]) -> nn.Module:
        """Shard the model in place, after the first process's weights have gone to all; see `Strategy`."""
        model = model.to(get_device())
        self.initialise(model)
        self.scalars = give_scalars_a_dimension(model)
        mesh = self._mesh()
        reduced = MixedPrecisionPolicy(reduce_dtype=self.reduce_dtype, cast_forward_inputs=False)
        layered = reduced
        if self.param_dtype is not torch.float32:  # between the layers it is float32 again
            layered = MixedPrecisionPolicy(self.param_dtype, self.reduce_dtype, output_dtype=torch.float32)
        frozen = [child for child in model.children() if not any(p.requires_grad for p in child.parameters())]
        for child in model.children():
            if child not in frozen:
                for layer in repeated_layers(child):
                    fully_shard(layer, mesh=mesh, reshard_after_forward=self.reshard_after_forward, mp_policy=layered)
                    for method in getattr(layer, 'called_beside_forward', ()):
                        register_fsdp_forward_method(layer, method)
        ignored = {parameter for child in frozen for parameter in child.parameters()}
        fully_shard(model, mesh=mesh, reshard_after_forward=False, mp_policy=reduced, ignored_params=ignored)
        model.same_calls = True  # type: ignore[assignment]
        # In front of FSDP's own hook: what a step changes in a parameter that is put together is lost afterwards.
        model.register_forward_pre_hook(_clamp_temperatures, prepend=True)
        return model

    def _mesh(self) -> Any:
        kind, processes = torch.device(get_device()).type, dist.get_world_size()
        if self.shard_size is None:
            return init_device_mesh(kind, (processes,), mesh_dim_names=('shard',))
        if processes % self.shard_size:
            raise ValueError(f'strategy.shard_size {self.shard_size} does not divide the {processes} processes')
        shape = (processes // self.shard_size, self.shard_size)
        return init_device_mesh(kind, shape, mesh_dim_names=('copies', 'shard'))

    def bind(self, model: nn.Module, optim_wrapper: Any) -> tuple[nn.Module, Any]:
        """See `Strategy`.

        Raises:
            ValueError: layers are sent as bfloat16, but the forward pass is not under autocast.
        """
        if self.param_dtype is not torch.float32 and 'BFloat16' not in type(optim_wrapper).__name__:
            raise ValueError("strategy.param_dtype='bfloat16' needs a forward pass in bfloat16: add --amp")
        return model, optim_wrapper

    @contextmanager
    def whole(self, model: nn.Module) -> Iterator[None]:
        """See `Strategy`; every process takes part in the beginning and the end."""
        self._is_whole = True
        self._put_together(model)
        try:
            with torch.autocast(get_device(), torch.bfloat16, enabled=self.param_dtype is torch.bfloat16):
                yield
        finally:
            self._is_whole = False
            for unit in _units(model):
                unit.set_reshard_after_forward(self.reshard_after_forward and unit is not model, recurse=False)
                unit.reshard()

    def _put_together(self, model: nn.Module) -> None:
        model._get_fsdp_state()._lazy_init()  # type: ignore[operator]  # else the part called first would be the root
        for unit in _units(model):
            unit.set_reshard_after_forward(False, recurse=False)
            unit.unshard()

    # -- checkpoints

    def read(self, path: str | Path) -> dict[str, Any]:
        """See `Strategy`; of a sharded one, what is not sharded."""
        return read_checkpoint(path, whole=False)

    def write(self, checkpoint: dict[str, Any], path: Path, model: nn.Module, optim_wrapper: Any) -> None:
        """See `Strategy`; in shards."""
        parameters = _names_in_order(model, optim_wrapper.optimizer) if 'optimizer' in checkpoint else []
        rest = write_shards(checkpoint, path, parameters, self.scalars)
        if dist.get_rank() == 0:
            write_checkpoint(rest, path)
        if self._is_whole:  # asking for the state has taken it apart
            self._put_together(model)

    def load(self, model: nn.Module, checkpoint: Mapping[str, Any], path: Path, strict: bool) -> LoadReport:
        """See `Strategy`."""
        own, state = model.state_dict(), dict(checkpoint['state_dict'])
        if 'shards' in checkpoint:
            stored = _stored(checkpoint, 'model.')
            state = {key: torch.empty(shape, device='meta') for key, (shape, _) in stored.items()}
            fitting = {
                f'model.{key}': torch.empty_like(own[key])
                for key in own.keys() & stored.keys()
                if list(own[key].shape) == stored[key][0]
            }
            load_shards(fitting, checkpoint['shards'], path)
            state |= {name.removeprefix('model.'): value for name, value in fitting.items()}
        else:
            state = {key: _like(value, own.get(key)) for key, value in state.items()}
        return load_state_dict(model, state, strict)

    def optimizer_state(
        self, model: nn.Module, optim_wrapper: Any, checkpoint: Mapping[str, Any], path: Path
    ) -> dict[str, Any]:
        """See `Strategy`."""
        parameters = dict(model.named_parameters())
        order = _names_in_order(model, optim_wrapper.optimizer)
        saved: dict[str, Any] = dict(checkpoint['optimizer'])
        if 'shards' not in checkpoint:
            saved['state'] = {
                index: {
                    kind: value if kind == 'step' else _like(value, parameters[order[index]])
                    for kind, value in kinds.items()
                }
                for index, kinds in saved['state'].items()
            }
            return saved
        if checkpoint['shards']['parameters'] != order:
            raise ValueError(f'{path}: its optimiser has other parameters, or in another order; keep the groups')
        tensors = {}
        for key, (shape, dtype) in _stored(checkpoint, 'optimizer.').items():
            like = parameters[key.rpartition('.')[0]].detach()
            alike = list(like.shape) == shape
            tensors[key] = torch.empty_like(like, dtype=dtype) if alike else torch.empty(shape, dtype=dtype)
        load_shards({f'optimizer.{key}': value for key, value in tensors.items()}, checkpoint['shards'], path)
        saved['state'] = {}
        index = {name: number for number, name in enumerate(order)}
        for key, value in tensors.items():
            name, _, kind = key.rpartition('.')
            saved['state'].setdefault(index[name], {})[kind] = value
        return saved


def _units(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def _clamp_temperatures(model: nn.Module, *_: Any) -> None:
    for module in model.modules():
        if isinstance(module, Temperature):
            module.clamp()


def _names_in_order(model: nn.Module, optimizer: Any) -> list[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for group in optimizer.param_groups for parameter in group['params']]


def _stored(checkpoint: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Shape and type of the tensors in the shards whose names have a prefix, which is taken off."""
    tensors = checkpoint['shards']['tensors']
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _like(value: Any, own: Tensor | None) -> Any:
    """A whole tensor, sharded as `own` is, if it is of its shape."""
    if not isinstance(own, DTensor) or not isinstance(value, Tensor) or value.numel() != own.numel():
        return value
    if value.ndim and value.shape != own.shape:
        return value
    value = value.reshape(own.shape).to(own.device)
    return distribute_tensor(value, own.device_mesh, own.placements, src_data_rank=None)
