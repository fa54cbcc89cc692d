"""Proximity against relevance."""

import pytest

from rc3mm.evaluation.functional import mean_by_level, spearman


def test_spearman_sees_order_alone() -> None:
    assert spearman([0.1, 0.2, 0.9], [1, 5, 6]) == pytest.approx(1)
    assert spearman([0.9, 0.2, 0.1], [1, 5, 6]) == pytest.approx(-1)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0 and spearman([1], [1]) == 0
    with pytest.raises(ValueError, match='3 and 2 items'):
        spearman([1, 2, 3], [1, 2])


def test_means_by_level() -> None:
    found = mean_by_level([1, 3, 5, 7], [1 / 3, 0.3333, 0, 1])
    assert found == {0.0: 5.0, 0.33: 2.0, 1.0: 7.0} and list(found) == [0.0, 0.33, 1.0]
