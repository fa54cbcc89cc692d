"""RetrievalMetric: recall per language and direction, from ranks that a retrieval loop has computed."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from rc3mm.evaluation.functional.languages import PIVOT, mean_without_pivot, sort_languages
from rc3mm.evaluation.functional.retrieval import recall_at_k
from rc3mm.evaluation.metrics.per_item import PerItemMetric, Row
from rc3mm.registry import METRICS

__all__ = ['DIRECTIONS', 'RetrievalMetric']

DIRECTIONS = ('t2i', 'i2t')
REQUIRED = ('direction', 'language', 'query_id', 'rank')


@METRICS.register_module()
class RetrievalMetric(PerItemMetric):
    """Recall at k of text-to-image and image-to-text retrieval, in per cent.

    Metric names, for a language `de` and the default prefix:

    - `retrieval/de/t2i_R@1`, `retrieval/de/i2t_R@1`, ...: recalls; `itm_t2i_R@1` ... after re-ranking.
    - `retrieval/de/num_t2i`, `retrieval/de/num_i2t`: how many queries there were.
    - `retrieval/de/mean_R@1`, `retrieval/de/itm_mean_R@1`: mean of both directions (select English-only runs
      by `retrieval/en/mean_R@1`).
    - `retrieval/mean/t2i_R@1` ...: mean over languages without English; only names that every other language
      has.
    - `retrieval/mean_R@1`, `retrieval/itm_mean_R@1`: the headlines, mean of both directions of that mean.

    Args:
        ks: Cut-offs; 1 must be among them, for the headlines.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
        collect_dir: See `BaseMetric`.
    """

    kind = 'query'
    default_prefix = 'retrieval'

    def __init__(
        self,
        ks: Sequence[int] = (1, 5, 10),
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        if 1 not in ks:
            raise ValueError(f'the headline is R@1, but ks is {tuple(ks)}')
        self.ks = tuple(ks)

    def process(self, data_batch: Any, data_samples: Sequence[Row]) -> None:
        """Keep one row a query.

        Args:
            data_batch: Ignored.
            data_samples: Dicts with `direction` ('t2i' or 'i2t'), `language`, `query_id` (unique within
                direction and language, over all processes), `rank` (from 1), and optionally `reranked` (rank
                after ITM re-ranking, None without it). Other keys (`query`, `retrieved`, `positive`) travel
                on to `items`.

        Raises:
            ValueError: If a key is missing, or a direction or rank is impossible.
        """
        for sample in self.own_rows(data_samples):
            missing = [key for key in REQUIRED if key not in sample]
            if missing:
                raise ValueError(f'a retrieval row lacks {missing}; it has {sorted(sample)}')
            if sample['direction'] not in DIRECTIONS:
                raise ValueError(f'direction must be one of {DIRECTIONS}, got {sample["direction"]!r}')
            reranked = sample.get('reranked')
            row = {
                **sample,
                'query_id': int(sample['query_id']),
                'rank': int(sample['rank']),
                'reranked': None if reranked is None else int(reranked),
            }
            if row['rank'] < 1 or (reranked is not None and row['reranked'] < 1):
                raise ValueError(f'ranks count from 1, got {row["rank"]} and {row["reranked"]}')
            self.results.append(row)

    def identity(self, row: Row) -> Hashable:
        """Direction, language and query id."""
        return row['direction'], row['language'], row['query_id']

    def order(self, row: Row) -> Any:
        """By language, direction and query id."""
        return row['language'], DIRECTIONS.index(row['direction']), row['query_id']

    def verdict(self, row: Row) -> Hashable:
        """Both ranks."""
        return row['rank'], row['reranked']

    def summarize(self, items: list[Row]) -> dict[str, float]:
        """Flat dict of metrics, named as the class describes.

        Raises:
            ValueError: If some queries of a language and direction were re-ranked and others were not.
        """
        groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in items:
            groups[row['language']][row['direction']].append(row)
        tables = {language: self._of_language(language, groups[language]) for language in sort_languages(groups)}
        metrics = {f'{language}/{name}': value for language, table in tables.items() for name, value in table.items()}
        metrics.update(_means(tables))
        return metrics

    def _of_language(self, language: str, rows: dict[str, list[Row]]) -> dict[str, float]:
        """Recalls, both-direction means and counts of one language."""
        table: dict[str, float] = {}
        for direction in (d for d in DIRECTIONS if d in rows):
            recalls = recall_at_k([row['rank'] for row in rows[direction]], self.ks)
            table.update({f'{direction}_{name}': value for name, value in recalls.items()})
        for direction in (d for d in DIRECTIONS if d in rows):
            reranked = [row['reranked'] for row in rows[direction] if row['reranked'] is not None]
            if reranked and len(reranked) != len(rows[direction]):
                raise ValueError(
                    f'{language} {direction}: {len(reranked)} of {len(rows[direction])} queries were '
                    're-ranked; give those with no right candidate in the top k their bi-encoder rank'
                )
            if reranked:
                recalls = recall_at_k(reranked, self.ks)
                table.update({f'itm_{direction}_{name}': value for name, value in recalls.items()})
        table.update(_both_directions(table))
        table.update({f'num_{direction}': len(rows[direction]) for direction in DIRECTIONS if direction in rows})
        return table


def _means(tables: dict[str, dict[str, float]]) -> dict[str, float]:
    """`mean/...` over the languages without English, and the headlines; nothing if there is only English."""
    names = [name for table in tables.values() for name in table if not name.startswith('num_')]
    means = {}
    for name in dict.fromkeys(names):
        # A mean over the languages that happen to have a name would compare unlike with unlike.
        values = {language: table[name] for language, table in tables.items() if name in table}
        mean = mean_without_pivot(values)
        if mean is not None and values.keys() - {PIVOT} == tables.keys() - {PIVOT}:
            means[name] = mean
    headlines = _both_directions(means)
    return {f'mean/{name}': value for name, value in means.items() if name not in headlines} | headlines


def _both_directions(table: dict[str, float]) -> dict[str, float]:
    """`mean_R@1` and `itm_mean_R@1` where both directions are there."""
    return {
        f'{prefix}mean_R@1': (table[f'{prefix}t2i_R@1'] + table[f'{prefix}i2t_R@1']) / 2
        for prefix in ('', 'itm_')
        if f'{prefix}t2i_R@1' in table and f'{prefix}i2t_R@1' in table
    }
