"""Small differentiable parts: attention, pooling, box geometry, heads."""

from rc3mm.models.layers.attention import Attention, KeysValues
from rc3mm.models.layers.boxes import box_geometry
from rc3mm.models.layers.compiling import compile_layers, repeated_layers
from rc3mm.models.layers.length_groups import by_length_groups, length_groups
from rc3mm.models.layers.lm_head import MaskedLMHead
from rc3mm.models.layers.packing import Layout
from rc3mm.models.layers.pooling import masked_mean
from rc3mm.models.layers.region_masking import box_iou, draw_masked_regions
from rc3mm.models.layers.word_loss import word_cross_entropy
from rc3mm.models.layers.word_tie import WordTie

__all__ = [
    'Attention',
    'KeysValues',
    'Layout',
    'MaskedLMHead',
    'WordTie',
    'box_geometry',
    'box_iou',
    'by_length_groups',
    'compile_layers',
    'draw_masked_regions',
    'length_groups',
    'masked_mean',
    'repeated_layers',
    'word_cross_entropy',
]
