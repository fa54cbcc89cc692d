"""Metrics: MMEngine shells around `rc3mm.evaluation.functional`."""

from rc3mm.evaluation.metrics.mention_probe import MentionProbe
from rc3mm.evaluation.metrics.per_item import PerItemMetric
from rc3mm.evaluation.metrics.proximity import ProximityMetric
from rc3mm.evaluation.metrics.retrieval import RetrievalMetric
from rc3mm.evaluation.metrics.shortcut import ShortcutAccuracy
from rc3mm.evaluation.metrics.text_retrieval import TextRetrievalMetric

__all__ = [
    'MentionProbe',
    'PerItemMetric',
    'ProximityMetric',
    'RetrievalMetric',
    'ShortcutAccuracy',
    'TextRetrievalMetric',
]
