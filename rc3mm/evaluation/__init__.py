"""Evaluation: pure metric functions and the registered metrics around them."""

from rc3mm.evaluation.metrics import (
    MentionProbe,
    PerItemMetric,
    ProximityMetric,
    RetrievalMetric,
    ShortcutAccuracy,
    TextRetrievalMetric,
)

__all__ = [
    'MentionProbe',
    'PerItemMetric',
    'ProximityMetric',
    'RetrievalMetric',
    'ShortcutAccuracy',
    'TextRetrievalMetric',
]
