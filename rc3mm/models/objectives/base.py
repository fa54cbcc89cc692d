"""What every pre-training objective is."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from rc3mm.models.objectives.context import BatchContext

__all__ = ['Objective']


class Objective(BaseModule):
    """One pre-training objective.

    A subclass implements `forward(context)` and returns `{'loss': scalar, ...diagnostics}`; it asks the context for
    the views that it needs and never calls an encoder itself. The pre-trainer applies the weight and names the keys
    `loss_<name>` and `<name>_<diagnostic>` (a diagnostic's key must not contain "loss").

    Args:
        sources: the data sources on whose batches the objective runs.
        loss_weight: factor of its loss in the total.

    Raises:
        ValueError: no source is given, or the weight is negative.
    """

    def __init__(self, sources: Sequence[str], loss_weight: float = 1.0) -> None:
        super().__init__()
        if isinstance(sources, str) or not sources:
            raise ValueError(f'{type(self).__name__}: `sources` must list at least one data source, got {sources!r}')
        if loss_weight < 0:
            raise ValueError(f'{type(self).__name__}: `loss_weight` must not be negative, got {loss_weight}')
        self.sources = tuple(sources)
        self.loss_weight = loss_weight

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """The loss of one batch and its diagnostics, all scalars."""
        raise NotImplementedError
