"""PerItemMetric: a metric over named items, each of which counts once however often it was sent."""

import logging
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

__all__ = ['PerItemMetric']

Row = dict[str, Any]


class PerItemMetric(BaseMetric):
    """Base of metrics whose results are one dict an item.

    Two things differ from `BaseMetric`:

    - A padded distributed sampler sends some items twice. `BaseMetric` cuts the gathered list to the length
      of the dataset, which is wrong as soon as an item yields several rows (languages, directions), and drops
      real items if duplicates do not stand last. Here everything is gathered and duplicates go by `identity`.
    - `items` keeps the unique rows of the last evaluation on the main process, for per-item output, and `signatures`
      what others need to compute the same numbers, by their names without prefix, where a subclass says so.

    One evaluation may feed several metrics; a row with a `kind` other than the metric's is somebody else's and
    passed over. Subclasses define `kind`, `identity`, `order` and `summarize`. Arguments are those of `BaseMetric`.
    """

    kind: str

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None, collect_dir: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.items: list[Row] = []
        self.signatures: dict[str, str] = {}

    def own_rows(self, data_samples: Sequence[Row]) -> list[Row]:
        """The rows that are meant for this metric: those of its `kind`, and those that name none."""
        return [row for row in data_samples if row.get('kind', self.kind) == self.kind]

    @abstractmethod
    def identity(self, row: Row) -> Hashable:
        """What names an item; two rows of equal identity are one item sent twice."""

    @abstractmethod
    def order(self, row: Row) -> Any:
        """Sort key of `items`, so that their order does not depend on the number of processes."""

    @abstractmethod
    def verdict(self, row: Row) -> Hashable:
        """What two copies of an item should agree on."""

    @abstractmethod
    def summarize(self, items: list[Row]) -> dict[str, float]:
        """Metrics of unique, ordered items."""

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather all rows of all processes and compute the metrics on the main one.

        Args:
            size: Length of the dataset; ignored, see the class.

        Returns:
            Prefixed metrics, the same on every process.
        """
        total = torch.tensor(len(self.results))
        all_reduce(total, op='sum')
        return super().evaluate(int(total))

    def compute_metrics(self, results: list[Row]) -> dict[str, float]:
        """Metrics of gathered rows, each item once (the first copy stays).

        Copies that disagree are warned of, not refused: mixed precision in a batch of other shape may move a
        rank by one. Many of them mean that identities are not unique.
        """
        unique: dict[Hashable, Row] = {}
        disagreeing = 0
        for row in results:
            first = unique.setdefault(self.identity(row), row)
            disagreeing += self.verdict(first) != self.verdict(row)
        if disagreeing:
            print_log(
                f'{type(self).__name__}: {disagreeing} of {len(results) - len(unique)} repeated items came '
                'with another result than their first copy; if that is not rounding, ids are not unique.',
                logger='current',
                level=logging.WARNING,
            )
        self.items = sorted(unique.values(), key=self.order)
        return self.summarize(self.items) if self.items else {}
