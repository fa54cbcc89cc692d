"""Small differentiable parts: attention, pooling, box geometry, heads."""

from rc3mm.models.layers.attention import Attention
from rc3mm.models.layers.boxes import box_geometry
from rc3mm.models.layers.lm_head import MaskedLMHead
from rc3mm.models.layers.pooling import masked_mean

__all__ = ['Attention', 'MaskedLMHead', 'box_geometry', 'masked_mean']
