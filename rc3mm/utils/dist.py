"""The few collectives that the losses and the evaluation need, the same with and without a process group.

Backends: NCCL on GPUs, gloo on CPUs. Without an initialised group every function is the identity of a world
of one.
"""

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ['all_reduce_sum', 'gather', 'rank_and_world_size']


def rank_and_world_size() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


class _GatherWithGradient(torch.autograd.Function):
    """Concatenate equal-sized row blocks of all ranks; the gradient of a block is the sum over ranks."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return _all_gather(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        rank, world_size = rank_and_world_size()
        rows = grad.shape[0] // world_size
        if dist.get_backend() == 'nccl':
            out = grad.new_empty((rows, *grad.shape[1:]))
            dist.reduce_scatter_single(out, grad.contiguous())
            return out
        # gloo has no dependable reduce_scatter: sum everything, keep our rows.
        summed = grad.contiguous().clone()
        dist.all_reduce(summed)
        return summed[rank * rows : (rank + 1) * rows]


def _all_gather(x: Tensor) -> Tensor:
    _, world_size = rank_and_world_size()
    out = x.new_empty((world_size * x.shape[0], *x.shape[1:]))
    dist.all_gather_single(out, x.contiguous())
    return out


def gather(x: Tensor, with_gradient: bool = True) -> Tensor:
    """Concatenate `x` over all ranks along dimension 0, in rank order.

    Args:
        x: any shape (B, ...); B and the rest must be equal on every rank.
        with_gradient: let the gradient flow back to every rank's block (summed over the ranks' losses).

    Returns:
        Shape (world_size * B, ...). `x` itself in a world of one.
    """
    if rank_and_world_size()[1] == 1:
        return x
    if with_gradient and x.requires_grad:
        return _GatherWithGradient.apply(x)
    return _all_gather(x.detach())


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum of `x` over all ranks, without gradient; a new tensor."""
    out = x.detach().clone()
    if rank_and_world_size()[1] > 1:
        dist.all_reduce(out)
    return out
