"""TLM: translation language modelling on parallel text (XLM, Conneau & Lample 2019)."""

from collections.abc import Sequence

from rc3mm.models.objectives.context import MASKED_PAIR
from rc3mm.models.objectives.mlm import MaskedLanguageObjective
from rc3mm.registry import MODELS

__all__ = ['TLM']


@MODELS.register_module()
class TLM(MaskedLanguageObjective):
    """Masked words of a translated pair, predicted by the text encoder alone.

    Args:
        sources: data sources it runs on.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
    """

    kind = MASKED_PAIR
    with_image = False

    def __init__(
        self, sources: Sequence[str] = ('parallel',), loss_weight: float = 1.0, probability: float = 1.0
    ) -> None:
        super().__init__(sources, loss_weight, probability)
