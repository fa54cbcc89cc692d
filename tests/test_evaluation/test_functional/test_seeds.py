"""Mean and standard deviation over seeds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.evaluation.functional.seeds import over_seeds


def test_by_hand() -> None:
    found = over_seeds([{'b': 2.0, 'a': 10}, {'a': 10, 'b': 4.0}, {'b': 6.0, 'a': 10}])
    assert found == {'b': (4.0, 2.0), 'a': (10.0, 0.0)}  # deviations -2, 0, 2: 8 / (3 - 1) = 4
    assert list(found) == ['b', 'a']


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10))
def test_agrees_with_numpy(values: list[float]) -> None:
    mean, deviation = over_seeds([{'x': value} for value in values])['x']
    assert mean == pytest.approx(np.mean(values), abs=1e-9)
    assert deviation == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_seed_has_no_spread_and_nan_stays_nan() -> None:
    mean, deviation = over_seeds([{'x': 3.0}])['x']
    assert mean == 3.0 and math.isnan(deviation)
    assert all(math.isnan(number) for number in over_seeds([{'x': math.nan}, {'x': 1.0}])['x'])
    assert over_seeds([{}, {}]) == {}


def test_runs_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match='no runs'):
        over_seeds([])
    with pytest.raises(ValueError, match=r"run 1 of 2 lacks \['de/accuracy'\]: evaluate all seeds alike"):
        over_seeds([{'de/accuracy': 1.0}, {}])
    with pytest.raises(ValueError, match=r"run 0 of 2 lacks \['fr/accuracy'\]"):
        over_seeds([{}, {'fr/accuracy': 1.0}])
