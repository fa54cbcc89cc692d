"""Pure metric functions: tensors in, numbers out."""

from rc3mm.evaluation.functional.positives import Positives, positives_of_images, positives_of_texts
from rc3mm.evaluation.functional.retrieval import (
    mean_recall,
    pairwise_accuracy,
    recall_at_k,
    rerank,
    retrieval_ranks,
    top_k,
)

__all__ = [
    'Positives',
    'mean_recall',
    'pairwise_accuracy',
    'positives_of_images',
    'positives_of_texts',
    'recall_at_k',
    'rerank',
    'retrieval_ranks',
    'top_k',
]
