"""What every pre-training objective is."""

import random
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from rc3mm.models.objectives.context import BatchContext, Request

__all__ = ['Objective']


class Objective(BaseModule):
    """One pre-training objective.

    A subclass implements `forward(context)` and returns `{'loss': scalar, ...diagnostics}`; it asks the context for
    the views that it needs and never calls an encoder itself. The pre-trainer applies the weight and names the keys
    `loss_<name>` and `<name>_<diagnostic>` (a diagnostic's key must not contain "loss").

    Attributes:
        needs: the views of a batch that `forward` asks for: names of `BatchContext`, each with its arguments if it is a
            method. Those of all objectives are computed together.

    Args:
        sources: the data sources on whose batches the objective runs.
        loss_weight: factor of its loss in the total.
        probability: share of these batches on which it runs, drawn anew for each from the batch's step seed. Saves
            the time of costly objectives; the weight is not adjusted.

    Raises:
        ValueError: no source is given, the weight is negative, or the probability is not in (0, 1].
    """

    needs: tuple[Request, ...] = ()

    def __init__(self, sources: Sequence[str], loss_weight: float = 1.0, probability: float = 1.0) -> None:
        super().__init__()
        if isinstance(sources, str) or not sources:
            raise ValueError(f'{type(self).__name__}: `sources` must list at least one data source, got {sources!r}')
        if loss_weight < 0:
            raise ValueError(f'{type(self).__name__}: `loss_weight` must not be negative, got {loss_weight}')
        if not 0 < probability <= 1:
            raise ValueError(f'{type(self).__name__}: `probability` must be in (0, 1], got {probability}')
        self.sources = tuple(sources)
        self.loss_weight = loss_weight
        self.probability = probability

    def runs_at(self, source: str, step_seed: int, name: str) -> bool:
        """Whether the objective takes part in a step; the same answer on every process.

        Args:
            source: the batch's source.
            step_seed: the batch's seed.
            name: the objective's name in the config, so that several are drawn independently.
        """
        if source not in self.sources:
            return False
        return self.probability == 1 or random.Random(f'{step_seed} {name}').random() < self.probability

    def forward(self, context: BatchContext) -> dict[str, Tensor]:
        """The loss of one batch and its diagnostics, all scalars."""
        raise NotImplementedError
