"""Metrics: MMEngine shells around `rc3mm.evaluation.functional`."""

from rc3mm.evaluation.metrics.classification import ClassificationMetric
from rc3mm.evaluation.metrics.mention_probe import MentionProbe
from rc3mm.evaluation.metrics.per_item import PerItemMetric
from rc3mm.evaluation.metrics.proximity import ProximityMetric
from rc3mm.evaluation.metrics.retrieval import RetrievalMetric
from rc3mm.evaluation.metrics.shortcut import ShortcutAccuracy
from rc3mm.evaluation.metrics.text_retrieval import TextRetrievalMetric
from rc3mm.evaluation.metrics.translation import TranslationMetric

__all__ = [
    'ClassificationMetric',
    'MentionProbe',
    'PerItemMetric',
    'ProximityMetric',
    'RetrievalMetric',
    'ShortcutAccuracy',
    'TextRetrievalMetric',
    'TranslationMetric',
]
