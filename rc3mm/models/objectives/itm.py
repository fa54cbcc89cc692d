"""ITM: two-way image-text matching with hard negatives drawn by the towers' similarity (ALBEF, Li et al. 2021)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import BatchContext
from rc3mm.registry import MODELS

__all__ = ['ITM']


@MODELS.register_module()
class ITM(Objective):
    """Does this text belong to this image?

    Positives are the (image, own text) pairs; negatives are each (image, wrong text) and the first text of each item
    with a wrong image.

    Args:
        width: D, of the fused representation.
        texts: how many of an item's texts make pairs; None for all.
        sources: data sources it runs on.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
    """

    def __init__(
        self,
        width: int,
        texts: int | None = None,
        sources: Sequence[str] = ('strict', 'weak'),
        loss_weight: float = 1.0,
        probability: float = 1.0,
    ) -> None:
        super().__init__(sources, loss_weight, probability)
        self.texts = texts
        self.needs = (('fused_BnD', texts), ('wrong_text_BnD', texts), ('wrong_image_BD',))
        self.head = nn.Linear(width, 2)

    def score(self, fused: Tensor) -> Tensor:
        """Log odds of a match, (..., D) -> (...); the score that re-ranks retrieval."""
        logits = self.head(fused)
        return logits[..., 1] - logits[..., 0]

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward`. Diagnostic `acc`: share of pairs told right."""
        positives = context.fused_BnD(self.texts).flatten(0, 1)
        negatives = torch.cat([context.wrong_text_BnD(self.texts).flatten(0, 1), context.wrong_image_BD])
        logits = self.head(torch.cat([positives, negatives])).float()
        labels = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        labels[: len(positives)] = 1
        return {
            'loss': F.cross_entropy(logits, labels),
            'acc': (logits.argmax(1) == labels).float().mean(),
        }
