"""Encoders, objectives and the models built of them; importing this fills the model registry."""

from rc3mm.models.backbones import VLDataPreprocessor
from rc3mm.models.detectors import RoiExtractor
from rc3mm.models.encoders import FusionEncoder, PatchEncoder, RoiEncoder, TextDecoder, TextEncoder
from rc3mm.models.objectives import (
    ITC,
    ITM,
    MLM,
    MRM,
    TLM,
    VTLM,
    XLCO,
    BandRegularizer,
    NoRegularizer,
    RXVtCL,
    SoftTargetRegularizer,
    XVtCL,
)
from rc3mm.models.pretrainers import RC3, PlainRC3
from rc3mm.models.tasks import VLAnswerRanker, VLClassifier, VLTranslator

__all__ = [
    'ITC',
    'ITM',
    'MLM',
    'MRM',
    'RC3',
    'TLM',
    'VTLM',
    'XLCO',
    'BandRegularizer',
    'FusionEncoder',
    'NoRegularizer',
    'PatchEncoder',
    'PlainRC3',
    'RXVtCL',
    'RoiEncoder',
    'RoiExtractor',
    'SoftTargetRegularizer',
    'TextDecoder',
    'TextEncoder',
    'VLAnswerRanker',
    'VLClassifier',
    'VLDataPreprocessor',
    'VLTranslator',
    'XVtCL',
]
