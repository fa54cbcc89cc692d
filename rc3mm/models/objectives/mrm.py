"""MRM: masked region modelling (UNITER, Chen et al. 2020; UC2, Zhou et al. 2021)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rc3mm.models.objectives.base import Objective
from rc3mm.models.objectives.context import BatchContext, Request
from rc3mm.registry import MODELS
from rc3mm.utils.dist import all_reduce_sum, rank_and_world_size

__all__ = ['MRM']


@MODELS.register_module()
class MRM(Objective):
    """What is in the masked regions, told from the text and the other regions?

    Runs where the batch's visual form has regions. Regions that overlap a masked one are hidden as well, and so are all
    patches: either would give the answer away.

    Args:
        width: D, of the fused representation.
        feature_dim: F, of the region features.
        num_classes: C + 1, classes of the detector and, last, the background; 0 without the classification part.
        class_weight: weight of the classification part: KL(detector's distribution || predicted one).
        feature_weight: weight of the regression part: mean squared error of the region's features; 0 for none.
        mask_probability: share of the regions that are masked.
        leak_iou: see `BatchContext.masked_regions`.
        sources: data sources it runs on.
        loss_weight: factor in the total.
        probability: share of batches on which it runs.

    Raises:
        ValueError: neither part is asked for.
    """

    def __init__(
        self,
        width: int,
        feature_dim: int,
        num_classes: int = 0,
        class_weight: float = 1.0,
        feature_weight: float = 0.0,
        mask_probability: float = 0.15,
        leak_iou: float = 0.4,
        sources: Sequence[str] = ('strict', 'weak'),
        loss_weight: float = 1.0,
        probability: float = 1.0,
    ) -> None:
        super().__init__(sources, loss_weight, probability)
        self.class_weight = class_weight if num_classes else 0.0
        self.feature_weight = feature_weight
        if self.class_weight <= 0 and feature_weight <= 0:
            raise ValueError('MRM needs `num_classes` with a positive `class_weight`, or a positive `feature_weight`')
        self.mask_probability, self.leak_iou = mask_probability, leak_iou
        self.mask_feature = nn.Parameter(torch.zeros(feature_dim))
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.classifier = nn.Linear(width, num_classes) if self.class_weight > 0 else None
        self.regressor = nn.Linear(width, feature_dim) if feature_weight > 0 else None

    @property
    def needs(self) -> tuple[Request, ...]:  # type: ignore[override]
        """See `Objective.needs`."""
        return (('masked_regions', self.mask_feature, self.mask_probability, self.leak_iou),)

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """See `Objective.forward`; nothing on a batch whose texts see no regions.

        Diagnostic `acc`: share of masked regions whose likeliest class is found.

        Raises:
            KeyError: the batch lacks the detector's class distributions.
        """
        if not context.sees_regions:
            return {}
        masked = context.masked_regions(self.mask_feature, self.mask_probability, self.leak_iou)
        count = torch.tensor(0.0 if masked is None else float(len(masked[1])), device=self.mask_feature.device)
        scale = rank_and_world_size()[1] / all_reduce_sum(count).clamp(min=1)  # the mean over the global batch
        if masked is None:
            return {'loss': sum(parameter.sum() for parameter in self.parameters()) * 0.0}
        states_KD, rows, columns = masked
        hidden = self.transform(states_KD)
        result = {'loss': hidden.new_zeros(())}
        if self.classifier is not None:
            target = self._class_probs(context)[rows, columns].float().detach()
            log_probs = F.log_softmax(self.classifier(hidden).float(), 1)
            kl = F.kl_div(log_probs, target, reduction='sum')
            result['loss'] = result['loss'] + self.class_weight * scale * kl
            result['acc'] = (log_probs.argmax(1) == target.argmax(1)).float().mean()
        if self.regressor is not None:
            wanted = context.inputs['roi_features'][rows, columns].float().detach()
            error = F.mse_loss(self.regressor(hidden).float(), wanted, reduction='none').mean(1).sum()
            result['loss'] = result['loss'] + self.feature_weight * scale * error
        return result

    @staticmethod
    def _class_probs(context: BatchContext) -> Tensor:
        try:
            return context.inputs['roi_class_probs']
        except KeyError:
            raise KeyError(
                f'batches of source "{context.source}" carry no class distributions of the detector; set '
                '`class_probs=True` in LoadRegions (the store must hold them), or use MRM(num_classes=0, '
                'feature_weight=1)'
            ) from None
