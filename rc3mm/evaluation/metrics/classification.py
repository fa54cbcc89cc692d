"""ClassificationMetric: accuracy and consistency of answers by language."""

import operator
from collections.abc import Hashable, Mapping
from typing import Any

from rc3mm.evaluation.functional.classification import NO_LABEL, accuracy, consistency
from rc3mm.evaluation.metrics.per_item import Row
from rc3mm.evaluation.metrics.per_language import PerLanguageMetric
from rc3mm.registry import METRICS

__all__ = ['ClassificationMetric']


@METRICS.register_module()
class ClassificationMetric(PerLanguageMetric):
    """Accuracy of predicted classes (XVNLI, xGQA, NLVR2, MaRVL), in per cent.

    Rows are of kind `answer` and have `language`, `item_id`, `label` (-1: no class is right), `prediction` and,
    for consistency, `group` (items of one sentence; every item of a language has one, or none has). Metric names,
    for a language `de` and the default prefix:

    - `answers/de/accuracy`: all items are in the denominator and unlabelled ones are wrong, as IGLUE counts.
    - `answers/de/accuracy_labelled`, `answers/de/num_unlabelled`: unlabelled items are left out, as CCLM counts,
      and how many there are; only where a language of the evaluation has some.
    - `answers/de/consistency`: share of groups all of whose items are right; only where there are groups.
    - `answers/de/num_items`: how many items there were.
    - `answers/mean_accuracy`, `answers/mean_accuracy_labelled`, `answers/mean_consistency`: means over the
      languages without English.

    Arguments are those of `BaseMetric`.
    """

    kind = 'answer'
    default_prefix = 'answers'
    required = ('label', 'prediction')

    def checked(self, row: Row) -> Row:
        """Label and prediction as integers.

        Raises:
            ValueError: One is no integer, or below what it can be.
        """
        return {'label': _class(row, 'label', NO_LABEL), 'prediction': _class(row, 'prediction', 0)}

    def verdict(self, row: Row) -> Hashable:
        """The predicted class."""
        return row['prediction']

    def tables(self, rows_of: Mapping[str, list[Row]]) -> dict[str, dict[str, float]]:
        """Accuracies, consistency and counts of each language."""
        # Decided for all languages at once, so that a mean never lacks those in which every item has a label.
        unlabelled = any(row['label'] == NO_LABEL for rows in rows_of.values() for row in rows)
        return {language: _table(language, rows, unlabelled) for language, rows in rows_of.items()}


def _table(language: str, rows: list[Row], unlabelled: bool) -> dict[str, float]:
    """Numbers of one language; `unlabelled` tells whether those about unlabelled items are wanted."""
    labels = [row['label'] for row in rows]
    predictions = [row['prediction'] for row in rows]
    without = labels.count(NO_LABEL)
    table: dict[str, float] = {'accuracy': accuracy(labels, predictions)}
    if unlabelled and without < len(rows):
        table['accuracy_labelled'] = accuracy(labels, predictions, unlabelled='left_out')
    groups = [row['group'] for row in rows if row.get('group') is not None]
    if groups and len(groups) != len(rows):
        raise ValueError(
            f'{language}: {len(groups)} of {len(rows)} items have a group; give every item of a language its '
            "'group', or none of them"
        )
    if groups:
        table['consistency'] = consistency(labels, predictions, groups)
    table['num_items'] = len(rows)
    if unlabelled:
        table['num_unlabelled'] = without
    return table


def _class(row: Row, key: str, lowest: int) -> int:
    value: Any = row[key]
    try:
        number = operator.index(value)
    except TypeError:
        number = lowest - 1
    if number < lowest:
        raise ValueError(
            f'item {row["item_id"]!r} ({row["language"]}) has {key} {value!r}; it must be an integer from {lowest}'
        )
    return number
