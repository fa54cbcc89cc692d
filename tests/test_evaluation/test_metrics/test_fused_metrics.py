"""ProximityMetric, MentionProbe and TextRetrievalMetric from hand-made rows."""

from typing import Any

import pytest
import torch

from rc3mm.evaluation.metrics import MentionProbe, PerItemMetric, ProximityMetric, TextRetrievalMetric


def evaluate(metric: PerItemMetric, rows: list[dict[str, Any]]) -> dict[str, float]:
    metric.process(None, rows)
    return metric.evaluate(1)


def test_proximity_by_level_and_once_an_item() -> None:
    rows = [
        {'kind': 'proximity', 'item_id': 'a', 'proximity': 0.1, 'relevance': 0.0},
        {'kind': 'proximity', 'item_id': 'b', 'proximity': 0.5, 'relevance': 1 / 3},
        {'kind': 'proximity', 'item_id': 'c', 'proximity': 0.7, 'relevance': 1 / 3},
        {'kind': 'proximity', 'item_id': 'd', 'proximity': 0.9, 'relevance': 1.0},
        {'kind': 'query', 'rank': 1},
    ]
    expected = {
        'proximity/spearman': pytest.approx(0.949, abs=1e-3),
        'proximity/num_pairs': 4,
        'proximity/at_0.00': pytest.approx(0.1),
        'proximity/at_0.33': pytest.approx(0.6),
        'proximity/at_1.00': pytest.approx(0.9),
    }
    assert evaluate(ProximityMetric(), rows) == expected
    assert evaluate(ProximityMetric(), rows + rows[:1]) == expected
    assert set(evaluate(ProximityMetric(max_levels=2), rows)) == {'proximity/spearman', 'proximity/num_pairs'}
    with pytest.raises(ValueError, match=r"lacks \['relevance'\]"):
        ProximityMetric().process(None, [{'item_id': 'a', 'proximity': 0.1}])


def mention_rows(role: str, language: str, hears: bool, seed: int) -> list[dict[str, Any]]:
    """Texts about two of four objects; z is made of what is mentioned, or of all objects alike."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(120):
        objects = torch.randperm(4, generator=generator)[:2].tolist()
        told = objects[:1]
        z = torch.zeros(4)
        z[told if hears else objects] = 1
        z += 0.05 * torch.randn(4, generator=generator)
        rows.append(
            {
                'kind': 'mention',
                'role': role,
                'language': language,
                'item_id': f'{language}{number}',
                'z': z.tolist(),
                'objects': objects,
                'mentions': told,
            }
        )
    return rows


def test_probe_tells_a_text_that_is_heard_from_one_that_is_not() -> None:
    fit = mention_rows('fit', 'en', True, 0)
    rows = fit + mention_rows('test', 'en', True, 1) + mention_rows('test', 'de', True, 2)
    rows += mention_rows('test', 'ja', False, 3)
    metrics = evaluate(MentionProbe(num_concepts=4), rows)
    assert metrics['probe/de/auc'] > 98 and metrics['probe/en/auc'] > 98
    assert 35 < metrics['probe/ja/auc'] < 65
    assert metrics['probe/mean_auc'] == pytest.approx((metrics['probe/de/auc'] + metrics['probe/ja/auc']) / 2)
    assert metrics['probe/de/num_items'] == 120
    with pytest.raises(ValueError, match='rows to fit on and to test on, got 120 and 0'):
        evaluate(MentionProbe(num_concepts=4), fit)
    with pytest.raises(ValueError, match='unknown role'):
        MentionProbe(num_concepts=4).process(None, [{**fit[0], 'role': 'tune'}])


def test_text_retrieval_by_pair() -> None:
    rows = [
        {'kind': 'text_query', 'languages': ('en', 'de'), 'query_id': 0, 'rank': 1},
        {'kind': 'text_query', 'languages': ('en', 'de'), 'query_id': 1, 'rank': 2},
        {'kind': 'text_query', 'languages': ('de', 'en'), 'query_id': 0, 'rank': 1},
    ]
    expected = {'text/en-de/R@1': 50.0, 'text/de-en/R@1': 100.0, 'text/mean_R@1': 75.0}
    assert evaluate(TextRetrievalMetric(), rows + rows[:2]) == expected
    with pytest.raises(ValueError, match='lacks'):
        TextRetrievalMetric().process(None, [{'languages': ('en', 'de'), 'rank': 1}])
