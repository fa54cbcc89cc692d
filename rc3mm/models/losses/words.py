"""Cross-entropy over a large vocabulary, without holding the logits of all positions.

Shapes: K positions, V words, E embedding width.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ['LOGITS_BYTES', 'word_cross_entropy']

WORDS_AT_A_TIME = 16_384
LOGITS_BYTES = 2**28  # of float32 logits at a time: 268 positions of XLM-R's 250,002 words


def word_cross_entropy(
    embedded_KE: Tensor, words_VE: Tensor, bias_V: Tensor, labels_K: Tensor, logits_bytes: int = LOGITS_BYTES
) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of `embedded @ words.T + bias`, and how many labels have the largest logit, both scalars.

    Logits are made and turned into gradients a few positions at a time, and nothing of them is kept: one product for
    the logits and two for the gradients, as without chunks. Under autocast the products are in its dtype, everything
    else in float32.

    Args:
        embedded_KE: what is compared with the words.
        words_VE: word embeddings.
        bias_V: one a word.
        labels_K: the right words.
        logits_bytes: how much memory logits may take at a time.
    """
    device = embedded_KE.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embedded_KE.dtype
    rows = max(1, logits_bytes // (4 * len(words_VE)))
    total, hits = _WordCrossEntropy.apply(embedded_KE, words_VE, bias_V, labels_K, dtype, rows)
    return total, hits


class _WordCrossEntropy(torch.autograd.Function):
    """A chunk of positions at a time, and a block of the vocabulary at a time: nothing of its size is copied."""

    @staticmethod
    def forward(
        ctx: Any,
        embedded_KE: Tensor,
        words_VE: Tensor,
        bias_V: Tensor,
        labels_K: Tensor,
        dtype: torch.dtype,
        rows: int,
    ) -> tuple[Tensor, Tensor]:
        wanted = ctx.needs_input_grad[:3]
        with torch.autocast(embedded_KE.device.type, enabled=False):
            embedded = embedded_KE.to(dtype)
            gradients = [
                torch.empty_like(of, dtype=torch.float32) if want else None
                for of, want in zip((embedded_KE, words_VE, bias_V), wanted, strict=True)
            ]
            total = embedded.new_zeros((), dtype=torch.float32)
            hits = embedded.new_zeros((), dtype=torch.int64)
            for start in range(0, max(len(labels_K), 1), rows):
                part, labels_k1 = embedded[start : start + rows], labels_K[start : start + rows, None]
                logits = torch.empty(len(part), len(words_VE), dtype=torch.float32, device=part.device)
                for words, block in _blocks(words_VE):
                    logits[:, block] = part @ words.to(dtype).T
                logits += bias_V
                norm_k1 = logits.logsumexp(1, keepdim=True)
                total += (norm_k1 - logits.gather(1, labels_k1)).sum()
                hits += (logits.argmax(1, keepdim=True) == labels_k1).sum()
                if any(wanted):  # the logits become softmax - one-hot, their gradient
                    slope = logits.sub_(norm_k1).exp_()
                    slope.scatter_add_(1, labels_k1, slope.new_full((), -1.0).expand(labels_k1.shape))
                    _gradients(gradients, slope, part, words_VE, start)
        ctx.gradients = gradients
        ctx.dtypes = embedded_KE.dtype, words_VE.dtype, bias_V.dtype
        ctx.mark_non_differentiable(hits)
        return total, hits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        gradients = ctx.gradients
        if gradients is None:
            raise RuntimeError('the gradient of `word_cross_entropy` was asked for a second time; compute it anew')
        ctx.gradients = None  # handed on: they are scaled in place
        if scale.device.type != 'cpu' or scale != 1:
            gradients = [None if gradient is None else gradient.mul_(scale) for gradient in gradients]
        found = (None if of is None else of.to(dtype) for of, dtype in zip(gradients, ctx.dtypes, strict=True))
        return (*found, None, None, None)


def _blocks(words_VE: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """The vocabulary, some thousand words at a time."""
    for start in range(0, len(words_VE), WORDS_AT_A_TIME):
        block = slice(start, start + WORDS_AT_A_TIME)
        yield words_VE[block], block


def _gradients(gradients: list[Tensor | None], slope_kV: Tensor, part_kE: Tensor, words_VE: Tensor, start: int) -> None:
    """Write what the first positions contribute to the gradients, or add what later ones do."""
    of_embedded, of_words, of_bias = gradients
    if of_bias is not None:
        of_bias.copy_(slope_kV.sum(0)) if start == 0 else of_bias.add_(slope_kV.sum(0))
    own = None if of_embedded is None else of_embedded[start : start + len(part_kE)].zero_()
    for words, block in _blocks(words_VE):
        slope = slope_kV[:, block].to(part_kE.dtype)
        if own is not None:
            own += slope @ words.to(part_kE.dtype)
        if of_words is not None:
            added = slope.T @ part_kE
            of_words[block].copy_(added) if start == 0 else of_words[block].add_(added)
