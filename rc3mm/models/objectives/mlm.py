"""Masked language modelling: of one text with its image (MLM) and of both texts with the image (VTLM).

MLM: Devlin et al. 2019, with visual context as in UNITER; VTLM: Caglayan et al. 2021, UC2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import MASKED_PAIR, MASKED_SINGLE, BatchContext, Request
from rc3mm.registry import MODELS
from rc3mm.utils.dist import all_reduce_sum, rank_and_world_size

__all__ = ['MLM', 'VTLM', 'MaskedLanguageObjective']


class MaskedLanguageObjective(Objective):
    """Predict masked words; logits are computed at masked positions alone.

    Attributes:
        kind: which masked input of the batch is used, `MASKED_SINGLE` or `MASKED_PAIR`.
        with_image: predict from the fusion head, or from the text encoder alone.
    """

    kind: str
    with_image: bool

    @property
    def needs(self) -> tuple[Request, ...]:  # type: ignore[override]
        """See `Objective.needs`."""
        return (('masked_states_KD', self.kind, self.with_image),)

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward`. Diagnostic `acc`: share of masked words found."""
        count = len(context.masked(self.kind)['labels'])
        total, hits = context.word_loss(self.kind, self.with_image)
        # A mean over the masked words of the global batch, whatever number of them this process has.
        everywhere = all_reduce_sum(torch.tensor(float(count), device=total.device)).clamp(min=1)
        return {'loss': total / everywhere * rank_and_world_size()[1], 'acc': hits.float() / max(count, 1)}


@MODELS.register_module()
class MLM(MaskedLanguageObjective):
    """Masked words of one text, predicted from the text and the image.

    Args:
        sources: data sources it runs on.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
    """

    kind = MASKED_SINGLE
    with_image = True

    def __init__(
        self, sources: Sequence[str] = ('strict', 'weak'), loss_weight: float = 1.0, probability: float = 1.0
    ) -> None:
        super().__init__(sources, loss_weight, probability)


@MODELS.register_module()
class VTLM(MaskedLanguageObjective):
    """Masked words of a translated pair, predicted from both texts and the image.

    Args:
        sources: data sources it runs on; strictly-aligned ones.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
    """

    kind = MASKED_PAIR
    with_image = True

    def __init__(
        self, sources: Sequence[str] = ('strict',), loss_weight: float = 1.0, probability: float = 1.0
    ) -> None:
        super().__init__(sources, loss_weight, probability)
