"""Models that are pre-trained."""

from rc3mm.models.pretrainers.data_preprocessor import VLDataPreprocessor
from rc3mm.models.pretrainers.rc3 import RC3, NonFiniteLossError

__all__ = ['RC3', 'NonFiniteLossError', 'VLDataPreprocessor']
