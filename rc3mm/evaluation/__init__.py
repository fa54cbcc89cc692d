"""Evaluation: pure metric functions and the registered metrics around them."""

from rc3mm.evaluation.metrics import PerItemMetric, RetrievalMetric, ShortcutAccuracy

__all__ = ['PerItemMetric', 'RetrievalMetric', 'ShortcutAccuracy']
