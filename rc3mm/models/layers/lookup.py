"""Looking words up without a gradient of the size of the vocabulary."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ['SparseLookup', 'make_dense']


class SparseLookup(torch.autograd.Function):
    """`F.embedding(ids, table, padding_idx)` whose gradient holds the words that were looked up, and no others.

    Where the table is an output layer's as well, autograd adds it to the gradient that comes from there, in place; a
    second array of 250,002 rows is neither filled with zeros nor added up. Where nothing else comes, `make_dense`
    makes it what optimisers expect.
    """

    @staticmethod
    def forward(ctx: Any, ids: Tensor, table_VE: Tensor, padding_idx: int | None) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape, ctx.padding_idx = table_VE.shape, padding_idx
        return F.embedding(ids, table_VE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        (ids,) = ctx.saved_tensors
        ids_K, rows_KE = ids.flatten(), gradient.flatten(0, -2)
        if ctx.padding_idx is not None:
            (real,) = (ids_K != ctx.padding_idx).nonzero(as_tuple=True)
            ids_K, rows_KE = ids_K.index_select(0, real), rows_KE.index_select(0, real)
        return None, torch.sparse_coo_tensor(ids_K[None], rows_KE, ctx.shape, check_invariants=False), None


def make_dense(parameter: Tensor) -> None:
    """Hook after a parameter has accumulated its gradient."""
    if parameter.grad is not None and parameter.grad.is_sparse:
        parameter.grad = parameter.grad.to_dense()
