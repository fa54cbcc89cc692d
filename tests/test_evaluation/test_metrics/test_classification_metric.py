"""ClassificationMetric from hand-made rows; no model anywhere."""

import logging
from typing import Any

import numpy as np
import pytest
import torch

from rc3mm.evaluation.metrics.classification import ClassificationMetric
from rc3mm.registry import METRICS

Rows = list[dict[str, Any]]


def rows_of(language: str, labels: list[int], predictions: list[int], groups: list[str] | None = None) -> Rows:
    rows: Rows = [
        {'kind': 'answer', 'language': language, 'item_id': f'{language}-{i}', 'label': label, 'prediction': prediction}
        for i, (label, prediction) in enumerate(zip(labels, predictions, strict=True))
    ]
    for row, group in zip(rows, groups or [], strict=groups is not None):
        row['group'] = group
    return rows


def evaluate(rows: Rows, metric: ClassificationMetric | None = None) -> dict[str, float]:
    metric = metric or ClassificationMetric()
    metric.process(None, rows)
    return metric.evaluate(1)


def test_by_hand() -> None:
    rows = rows_of('en', [0, 1], [0, 1]) + rows_of('de', [0, 1, 2, 0], [0, 1, 1, 1]) + rows_of('zh', [2], [2])
    expected = {
        'answers/en/accuracy': 100.0, 'answers/en/num_items': 2,
        'answers/de/accuracy': 50.0, 'answers/de/num_items': 4,
        'answers/zh/accuracy': 100.0, 'answers/zh/num_items': 1,
        'answers/mean_accuracy': 75.0,
    }  # fmt: skip
    found = evaluate([*rows, {'kind': 'query', 'rank': 1}])
    assert found == expected and list(found) == list(expected)


def test_unlabelled_items_under_both_protocols() -> None:
    # 654 of 1,164 right, 14 without a label: the published 56.186, and 56.870 without the 14.
    labels = [0] * 1150 + [-1] * 14
    arabic = rows_of('ar', labels, [0] * 654 + [1] * 510)
    found = evaluate(arabic + rows_of('fr', [0, 1], [0, 0]))
    assert found['answers/ar/accuracy'] == pytest.approx(56.186, abs=5e-4)
    assert found['answers/ar/accuracy_labelled'] == pytest.approx(56.870, abs=5e-4)
    assert (found['answers/ar/num_items'], found['answers/ar/num_unlabelled']) == (1164, 14)
    # French lacks no label, but belongs in the mean over both.
    assert found['answers/fr/accuracy_labelled'] == 50.0 and found['answers/fr/num_unlabelled'] == 0
    assert found['answers/mean_accuracy_labelled'] == pytest.approx((100 * 654 / 1150 + 50) / 2)


def test_a_language_without_any_label_has_no_labelled_accuracy() -> None:
    found = evaluate(rows_of('de', [-1], [0]) + rows_of('fr', [1], [1]))
    assert found['answers/de/accuracy'] == 0.0 and found['answers/mean_accuracy'] == 50.0
    assert 'answers/de/accuracy_labelled' not in found and 'answers/mean_accuracy_labelled' not in found
    assert found['answers/fr/accuracy_labelled'] == 100.0


def test_consistency() -> None:
    rows = rows_of('zh', [1, 0, 1, 1], [1, 0, 1, 0], ['a', 'a', 'b', 'b'])
    found = evaluate(rows + rows_of('sw', [1, 1], [1, 1], ['a', 'a']) + rows_of('en', [1], [0], ['a']))
    assert found['answers/zh/consistency'] == 50.0 and found['answers/en/consistency'] == 0.0
    assert found['answers/mean_consistency'] == 75.0
    # A mean of the languages that have groups would not be a mean of the languages.
    assert 'answers/mean_consistency' not in evaluate(rows + rows_of('sw', [1], [1]))
    with pytest.raises(ValueError, match='zh: 4 of 5 items have a group; give every item'):
        evaluate([*rows, {**rows[0], 'item_id': 'zh-9', 'group': None}])


def test_english_alone_has_no_mean() -> None:
    assert set(evaluate(rows_of('en', [1], [1]))) == {'answers/en/accuracy', 'answers/en/num_items'}
    assert evaluate([]) == {}


def test_repeated_items_count_once_and_extras_travel(caplog: pytest.LogCaptureFixture) -> None:
    metric = ClassificationMetric()
    rows = rows_of('de', [0, 1, 1], [0, 1, 0])
    rows[0]['text'] = 'Ist es bewölkt?'
    expected = evaluate(rows)
    assert evaluate([*rows[::-1], *rows], metric) == expected
    assert [row['item_id'] for row in metric.items] == ['de-0', 'de-1', 'de-2']
    assert metric.items[0]['text'] == 'Ist es bewölkt?'
    with caplog.at_level(logging.WARNING):
        assert evaluate([*rows, {**rows[2], 'prediction': 1}]) == expected
    # Two languages may ask the same question by the same id.
    both = evaluate([{**row, 'language': language} for language in ('de', 'fr') for row in rows])
    assert both['answers/fr/num_items'] == both['answers/de/num_items'] == 3


@pytest.mark.parametrize('number', [torch.tensor(1), np.int64(1), np.array(1)])
def test_integers_of_any_make(number: Any) -> None:
    metric = ClassificationMetric()
    rows = [{'language': 'de', 'item_id': 'x', 'label': number, 'prediction': number}]
    assert evaluate(rows, metric)['answers/de/accuracy'] == 100.0
    assert type(metric.items[0]['label']) is type(metric.items[0]['prediction']) is int


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        ({'label': -2}, r"item 'de-0' \(de\) has label -2; it must be an integer from -1"),
        ({'prediction': -1}, 'has prediction -1; it must be an integer from 0'),
        ({'prediction': 0.7}, 'has prediction 0.7'),
        ({'label': 'yes'}, "has label 'yes'"),
    ],
)
def test_impossible_classes(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassificationMetric().process(None, [{**rows_of('de', [0], [0])[0], **bad}])


def test_missing_key() -> None:
    with pytest.raises(ValueError, match=r"a row of kind 'answer' lacks \['item_id', 'prediction'\]; it has \["):
        ClassificationMetric().process(None, [{'language': 'de', 'label': 0}])


def test_built_by_name() -> None:
    metric = METRICS.build({'type': 'ClassificationMetric', 'prefix': 'xvnli'})
    assert evaluate(rows_of('fr', [0], [0]), metric)['xvnli/fr/accuracy'] == 100.0
