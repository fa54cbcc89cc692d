"""The four encoders: text, patches, regions, and the fusion of text with vision."""

from rc3mm.models.encoders.fusion import FusionEncoder
from rc3mm.models.encoders.patch import PatchEncoder
from rc3mm.models.encoders.roi import RoiEncoder
from rc3mm.models.encoders.text import TextEncoder
from rc3mm.models.encoders.text_decoder import TextDecoder

__all__ = [
    'FusionEncoder',
    'PatchEncoder',
    'RoiEncoder',
    'TextDecoder',
    'TextEncoder',
]
