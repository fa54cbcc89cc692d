"""R-XVtCL: regularised cross-lingual visio-textual contrast on weakly-aligned pairs.

RC3 (Zhou, Liang et al. 2023); rc3mm's formulation, docs/objectives.md.
"""

from collections.abc import Sequence

from torch import Tensor

from rc3mm.models.losses import ProximityMeans
from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import BatchContext
from rc3mm.models.objectives.xvtcl import cross_view_diagnostics
from rc3mm.registry import MODELS

__all__ = ['RXVtCL']


@MODELS.register_module()
class RXVtCL(Objective):
    """Contrast between z(i, t_i^a) and z(i, t_i^b), regularised by the textual relevance r_i of the two texts.

    On strict sources it adds no loss: there it measures s_pos and s_neg, the proximity of translations and of
    unrelated pairs, between which the relevance interpolates.

    Args:
        regularizer: config of a regulariser (`BandRegularizer`, `SoftTargetRegularizer`, `NoRegularizer`).
        sources: weakly-aligned data sources it runs on.
        strict_sources: strictly-aligned sources on which the running means are taken.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
        mismatched_negatives: use z(i, t_j) of a mismatched text as one more negative of each anchor.
        local_loss: score only this process's rows against the global batch (same gradients, less memory).
        momentum: of the running means.
    """

    def __init__(
        self,
        regularizer: dict,
        sources: Sequence[str] = ('weak',),
        strict_sources: Sequence[str] = ('strict',),
        loss_weight: float = 1.0,
        probability: float = 1.0,
        mismatched_negatives: bool = True,
        local_loss: bool = True,
        momentum: float = 0.98,
    ) -> None:
        super().__init__((*sources, *strict_sources), loss_weight, probability)
        self.strict_sources = tuple(strict_sources)
        self.regularizer = MODELS.build(regularizer)
        self.means = ProximityMeans(momentum)
        self.mismatched_negatives = mismatched_negatives
        self.needs = (('fused_BnD', None), *([('wrong_text_BnD', None)] if mismatched_negatives else []))
        self.local_loss = local_loss

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward` and `cross_view_diagnostics`; further diagnostics are the regulariser's parts."""
        similarities = context.cross_view_similarities(self.mismatched_negatives, self.local_loss)
        if context.source in self.strict_sources:
            if self.training:
                self.means.update(*similarities.global_means())
            # clones: the buffers go on changing while the log still averages
            return {'s_pos': self.means.s_pos.clone(), 's_neg': self.means.s_neg.clone()}
        relevance = similarities.rows(context.relevance_B)
        out = self.regularizer(similarities, relevance, context.model.tau_fused(), self.means)
        return {**out, **cross_view_diagnostics(similarities)}
