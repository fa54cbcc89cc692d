"""XLCO: contrast between translations, without an image (InfoXLM, Chi et al. 2021)."""

from collections.abc import Sequence

from torch import Tensor

from rc3mm.models.losses import info_nce, pair_similarities
from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import BatchContext
from rc3mm.registry import MODELS

__all__ = ['XLCO']


@MODELS.register_module()
class XLCO(Objective):
    """Symmetric InfoNCE between the text embeddings of the two texts of a pair.

    It brings words of several languages together that no image shows, such as those that questions are made of, and
    what is tuned in one language then serves in the others.

    Args:
        sources: data sources it runs on; the two texts of an item are translations of each other.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
        local_loss: score only this process's rows against the global batch (same gradients, less memory).
    """

    def __init__(
        self,
        sources: Sequence[str] = ('parallel',),
        loss_weight: float = 1.0,
        probability: float = 1.0,
        local_loss: bool = True,
    ) -> None:
        super().__init__(sources, loss_weight, probability)
        self.local_loss = local_loss

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward`. Diagnostic `acc`: the share of texts whose translation is the nearest.

        Raises:
            ValueError: an item has not two texts.
        """
        if context.P != 2:
            raise ValueError(f'XLCO needs two texts an item, source "{context.source}" has {context.P}')
        texts = context.text_embeddings_BPE
        similarities = pair_similarities(texts[:, 0], texts[:, 1], local_loss=self.local_loss)
        return {'loss': info_nce(similarities, context.model.tau_towers()), 'acc': similarities.accuracy}
