"""Metrics: MMEngine shells around `rc3mm.evaluation.functional`."""

from rc3mm.evaluation.metrics.per_item import PerItemMetric
from rc3mm.evaluation.metrics.retrieval import RetrievalMetric
from rc3mm.evaluation.metrics.shortcut import ShortcutAccuracy

__all__ = ['PerItemMetric', 'RetrievalMetric', 'ShortcutAccuracy']
