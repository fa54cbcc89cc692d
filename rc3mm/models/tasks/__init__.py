"""Models of downstream tasks, on the encoders and the fusion head of pre-training."""

from rc3mm.models.tasks.answer_ranking import VLAnswerRanker
from rc3mm.models.tasks.classification import VLClassifier
from rc3mm.models.tasks.translation import VLTranslator

__all__ = [
    'VLAnswerRanker',
    'VLClassifier',
    'VLTranslator',
]
