"""Accuracy under both ways of counting unlabelled items, and consistency."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.evaluation.functional.classification import NO_LABEL, accuracy, consistency

ITEMS = st.lists(st.tuples(st.integers(NO_LABEL, 3), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=40)


def test_the_published_accuracy_of_uc2_on_arabic_xvnli() -> None:
    # 1,164 items, 14 of them without a gold label, 654 right: 56.186 in IGLUE's table, where 14 count as wrong.
    labels = [2] * 394 + [1] * 381 + [0] * 375 + [NO_LABEL] * 14
    predictions = [label if number < 654 else (label + 1) % 3 for number, label in enumerate(labels)]
    assert accuracy(labels, predictions) == pytest.approx(100 * 654 / 1164)
    assert round(accuracy(labels, predictions), 3) == 56.186
    assert round(accuracy(labels, predictions, unlabelled='left_out'), 3) == 56.870  # 654 of 1,150


def test_by_hand() -> None:
    labels, predictions = [0, 1, 2, NO_LABEL], [0, 1, 1, 0]
    assert accuracy(labels, predictions) == 50.0
    assert accuracy(labels, predictions, unlabelled='left_out') == pytest.approx(200 / 3)


def test_consistency_by_hand() -> None:
    labels, predictions = [1, 0, 1, 1, 0], [1, 0, 1, 0, 0]
    assert consistency(labels, predictions, ['a', 'a', 'b', 'b', 'c']) == pytest.approx(200 / 3)
    # One wrong item loses its whole group, however large; so does one without a label.
    assert consistency([1] * 9 + [0], [1] * 10, ['a'] * 9 + ['a']) == 0.0
    assert consistency([1, NO_LABEL], [1, 0], ['a', 'a']) == 0.0


@given(ITEMS)
def test_laws(items: list[tuple[int, int, int]]) -> None:
    labels, predictions, groups = (list(column) for column in zip(*items, strict=True))
    labelled = [item for item in items if item[0] != NO_LABEL]
    assert 0 <= accuracy(labels, predictions) <= 100
    if labelled:
        kept_labels, kept_predictions, _ = zip(*labelled, strict=True)
        left_out = accuracy(labels, predictions, unlabelled='left_out')
        assert left_out == accuracy(kept_labels, kept_predictions)
        assert left_out >= accuracy(labels, predictions)
    alone = consistency(labels, predictions, range(len(items)))
    assert alone == accuracy(labels, predictions)  # a group an item
    together = consistency(labels, predictions, ['all'] * len(items))
    assert together == (100.0 if alone == 100.0 else 0.0)
    reverse = consistency(labels[::-1], predictions[::-1], groups[::-1])
    assert consistency(labels, predictions, groups) == reverse


@pytest.mark.parametrize(
    ('labels', 'predictions', 'unlabelled', 'message'),
    [
        ([0], [0, 1], 'wrong', '1 labels for 2 predictions'),
        ([], [], 'wrong', 'no accuracy of nothing: 0 items'),
        ([NO_LABEL], [0], 'left_out', '1 items, none of which has a label'),
        ([0, -2], [0, 0], 'wrong', 'item 1 has label -2: classes count from 0, -1 means none'),
        ([NO_LABEL], [-1], 'wrong', 'item 0 has prediction -1'),
        ([0], [0], 'dropped', "'wrong' or 'left_out', not 'dropped'"),
    ],
)
def test_bad_input_of_accuracy(labels: list[int], predictions: list[int], unlabelled: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accuracy(labels, predictions, unlabelled)  # type: ignore[arg-type]


def test_bad_input_of_consistency() -> None:
    with pytest.raises(ValueError, match='2 items, but 1 names of groups'):
        consistency([0, 1], [0, 1], ['a'])
    with pytest.raises(ValueError, match='no items'):
        consistency([], [], [])
