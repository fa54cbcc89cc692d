"""Pure metric functions: tensors in, numbers out."""

from rc3mm.evaluation.functional.positives import Positives, positives_of_images, positives_of_texts
from rc3mm.evaluation.functional.probe import LinearProbe, binary_auc, fit_probe
from rc3mm.evaluation.functional.proximity import mean_by_level, spearman
from rc3mm.evaluation.functional.retrieval import (
    mean_recall,
    pairwise_accuracy,
    recall_at_k,
    rerank,
    retrieval_ranks,
    top_k,
)

__all__ = [
    'LinearProbe',
    'Positives',
    'binary_auc',
    'fit_probe',
    'mean_by_level',
    'mean_recall',
    'pairwise_accuracy',
    'positives_of_images',
    'positives_of_texts',
    'recall_at_k',
    'rerank',
    'retrieval_ranks',
    'spearman',
    'top_k',
]
