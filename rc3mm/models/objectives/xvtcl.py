"""XVtCL: cross-lingual visio-textual contrast on strictly-aligned pairs.

RC3 (Zhou, Liang et al. 2023); rc3mm's formulation, docs/objectives.md.
"""

from collections.abc import Sequence

from torch import Tensor

from rc3mm.models.losses import PairSimilarities, info_nce
from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import BatchContext
from rc3mm.registry import MODELS

__all__ = ['XVtCL', 'cross_view_diagnostics']


def cross_view_diagnostics(similarities: PairSimilarities) -> dict[str, Tensor]:
    """Numbers to watch, without gradient.

    Returns:
        `acc`: share of rows whose nearest other view is their own; `proximity`: mean s_ii; with mismatched texts also
        `shortcut_acc`: how often z(i, t_i) is told from z(i, t_j) (one half: the representation ignores the text).
    """
    diagonal = similarities.diagonal_R.detach()
    out = {
        'acc': similarities.accuracy,
        'proximity': diagonal.mean(),
    }
    if similarities.extra_ab_RK is not None:
        extra = similarities.extra_ab_RK.detach()
        margin = diagonal[:, None] - extra
        # differences of rounding are ties, and a tie is half a win
        out['shortcut_acc'] = (margin.sign() * (margin.abs() > 1e-6)).add(1).div(2).mean()
    return out


@MODELS.register_module()
class XVtCL(Objective):
    """Symmetric InfoNCE between z(i, t_i^a) and z(i, t_i^b).

    Args:
        sources: data sources it runs on; strictly-aligned ones.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.
        mismatched_negatives: use z(i, t_j) of a mismatched text as one more negative of each anchor, so that the
            shared image alone cannot solve the task.
        local_loss: score only this process's rows against the global batch (same gradients, less memory).
    """

    def __init__(
        self,
        sources: Sequence[str] = ('strict',),
        loss_weight: float = 1.0,
        probability: float = 1.0,
        mismatched_negatives: bool = True,
        local_loss: bool = True,
    ) -> None:
        super().__init__(sources, loss_weight, probability)
        self.mismatched_negatives = mismatched_negatives
        self.needs = (('fused_BnD', None), *([('wrong_text_BnD', None)] if mismatched_negatives else []))
        self.local_loss = local_loss

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward` and `cross_view_diagnostics`."""
        similarities = context.cross_view_similarities(self.mismatched_negatives, self.local_loss)
        loss = info_nce(similarities, context.model.tau_fused())
        return {'loss': loss, **cross_view_diagnostics(similarities)}
