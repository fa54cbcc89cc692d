"""Datasets, transforms and samplers; importing this fills their registries."""

from rc3mm.datasets.base import VLDataset
from rc3mm.datasets.collate import vl_collate
from rc3mm.datasets.emoji_scenes import EmojiParallel, EmojiRetrieval, EmojiStrict, EmojiWeak
from rc3mm.datasets.mixed import MixedSources
from rc3mm.datasets.samplers import EvalSampler, MixedSourceSampler
from rc3mm.datasets.transforms import (
    DecodeImage,
    MaskTokens,
    PackVLInputs,
    ResizeImage,
    RoiPixels,
    ScoreRelevance,
    Tokenize,
)

__all__ = [
    'DecodeImage',
    'EmojiParallel',
    'EmojiRetrieval',
    'EmojiStrict',
    'EmojiWeak',
    'EvalSampler',
    'MaskTokens',
    'MixedSourceSampler',
    'MixedSources',
    'PackVLInputs',
    'ResizeImage',
    'RoiPixels',
    'ScoreRelevance',
    'Tokenize',
    'VLDataset',
    'vl_collate',
]
