"""Datasets, transforms and samplers; importing this fills their registries."""

from rc3mm.datasets.base import VLDataset
from rc3mm.datasets.benchmarks import (
    GQA,
    NLVR2,
    XGQA,
    XVNLI,
    Flickr30k,
    MaRVL,
    MSCOCORetrieval,
    Multi30kRetrieval,
    Multi30kTranslation,
    PickCaption,
    WITRetrieval,
    XFlickrCO,
)
from rc3mm.datasets.collate import vl_collate
from rc3mm.datasets.emoji_composed_tasks import EmojiPairs, EmojiTranslation
from rc3mm.datasets.emoji_scenes import EmojiParallel, EmojiRetrieval, EmojiStrict, EmojiWeak
from rc3mm.datasets.emoji_tasks import EmojiEntailment, EmojiTaskTexts, EmojiVQA
from rc3mm.datasets.mixed import MixedSources
from rc3mm.datasets.roi import RoiStore
from rc3mm.datasets.samplers import EvalSampler, MixedSourceSampler
from rc3mm.datasets.sharded_pairs import ShardedPairs
from rc3mm.datasets.transforms import (
    Augment,
    Conceal,
    DecodeImage,
    DetectorImage,
    EachImage,
    KnownRelevance,
    LoadRegions,
    MaskSource,
    MaskTokens,
    PackVLInputs,
    ResizeImage,
    RoiPixels,
    ScoreRelevance,
    Tokenize,
    TokenizeTarget,
)

__all__ = [
    'GQA',
    'NLVR2',
    'XGQA',
    'XVNLI',
    'Augment',
    'Conceal',
    'DecodeImage',
    'DetectorImage',
    'EachImage',
    'EmojiEntailment',
    'EmojiPairs',
    'EmojiParallel',
    'EmojiRetrieval',
    'EmojiStrict',
    'EmojiTaskTexts',
    'EmojiTranslation',
    'EmojiVQA',
    'EmojiWeak',
    'EvalSampler',
    'Flickr30k',
    'KnownRelevance',
    'LoadRegions',
    'MSCOCORetrieval',
    'MaRVL',
    'MaskSource',
    'MaskTokens',
    'MixedSourceSampler',
    'MixedSources',
    'Multi30kRetrieval',
    'Multi30kTranslation',
    'PackVLInputs',
    'PickCaption',
    'ResizeImage',
    'RoiPixels',
    'RoiStore',
    'ScoreRelevance',
    'ShardedPairs',
    'Tokenize',
    'TokenizeTarget',
    'VLDataset',
    'WITRetrieval',
    'XFlickrCO',
    'vl_collate',
]
