"""The regularisers of R-XVtCL: what textual relevance does to the contrastive loss of weakly-aligned pairs."""

from typing import Protocol

from torch import Tensor, nn

from rc3mm.models.losses import (
    PairSimilarities,
    ProximityMeans,
    band_penalty,
    info_nce_terms,
    reduce_rows,
    soft_target_terms,
)
from rc3mm.registry import MODELS

__all__ = ['BandRegularizer', 'NoRegularizer', 'Regularizer', 'SoftTargetRegularizer']


class Regularizer(Protocol):
    """Turns proximities and relevance into the loss of a weak batch."""

    def __call__(
        self, similarities: PairSimilarities, relevance_R: Tensor, tau: Tensor, means: ProximityMeans
    ) -> dict[str, Tensor]:
        """`{'loss': scalar, ...}`; further entries are parts of the loss, for the log."""
        ...


@MODELS.register_module()
class BandRegularizer(nn.Module):
    """Pull weighted by relevance, and a band around the proximity that the relevance allows.

        L_pull = sum_i r_i l_i / sum_i r_i                      l_i: the InfoNCE term of image i
        L_band = 1/N sum_i max(0, |s_ii - p_i| - delta)^2       p_i = s_neg + r_i (s_pos - s_neg)
        L      = L_pull + lambda L_band

    The band waits until s_pos and s_neg have been measured on a strict batch.

    Args:
        band_weight: lambda.
        delta: half width of the band.

    Raises:
        ValueError: a negative argument.
    """

    def __init__(self, band_weight: float = 5.0, delta: float = 0.05) -> None:
        super().__init__()
        if band_weight < 0 or delta < 0:
            raise ValueError(f'band_weight and delta must not be negative, got {band_weight} and {delta}')
        self.band_weight = band_weight
        self.delta = delta

    def forward(
        self, similarities: PairSimilarities, relevance_R: Tensor, tau: Tensor, means: ProximityMeans
    ) -> dict[str, Tensor]:
        """See `Regularizer`."""
        pull = reduce_rows(info_nce_terms(similarities, tau), similarities, relevance_R)
        penalty = band_penalty(similarities.diagonal_R, relevance_R, means.s_pos, means.s_neg, self.delta)
        band = reduce_rows(penalty, similarities) * (means.updates > 0)
        return {'loss': pull + self.band_weight * band, 'pull': pull.detach(), 'band': band.detach()}


@MODELS.register_module()
class SoftTargetRegularizer(nn.Module):
    """Relevance as the target probability of the own pair; the rest is shared among the other items."""

    def forward(
        self, similarities: PairSimilarities, relevance_R: Tensor, tau: Tensor, means: ProximityMeans
    ) -> dict[str, Tensor]:
        """See `Regularizer`."""
        return {'loss': reduce_rows(soft_target_terms(similarities, tau, relevance_R), similarities)}


@MODELS.register_module()
class NoRegularizer(nn.Module):
    """Weak pairs treated as strict ones: the control of the ablation."""

    def forward(
        self, similarities: PairSimilarities, relevance_R: Tensor, tau: Tensor, means: ProximityMeans
    ) -> dict[str, Tensor]:
        """See `Regularizer`."""
        return {'loss': reduce_rows(info_nce_terms(similarities, tau), similarities)}
