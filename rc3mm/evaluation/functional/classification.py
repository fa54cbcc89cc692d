"""Accuracy and consistency of answers that are classes: entailment, visual questions, sentences about two images."""

from collections.abc import Hashable, Sequence
from typing import Literal

__all__ = ['NO_LABEL', 'accuracy', 'consistency']

# The label of an item for which no class is right: XVNLI's '-', or an answer outside the known answers.
NO_LABEL = -1


def accuracy(
    labels: Sequence[int], predictions: Sequence[int], unlabelled: Literal['wrong', 'left_out'] = 'wrong'
) -> float:
    """Share of items whose predicted class is the right one, in per cent.

    The two ways of counting items without a label give two different numbers, so a table has to name its own:
    IGLUE (Bugliarello et al. 2022, arXiv 2201.11732) counts them as wrong, CCLM (Zeng et al. 2023, arXiv
    2206.00621) leaves them out.

    Args:
        labels: The right class of each item, counted from 0; `NO_LABEL` where none is right.
        predictions: The predicted class of each item, counted from 0.
        unlabelled: `wrong` keeps unlabelled items in the denominator, `left_out` does not.

    Raises:
        ValueError: The lengths differ, nothing is left to count, a class is negative, or `unlabelled` is
            neither of the two.
    """
    if unlabelled not in ('wrong', 'left_out'):
        raise ValueError(f"unlabelled items are counted as 'wrong' or 'left_out', not {unlabelled!r}")
    right = _right(labels, predictions)
    total = len(right) if unlabelled == 'wrong' else sum(label != NO_LABEL for label in labels)
    if not total:
        raise ValueError(f'no accuracy of nothing: {len(right)} items, none of which has a label')
    return 100.0 * sum(right) / total


def consistency(labels: Sequence[int], predictions: Sequence[int], groups: Sequence[Hashable]) -> float:
    """Share of groups all of whose items are right, in per cent; a group is all items of one sentence.

    The definition of NLVR2 (Suhr et al. 2019, arXiv 1811.00491) and MaRVL. An item without a label is not right,
    and neither is its group.

    Args:
        labels: As in `accuracy`.
        predictions: As in `accuracy`.
        groups: The name of each item's group.

    Raises:
        ValueError: The lengths differ, there are no items, or a class is negative.
    """
    right = _right(labels, predictions)
    if len(groups) != len(right):
        raise ValueError(f'{len(right)} items, but {len(groups)} names of groups')
    if not right:
        raise ValueError('no items to tell the consistency of')
    lost = {group for group, won in zip(groups, right, strict=True) if not won}
    names = set(groups)
    return 100.0 * (len(names) - len(lost)) / len(names)


def _right(labels: Sequence[int], predictions: Sequence[int]) -> list[bool]:
    """Whether each item is right."""
    if len(labels) != len(predictions):
        raise ValueError(f'{len(labels)} labels for {len(predictions)} predictions')
    for number, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
        if label < NO_LABEL:
            raise ValueError(f'item {number} has label {label}: classes count from 0, {NO_LABEL} means none')
        # A model that answers -1 would otherwise be right about every item without a label.
        if prediction < 0:
            raise ValueError(f'item {number} has prediction {prediction}: classes count from 0')
    return [label == prediction for label, prediction in zip(labels, predictions, strict=True)]
