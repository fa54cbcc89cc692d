"""XLCO: contrast between translations, without an image (InfoXLM, Chi et al. 2021)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from rc3mm.models.losses import Temperature, info_nce, pair_similarities
from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import BatchContext
from rc3mm.registry import MODELS

__all__ = ['XLCO']


@MODELS.register_module()
class XLCO(Objective):
    """Symmetric InfoNCE between the two texts of a pair: between their embeddings, and between their first tokens.

    It brings words of several languages together that no image shows, such as those that questions are made of, and
    what is tuned in one language then serves in the others. Tasks read the fused state of the first token, which begins
    with the text encoder's: the embedding, a projected mean over all tokens, may agree while that one does not.

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
        self.tau = Temperature()
        self.needs = (('text_embeddings_BPE',), ('first_states_BPD',))

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward`. Diagnostics `acc` and `first_acc`: the share of texts whose translation is nearest.

        Raises:
            ValueError: an item has not two texts.
        """
        if context.P != 2:
            raise ValueError(f'XLCO needs two texts an item, source "{context.source}" has {context.P}')
        texts = context.text_embeddings_BPE
        first = F.normalize(context.first_states_BPD, dim=-1)
        by_embedding = pair_similarities(texts[:, 0], texts[:, 1], local_loss=self.local_loss)
        by_first = pair_similarities(first[:, 0], first[:, 1], local_loss=self.local_loss)
        loss = info_nce(by_embedding, context.model.tau_towers()) + info_nce(by_first, self.tau())
        return {'loss': loss / 2, 'acc': by_embedding.accuracy, 'first_acc': by_first.accuracy}
