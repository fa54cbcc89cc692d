"""Loss functions: pure functions and the small modules that hold their learnable or running numbers."""

from rc3mm.models.losses.contrastive import (
    PairSimilarities,
    band_penalty,
    info_nce,
    info_nce_terms,
    pair_similarities,
    reduce_rows,
    soft_target_terms,
)
from rc3mm.models.losses.proximity import ProximityMeans
from rc3mm.models.losses.temperature import Temperature

__all__ = [
    'PairSimilarities',
    'ProximityMeans',
    'Temperature',
    'band_penalty',
    'info_nce',
    'info_nce_terms',
    'pair_similarities',
    'reduce_rows',
    'soft_target_terms',
]
