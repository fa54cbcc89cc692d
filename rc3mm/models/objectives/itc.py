"""ITC: image-text contrast between the towers (CLIP, Radford et al. 2021; ALBEF, Li et al. 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rc3mm.models.losses import info_nce, pair_similarities
from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import BatchContext
from rc3mm.registry import MODELS

__all__ = ['ITC']


@MODELS.register_module()
class ITC(Objective):
    """Symmetric InfoNCE of image and text embeddings, averaged over the P texts of an image.

    Args:
        sources: data sources it runs on.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
        local_loss: score only this process's rows against the global batch (same gradients, less memory).
    """

    def __init__(
        self,
        sources: Sequence[str] = ('strict', 'weak'),
        loss_weight: float = 1.0,
        probability: float = 1.0,
        local_loss: bool = True,
    ) -> None:
        super().__init__(sources, loss_weight, probability)
        self.local_loss = local_loss
        self.needs = (('image_embeddings_BPE',), ('text_embeddings_BPE',))

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward`. Diagnostic `acc`: the share of images whose own text is the nearest."""
        tau = context.model.tau_towers()
        image, text = context.image_embeddings_BPE, context.text_embeddings_BPE
        losses, hits = [], []
        for view in range(context.P):
            similarities = pair_similarities(image[:, view], text[:, view], local_loss=self.local_loss)
            losses.append(info_nce(similarities, tau))
            hits.append(similarities.accuracy)
        return {'loss': torch.stack(losses).mean(), 'acc': torch.stack(hits).mean()}
