"""One gradient for word embeddings that are an input and an output layer at once.

Each of the two has a gradient as large as the vocabulary, and autograd would hold both and add them up: with 250,002
words of width 768, two times 0.77 GB of float32. Here the output layer leaves its gradient to the lookup, which adds
the few rows of its own to it.

Shapes: M texts, T tokens, V words, E width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ['WordTie']


class WordTie:
    """Ties an output layer to the lookup of the same step.

    Attributes:
        token: a scalar that the lookup returned. Who takes it as an input gets its backward pass before the lookup's,
            and may leave a gradient of the words there by `leave`; None if nothing has been looked up, or the words do
            not learn.
    """

    def __init__(self) -> None:
        self.token: Tensor | None = None
        self._left: Tensor | None = None

    def look_up(self, ids_MT: Tensor, embeddings: nn.Module) -> Tensor:
        """`embeddings(ids)`, (M, T, E); of several lookups the first one is tied."""
        plain = type(embeddings) is nn.Embedding and embeddings.max_norm is None and not embeddings.scale_grad_by_freq
        learns = torch.is_grad_enabled() and plain and embeddings.weight.requires_grad
        if self.token is not None or not learns:
            return embeddings(ids_MT)
        assert isinstance(embeddings, nn.Embedding)
        words_MTE, self.token = _TiedLookup.apply(ids_MT, embeddings.weight, embeddings.padding_idx, self)
        return words_MTE

    def leave(self, gradient_VE: Tensor) -> None:
        """Leave a gradient of the words, which is no longer the caller's."""
        self._left = gradient_VE if self._left is None else self._left.add_(gradient_VE)

    def take(self) -> Tensor | None:
        """What was left, once."""
        left, self._left = self._left, None
        return left


class _TiedLookup(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, ids: Tensor, words_VE: Tensor, padding_idx: int | None, tie: WordTie
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(ids)
        ctx.like, ctx.padding_idx, ctx.tie = words_VE.detach(), padding_idx, tie
        return F.embedding(ids, words_VE), words_VE.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[None, Tensor, None, None]:
        (ids,) = ctx.saved_tensors
        ids_K, rows_KE = ids.flatten(), gradient.flatten(0, -2).to(ctx.like.dtype)
        if ctx.padding_idx is not None:
            rows_KE = rows_KE.masked_fill((ids_K == ctx.padding_idx)[:, None], 0.0)
        left = ctx.tie.take()
        total = torch.zeros_like(ctx.like) if left is None else left
        return None, total.index_add_(0, ids_K, rows_KE), None, None
