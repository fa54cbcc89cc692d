"""TextRetrievalMetric: does a text find its translation among the texts of another language?"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from rc3mm.evaluation.functional.retrieval import recall_at_k
from rc3mm.evaluation.metrics.per_item import PerItemMetric, Row
from rc3mm.registry import METRICS

__all__ = ['TextRetrievalMetric']


@METRICS.register_module()
class TextRetrievalMetric(PerItemMetric):
    """Recall at 1 of text->text retrieval by the text tower, in per cent, by ordered pair of languages.

    Names: `text/de-fr/R@1` (queries in German, candidates in French) and `text/mean_R@1` over all pairs.
    Arguments are those of `BaseMetric`.
    """

    kind = 'text_query'
    default_prefix = 'text'

    def process(self, data_batch: Any, data_samples: Sequence[Row]) -> None:
        """Keep one row a query.

        Args:
            data_batch: Ignored.
            data_samples: Dicts with `languages` (of the query and of the candidates), `query_id` (unique within
                the pair, over all processes) and `rank` (from 1).

        Raises:
            ValueError: If a key is missing.
        """
        for row in self.own_rows(data_samples):
            missing = [key for key in ('languages', 'query_id', 'rank') if key not in row]
            if missing:
                raise ValueError(f'a text retrieval row lacks {missing}; it has {sorted(row)}')
            self.results.append(row)

    def identity(self, row: Row) -> Hashable:
        """Languages and query id."""
        return tuple(row['languages']), row['query_id']

    def order(self, row: Row) -> Any:
        """By languages and query id."""
        return self.identity(row)

    def verdict(self, row: Row) -> Hashable:
        """The rank."""
        return row['rank']

    def summarize(self, items: list[Row]) -> dict[str, float]:
        """Recall of each ordered pair, and the mean."""
        ranks: dict[str, list[int]] = defaultdict(list)
        for row in items:
            ranks['-'.join(row['languages'])].append(row['rank'])
        recalls = {pair: recall_at_k(own, [1])['R@1'] for pair, own in ranks.items()}
        return {f'{pair}/R@1': value for pair, value in recalls.items()} | {
            'mean_R@1': sum(recalls.values()) / len(recalls)
        }
