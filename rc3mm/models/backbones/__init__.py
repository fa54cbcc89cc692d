"""What pre-training and all tasks are built on."""

from rc3mm.models.backbones.data_preprocessor import VLDataPreprocessor
from rc3mm.models.backbones.vision_language import NonFiniteLossError, VisionLanguageModel

__all__ = ['NonFiniteLossError', 'VLDataPreprocessor', 'VisionLanguageModel']
