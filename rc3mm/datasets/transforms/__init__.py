"""Transforms: each states its required, added and modified keys; `PackVLInputs` is the last."""

from rc3mm.datasets.transforms.augment import Augment
from rc3mm.datasets.transforms.image import DecodeImage, ResizeImage, RoiPixels
from rc3mm.datasets.transforms.known_relevance import KnownRelevance
from rc3mm.datasets.transforms.packing import PackVLInputs
from rc3mm.datasets.transforms.regions import DetectorImage, LoadRegions
from rc3mm.datasets.transforms.relevance import ScoreRelevance
from rc3mm.datasets.transforms.tasks import Conceal, EachImage, MaskSource, TokenizeTarget
from rc3mm.datasets.transforms.text import MaskTokens, Tokenize

__all__ = [
    'Augment',
    'Conceal',
    'DecodeImage',
    'DetectorImage',
    'EachImage',
    'KnownRelevance',
    'LoadRegions',
    'MaskSource',
    'MaskTokens',
    'PackVLInputs',
    'ResizeImage',
    'RoiPixels',
    'ScoreRelevance',
    'Tokenize',
    'TokenizeTarget',
]
