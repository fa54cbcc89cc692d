"""ShortcutAccuracy: does the fused representation listen to its text, or only to its image?"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from rc3mm.evaluation.functional.languages import mean_without_pivot, sort_languages
from rc3mm.evaluation.functional.retrieval import pairwise_accuracy
from rc3mm.evaluation.metrics.per_item import PerItemMetric, Row
from rc3mm.registry import METRICS

__all__ = ['ShortcutAccuracy']


@METRICS.register_module()
class ShortcutAccuracy(PerItemMetric):
    """Accuracy of telling z(i, t_i) from z(i, t_j), in per cent; 50 is a representation blind to its text.

    Both share the image, so a loss that compares z of two views of one image can be met with the text
    ignored. An item is won if z_anchor . z(i, t_i) > z_anchor . z(i, t_j), where the anchor is z of the same
    image with its text in another language. Names: `shortcut/de/accuracy`, `shortcut/de/num_items`, and
    `shortcut/mean_accuracy` over the languages without English. Arguments are those of `BaseMetric`.
    """

    kind = 'shortcut'
    default_prefix = 'shortcut'

    def process(self, data_batch: Any, data_samples: Sequence[Row]) -> None:
        """Keep one row an item.

        Args:
            data_batch: Ignored.
            data_samples: Dicts with `language` (of t_i), `item_id` (unique within the language, over all
                processes), `positive` and `negative` (the two dot products). Other keys travel on to `items`.

        Raises:
            ValueError: If a key is missing.
        """
        for sample in self.own_rows(data_samples):
            missing = [key for key in ('language', 'item_id', 'positive', 'negative') if key not in sample]
            if missing:
                raise ValueError(f'a shortcut row lacks {missing}; it has {sorted(sample)}')
            scores = {key: float(sample[key]) for key in ('positive', 'negative')}
            self.results.append({**sample, **scores})

    def identity(self, row: Row) -> Hashable:
        """Language and item id."""
        return row['language'], row['item_id']

    def order(self, row: Row) -> Any:
        """By language and item id."""
        return row['language'], row['item_id']

    def verdict(self, row: Row) -> Hashable:
        """Whether the item was won; the scores themselves may differ by rounding."""
        return row['positive'] > row['negative']

    def summarize(self, items: list[Row]) -> dict[str, float]:
        """Accuracy and count a language, and the mean without English (absent if there is only English)."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in items:
            groups[row['language']].append(row)
        metrics: dict[str, float] = {}
        accuracies = {}
        for language in sort_languages(groups):
            rows = groups[language]
            accuracies[language] = pairwise_accuracy([r['positive'] for r in rows], [r['negative'] for r in rows])
            metrics[f'{language}/accuracy'] = accuracies[language]
            metrics[f'{language}/num_items'] = len(rows)
        mean = mean_without_pivot(accuracies)
        return metrics if mean is None else {**metrics, 'mean_accuracy': mean}
