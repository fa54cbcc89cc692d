"""Evaluation: pure metric functions and the registered metrics around them."""

from rc3mm.evaluation.metrics import (
    ClassificationMetric,
    MentionProbe,
    PerItemMetric,
    ProximityMetric,
    RetrievalMetric,
    ShortcutAccuracy,
    TextRetrievalMetric,
    TranslationMetric,
)

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
