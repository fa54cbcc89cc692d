"""Cross-entropy over a large vocabulary, without holding the logits of all positions.

Shapes: K positions, V words, E embedding width.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rc3mm.models.layers.word_tie import WordTie

__all__ = ['LOGITS_BYTES', 'word_cross_entropy']

WORDS_AT_A_TIME = 16_384
LOGITS_BYTES = 2**28  # of float32 logits at a time: 268 positions of XLM-R's 250,002 words


def word_cross_entropy(
    embedded_KE: Tensor,
    words_VE: Tensor,
    bias_V: Tensor,
    labels_K: Tensor,
    tie: WordTie | None = None,
    logits_bytes: int = LOGITS_BYTES,
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
        tie: of a lookup of the same words, which then takes their gradient.
        logits_bytes: how much memory logits may take at a time.
    """
    device = embedded_KE.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embedded_KE.dtype
    rows = max(1, logits_bytes // (4 * len(words_VE)))
    token = None if tie is None else tie.token
    words_VE = words_VE if token is None else words_VE.detach()
    total, hits = _WordCrossEntropy.apply(embedded_KE, words_VE, bias_V, labels_K, token, tie, dtype, rows)
    return total, hits


class _WordCrossEntropy(torch.autograd.Function):
    """A chunk of positions at a time, and a block of the vocabulary at a time: nothing of its size is copied.

    The gradient of the words is as large as they are. It is made in the backward pass, from the logits' gradients in
    the dtype of the products, where these are smaller; else in the forward pass, so that they need not be kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        embedded_KE: Tensor,
        words_VE: Tensor,
        bias_V: Tensor,
        labels_K: Tensor,
        token: Tensor | None,
        tie: WordTie | None,
        dtype: torch.dtype,
        rows: int,
    ) -> tuple[Tensor, Tensor]:
        wants_embedded, wants_words, wants_bias, _, is_tied, *_ = ctx.needs_input_grad
        wants_words = wants_words or is_tied
        ctx.tie = tie if is_tied else None
        ctx.slopes, ctx.of_embedded, ctx.of_words, ctx.of_bias = [], None, None, None
        with torch.autocast(embedded_KE.device.type, enabled=False):
            embedded = embedded_KE.to(dtype)
            if wants_embedded:
                ctx.of_embedded = torch.zeros_like(embedded_KE, dtype=torch.float32)
            if wants_bias:
                ctx.of_bias = torch.zeros_like(bias_V, dtype=torch.float32)
            keeps_slopes = len(labels_K) * dtype.itemsize <= words_VE.shape[1] * torch.float32.itemsize
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
                if not (wants_embedded or wants_words or wants_bias):
                    continue
                slope = logits.sub_(norm_k1).exp_()  # becomes softmax - one-hot, the gradient of the logits
                slope.scatter_add_(1, labels_k1, slope.new_full((), -1.0).expand(labels_k1.shape))
                if wants_bias:
                    ctx.of_bias += slope.sum(0)
                slope = slope.to(dtype)
                if wants_embedded:
                    own = ctx.of_embedded[start : start + rows]
                    for words, block in _blocks(words_VE):
                        own += slope[:, block] @ words.to(dtype)
                if wants_words and keeps_slopes:
                    ctx.slopes.append(slope)
                elif wants_words:
                    ctx.of_words = _add_words(ctx.of_words, slope, part, words_VE)
        ctx.save_for_backward(embedded, words_VE)
        ctx.rows, ctx.dtypes = rows, (embedded_KE.dtype, words_VE.dtype, bias_V.dtype)
        ctx.mark_non_differentiable(hits)
        return total, hits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        embedded, words_VE = ctx.saved_tensors
        of_words = None if ctx.of_words is None else ctx.of_words * scale
        for number, slope in enumerate(ctx.slopes):
            part = embedded[number * ctx.rows : (number + 1) * ctx.rows] * scale.to(embedded.dtype)
            of_words = _add_words(of_words, slope, part, words_VE)
        of_token = None
        if ctx.tie is not None:
            if of_words is not None:
                ctx.tie.leave(of_words)
            of_words, of_token = None, scale.new_zeros(())
        of_embedded, of_bias = (None if of is None else of * scale for of in (ctx.of_embedded, ctx.of_bias))
        found = zip((of_embedded, of_words, of_bias), ctx.dtypes, strict=True)
        return (*(None if of is None else of.to(dtype) for of, dtype in found), None, of_token, None, None, None)


def _blocks(words_VE: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """The vocabulary, some thousand words at a time."""
    for start in range(0, len(words_VE), WORDS_AT_A_TIME):
        block = slice(start, start + WORDS_AT_A_TIME)
        yield words_VE[block], block


def _add_words(of_words: Tensor | None, slope_kV: Tensor, part_kE: Tensor, words_VE: Tensor) -> Tensor:
    """The gradient of the words, in float32, with what some positions contribute."""
    first = of_words is None
    total = torch.empty_like(words_VE, dtype=torch.float32) if of_words is None else of_words
    for _, block in _blocks(words_VE):
        added = slope_kV[:, block].T @ part_kE
        total[block].copy_(added) if first else total[block].add_(added)
    return total
