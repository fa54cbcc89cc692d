"""Contrastive losses between two views of each image, over the global batch.

rc3mm's formulation (docs/objectives.md). N is the global batch, R the rows that this process scores: all N of them,
or with the local loss only its own B. s_ij is the cosine of view a of item i and view b of item j. Both ways give
the same gradient after the data-parallel average; the local loss needs memory B x N instead of N x N.

InfoNCE: van den Oord et al. 2018; symmetric form: Radford et al. 2021; local loss: open_clip.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rc3mm.utils.dist import all_reduce_sum, gather, rank_and_world_size

__all__ = [
    'PairSimilarities',
    'band_penalty',
    'info_nce',
    'info_nce_terms',
    'pair_similarities',
    'reduce_rows',
    'soft_target_terms',
]


@dataclass(frozen=True)
class PairSimilarities:
    """Cosines between the two views, in both directions.

    Attributes:
        ab_RN: s_ij for the rows i of this process.
        ba_RN: s_ji for the same rows: view b of item i against view a of item j.
        positive_R: the column of each row's own item.
        extra_ab_RK: cosines of view a of item i to K extra negatives of its own, or None.
        extra_ba_RK: likewise for view b.
        local: whether the rows are only this process's.
    """

    ab_RN: Tensor
    ba_RN: Tensor
    positive_R: Tensor
    extra_ab_RK: Tensor | None
    extra_ba_RK: Tensor | None
    local: bool

    @property
    def accuracy(self) -> Tensor:
        """The share of rows of which the own other view is the nearest, without gradient."""
        return (self.ab_RN.argmax(1) == self.positive_R).float().mean().detach()

    @property
    def diagonal_R(self) -> Tensor:
        """s_ii of each row, shape (R,)."""
        return self.ab_RN.gather(1, self.positive_R[:, None]).squeeze(1)

    def rows(self, x_B: Tensor) -> Tensor:
        """Per-item numbers of this process's items -> those of the rows, shape (R,)."""
        return x_B if self.local else gather(x_B, with_gradient=False)

    def global_means(self) -> tuple[Tensor, Tensor]:
        """Means of the diagonal and of the off-diagonal of s over the global batch, without gradient."""
        s, diagonal = self.ab_RN.detach().float(), self.diagonal_R.detach().float()
        off = s.sum() - diagonal.sum()
        counts = torch.tensor([len(s), len(s) * (s.shape[1] - 1)], device=s.device, dtype=torch.float32)
        sums = torch.stack([diagonal.sum(), off])
        if self.local:
            sums, counts = all_reduce_sum(sums), all_reduce_sum(counts)
        means = sums / counts.clamp(min=1)
        return means[0], means[1]


def pair_similarities(
    a_BD: Tensor,
    b_BD: Tensor,
    extra_a_BKD: Tensor | None = None,
    extra_b_BKD: Tensor | None = None,
    local_loss: bool = True,
) -> PairSimilarities:
    """Cosines between two views over the global batch, gathered with gradient.

    Args:
        a_BD: unit-length view a of this process's items.
        b_BD: unit-length view b.
        extra_a_BKD: extra negatives of view b's anchors (they play the part of a wrong view a), or None.
        extra_b_BKD: extra negatives of view a's anchors, or None.
        local_loss: score this process's rows only.
    """
    a_BD, b_BD = a_BD.float(), b_BD.float()
    a_ND, b_ND = gather(a_BD), gather(b_BD)
    extra_ab = None if extra_b_BKD is None else torch.einsum('bd,bkd->bk', a_BD, extra_b_BKD.float())
    extra_ba = None if extra_a_BKD is None else torch.einsum('bd,bkd->bk', b_BD, extra_a_BKD.float())
    rank, world_size = rank_and_world_size()
    B = len(a_BD)
    if local_loss:
        positive = torch.arange(B, device=a_BD.device) + rank * B
        return PairSimilarities(a_BD @ b_ND.T, b_BD @ a_ND.T, positive, extra_ab, extra_ba, local=True)
    s = a_ND @ b_ND.T
    positive = torch.arange(B * world_size, device=a_BD.device)
    extra_ab = None if extra_ab is None else gather(extra_ab)
    extra_ba = None if extra_ba is None else gather(extra_ba)
    return PairSimilarities(s, s.T, positive, extra_ab, extra_ba, local=False)


