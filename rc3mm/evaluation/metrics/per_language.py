"""PerLanguageMetric: the same numbers for each language, and their means without English."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from rc3mm.evaluation.functional.languages import PIVOT, mean_without_pivot, sort_languages
from rc3mm.evaluation.metrics.per_item import PerItemMetric, Row

__all__ = ['PerLanguageMetric']


class PerLanguageMetric(PerItemMetric):
    """Base of metrics whose rows are items of a language, named by `language` and `item_id`.

    Subclasses define `kind`, `required` (the other keys that a row must have), `checked`, `verdict` and `tables`.
    Metrics are called `de/NAME`, their means over the languages without English `mean_NAME`. A mean is left out
    where English is all there is, or where another language lacks the number; counts (`num_...`) have none.
    """

    required: tuple[str, ...]

    @abstractmethod
    def checked(self, row: Row) -> Row:
        """The required entries of a row, as plain Python values.

        Raises:
            ValueError: One of them is not what it should be.
        """

    @abstractmethod
    def tables(self, rows_of: Mapping[str, list[Row]]) -> dict[str, dict[str, float]]:
        """Language -> name -> number, from language -> rows; the languages come in their usual order."""

    def process(self, data_batch: Any, data_samples: Sequence[Row]) -> None:
        """Keep one row an item.

        Args:
            data_batch: Ignored.
            data_samples: Dicts with `language`, `item_id` (unique within the language, over all processes) and
                the `required` keys. Other keys travel on to `items`.

        Raises:
            ValueError: A key is missing, or an entry is not what it should be.
        """
        for row in self.own_rows(data_samples):
            missing = [key for key in ('language', 'item_id', *self.required) if key not in row]
            if missing:
                raise ValueError(f'a row of kind {self.kind!r} lacks {missing}; it has {sorted(row)}')
            self.results.append({**row, **self.checked(row)})

    def identity(self, row: Row) -> Hashable:
        """Language and item id."""
        return row['language'], row['item_id']

    def order(self, row: Row) -> Any:
        """By language and item id."""
        return self.identity(row)

    def summarize(self, items: list[Row]) -> dict[str, float]:
        """The tables as one flat dict, and the means."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in items:
            groups[row['language']].append(row)
        tables = self.tables({language: groups[language] for language in sort_languages(groups)})
        metrics = {f'{language}/{name}': value for language, table in tables.items() for name, value in table.items()}
        return metrics | _means(tables)


def _means(tables: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """`mean_NAME` of what every language but English has."""
    others = {language: table for language, table in tables.items() if language != PIVOT}
    names = dict.fromkeys(name for table in others.values() for name in table if not name.startswith('num_'))
    means = {}
    for name in names:
        values = {language: table[name] for language, table in others.items() if name in table}
        mean = mean_without_pivot(values)
        # A mean over the languages that happen to have a number would compare unlike with unlike.
        if mean is not None and len(values) == len(others):
            means[f'mean_{name}'] = mean
    return means
