"""From cosines to relevance."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.relevance import Calibration


def test_medians_are_nought_and_one() -> None:
    random, translated = np.array([-0.2, 0.1, 5.0]), np.array([-9.0, 0.6, 0.7])
    calibration = Calibration.fit(random, translated)
    assert (calibration.unrelated, calibration.translated) == (0.1, 0.6)
    relevance = calibration(np.array([[-1.0, 0.1, 0.35], [0.6, 0.61, 1.0]]))
    assert relevance.dtype == np.float32
    np.testing.assert_allclose(relevance, [[0, 0, 0.5], [1, 1, 1]], atol=1e-6)


@given(st.floats(-1, 0.4), st.floats(0.5, 1), st.lists(st.floats(-1, 1), min_size=2, max_size=9))
def test_order_is_kept_within_bounds(unrelated: float, translated: float, cosines: list[float]) -> None:
    relevance = Calibration(unrelated, translated)(np.sort(np.array(cosines)))
    assert relevance.min() >= 0 and relevance.max() <= 1
    assert (np.diff(relevance) >= 0).all()


@pytest.mark.parametrize(
    ('unrelated', 'translated'), [(0.5, 0.5), (0.6, 0.5), (float('nan'), 0.5), (0.1, float('nan'))]
)
def test_a_scorer_that_cannot_tell_is_refused(unrelated: float, translated: float) -> None:
    with pytest.raises(ValueError, match='cannot tell them apart on the calibration corpus'):
        Calibration(unrelated, translated)


def test_json_keeps_it() -> None:
    calibration = Calibration(0.1, 0.7)
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'unrelated': 0.1}, r"keys unrelated and translated, not \['unrelated'\]"),
        ({'unrelated': 0.1, 'translated': None}, 'holds two numbers'),
        ({'unrelated': 0.1, 'translated': 'much'}, 'much'),
    ],
)
def test_what_is_no_calibration_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration.from_json(values)
