"""Means over parts: what is shared is averaged, counts are not, and languages keep their mean."""

import pytest

from rc3mm.evaluation import RetrievalMetric
from rc3mm.evaluation.functional.languages import mean_without_pivot
from rc3mm.evaluation.functional.parts import mean_over_parts


def test_by_hand() -> None:
    parts = [{'a/en/x': 1.0, 'a/en/num_x': 5, 'b': 7.0}, {'a/en/x': 4.0, 'a/en/num_x': 5, 'c': 1.0}]
    assert mean_over_parts(parts) == {'a/en/x': 2.5}
    assert mean_over_parts(parts[:1]) == {'a/en/x': 1.0, 'b': 7.0}
    assert mean_over_parts([{'b': 7.0}, {'c': 1.0}]) == {}


def test_sets_of_one_language_each_have_the_metrics_own_mean_over_languages() -> None:
    ranks = {'en': (1, 1), 'ja': (1, 2), 'ko': (3, 1), 'tr': (4, 5)}

    def found(*languages: str) -> dict[str, float]:
        metric = RetrievalMetric()
        for language in languages:
            for number, rank in enumerate(ranks[language]):
                row = {'language': language, 'query_id': number, 'rank': rank, 'reranked': 1}
                metric.process(None, [{**row, 'direction': way} for way in ('t2i', 'i2t')])
        return metric.evaluate(2)

    together, parts = found(*ranks), {language: found(language) for language in ranks}
    mean = mean_over_parts([parts[language] for language in ('ja', 'ko', 'tr')])
    assert mean == {name: value for name, value in together.items() if name.split('/')[1] not in ranks}
    own = {language: parts[language][f'retrieval/{language}/t2i_R@1'] for language in ranks}
    assert mean['retrieval/mean/t2i_R@1'] == pytest.approx(mean_without_pivot(own))