def _log_softmax(s_RN: Tensor, extra_RK: Tensor | None, tau: Tensor) -> Tensor:
    logits = s_RN if extra_RK is None else torch.cat([s_RN, extra_RK], dim=1)
    return F.log_softmax(logits / tau, dim=1)


def info_nce_terms(similarities: PairSimilarities, tau: Tensor) -> Tensor:
    """-1/2 [log softmax_j(s_ij / tau) at j = i + log softmax_j(s_ji / tau) at j = i], one term a row, shape (R,)."""
    index = similarities.positive_R[:, None]
    ab = _log_softmax(similarities.ab_RN, similarities.extra_ab_RK, tau).gather(1, index)
    ba = _log_softmax(similarities.ba_RN, similarities.extra_ba_RK, tau).gather(1, index)
    return -0.5 * (ab + ba).squeeze(1)


def info_nce(similarities: PairSimilarities, tau: Tensor) -> Tensor:
    """Mean of `info_nce_terms` over the global batch."""
    return reduce_rows(info_nce_terms(similarities, tau), similarities)


def soft_target_terms(similarities: PairSimilarities, tau: Tensor, relevance_R: Tensor) -> Tensor:
    """Cross-entropy to the target that gives r_i to the own item and shares 1 - r_i among the N - 1 others.

    Both directions averaged, one term a row, shape (R,). Extra negatives enter the softmax with target 0.
    """
    N = similarities.ab_RN.shape[1]
    index = similarities.positive_R[:, None]
    terms = []
    for s, extra in (
        (similarities.ab_RN, similarities.extra_ab_RK),
        (similarities.ba_RN, similarities.extra_ba_RK),
    ):
        log_p = _log_softmax(s, extra, tau)[:, :N]
        own = log_p.gather(1, index).squeeze(1)
        others = (log_p.sum(1) - own) / max(N - 1, 1)
        terms.append(-(relevance_R * own + (1 - relevance_R) * others))
    return 0.5 * (terms[0] + terms[1])


def band_penalty(s_R: Tensor, relevance_R: Tensor, s_pos: Tensor, s_neg: Tensor, delta: float) -> Tensor:
    """max(0, |s_ii - p_i| - delta)^2 with p_i = s_neg + r_i (s_pos - s_neg), one term a row, shape (R,).

    Args:
        s_R: proximities s_ii.
        relevance_R: textual relevance in [0, 1].
        s_pos: proximity of translations (scalar, no gradient).
        s_neg: proximity of unrelated pairs (scalar, no gradient).
        delta: half width of the band in which a pair is left alone.
    """
    allowed = s_neg + relevance_R * (s_pos - s_neg)
    return ((s_R - allowed).abs() - delta).clamp(min=0).square()


def reduce_rows(terms_R: Tensor, similarities: PairSimilarities, weights_R: Tensor | None = None) -> Tensor:
    """Global (weighted) mean of row terms, so that the average over processes is the loss of the whole batch.

    Args:
        terms_R: one loss a row.
        similarities: tells whether the rows are local.
        weights_R: non-negative weights; None for a plain mean. If all of them are 0 the result is 0.
    """
    if weights_R is None:
        return terms_R.mean()
    total = weights_R.sum()
    scale = 1
    if similarities.local:
        total, scale = all_reduce_sum(total), rank_and_world_size()[1]
    weighted = (terms_R * weights_R).sum() * scale
    return torch.where(total > 0, weighted / total.clamp(min=torch.finfo(total.dtype).tiny), weighted * 0)
