"""ProximityMetric: does s_ii = z(i, t_i^a) . z(i, t_i^b) follow the relevance of the two texts?"""

from collections.abc import Hashable, Sequence
from typing import Any

from rc3mm.evaluation.functional.proximity import mean_by_level, spearman
from rc3mm.evaluation.metrics.per_item import PerItemMetric, Row
from rc3mm.registry import METRICS

__all__ = ['ProximityMetric']


@METRICS.register_module()
class ProximityMetric(PerItemMetric):
    """Proximity of the two views of weak pairs against the relevance of their texts.

    Names: `proximity/spearman` (rank correlation, -1 to 1), `proximity/at_0.33` (mean proximity at each level of
    relevance, rounded to two decimals; only where there are at most `max_levels`), `proximity/num_pairs`.

    Args:
        max_levels: relevance with more different values has no means by level.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
        collect_dir: See `BaseMetric`.
    """

    kind = 'proximity'
    default_prefix = 'proximity'

    def __init__(
        self,
        max_levels: int = 20,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.max_levels = max_levels

    def process(self, data_batch: Any, data_samples: Sequence[Row]) -> None:
        """Keep one row a pair.

        Args:
            data_batch: Ignored.
            data_samples: Dicts with `item_id` (unique over all processes), `proximity` and `relevance`.

        Raises:
            ValueError: If a key is missing.
        """
        for row in self.own_rows(data_samples):
            missing = [key for key in ('item_id', 'proximity', 'relevance') if key not in row]
            if missing:
                raise ValueError(f'a proximity row lacks {missing}; it has {sorted(row)}')
            self.results.append(row)

    def identity(self, row: Row) -> Hashable:
        """The item's id."""
        return row['item_id']

    def order(self, row: Row) -> Any:
        """By the item's id."""
        return row['item_id']

    def verdict(self, row: Row) -> Hashable:
        """Relevance is given; the proximity may differ by rounding."""
        return row['relevance']

    def summarize(self, items: list[Row]) -> dict[str, float]:
        """Correlation, means by level and the number of pairs."""
        proximity = [row['proximity'] for row in items]
        relevance = [row['relevance'] for row in items]
        metrics = {'spearman': spearman(proximity, relevance), 'num_pairs': len(items)}
        levels = mean_by_level(proximity, relevance)
        if len(levels) <= self.max_levels:
            metrics |= {f'at_{level:.2f}': mean for level, mean in levels.items()}
        return metrics
