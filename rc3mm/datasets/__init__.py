"""Datasets, transforms and samplers; importing this fills their registries."""

from rc3mm.datasets.base import VLDataset
from rc3mm.datasets.collate import vl_collate
from rc3mm.datasets.emoji_scenes import EmojiParallel, EmojiRetrieval, EmojiStrict, EmojiWeak
from rc3mm.datasets.mixed import MixedSources
from rc3mm.datasets.roi import RoiStore
from rc3mm.datasets.samplers import EvalSampler, MixedSourceSampler
from rc3mm.datasets.sharded_pairs import ShardedPairs
from rc3mm.datasets.transforms import (
    DecodeImage,
    DetectorImage,
    KnownRelevance,
    LoadRegions,
    MaskTokens,
    PackVLInputs,
    ResizeImage,
    RoiPixels,
    ScoreRelevance,
    Tokenize,
)

__all__ = [
    'DecodeImage',
    'DetectorImage',
    'EmojiParallel',
    'EmojiRetrieval',
    'EmojiStrict',
    'EmojiWeak',
    'EvalSampler',
    'KnownRelevance',
    'LoadRegions',
    'MaskTokens',
    'MixedSourceSampler',
    'MixedSources',
    'PackVLInputs',
    'ResizeImage',
    'RoiPixels',
    'RoiStore',
    'ScoreRelevance',
    'ShardedPairs',
    'Tokenize',
    'VLDataset',
    'vl_collate',
]
