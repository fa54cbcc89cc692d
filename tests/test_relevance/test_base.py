"""What all scorers share, on a scorer that can be worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rc3mm.relevance import Calibration, RelevanceScorer, Text


class Nearness(RelevanceScorer):
    """Texts are numbers; the similarity falls with their distance."""

    config: dict[str, Any] = {}

    def encode(self, texts: Sequence[Text]) -> np.ndarray:
        return np.array([float(text) for _, text in texts])

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return -np.abs(first - second).astype(np.float32)


def pairs(count: int, distance: float) -> list[tuple[Text, Text]]:
    return [(('en', str(100 * k)), ('de', str(100 * k + distance))) for k in range(count)]


def test_medians_of_shuffled_and_of_translated_pairs() -> None:
    scorer = Nearness()
    scorer.calibrate(pairs(9, 10))
    assert scorer.calibration is not None and scorer.calibration_pairs is not None
    assert scorer.calibration.translated == -10
    assert len(scorer.calibration_pairs.unrelated) == 9
    # Nobody meets the text that it came with: that is 10 away, all others 90 at least.
    assert scorer.calibration_pairs.unrelated.max() <= -90
    assert scorer.score([('en', '0')] * 2, [('de', '5'), ('de', '1000')]).tolist() == [1, 0]


def test_random_pairs_come_from_what_is_scored() -> None:
    scorer = Nearness()
    others = [(('en', str(k)), ('de', str(k))) for k in range(2)]  # one apart, when shuffled
    scorer.calibrate(pairs(9, 0.5), others)
    assert scorer.calibration == Calibration(-1, -0.5)
    scorer.recalibrate([(('en', str(4 * k)), ('de', str(4 * k))) for k in range(2)])
    assert scorer.calibration == Calibration(-4, -0.5)
    assert scorer.calibration_pairs is not None
    assert [own.tolist() for own in scorer.calibration_pairs] == [[-4, -4], [-0.5] * 9]
    assert scorer.score([('en', '0')], [('de', '2.25')]).tolist() == [0.5]


def test_the_same_seed_shuffles_alike() -> None:
    drawn = []
    for seed in (0, 0, 1):
        scorer = Nearness()
        scorer.calibrate(pairs(30, 1), seed=seed)
        assert scorer.calibration_pairs is not None
        drawn.append(scorer.calibration_pairs.unrelated.tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_without_calibration_there_is_no_relevance() -> None:
    with pytest.raises(ValueError, match='Nearness is not calibrated; give it a calibration, or translated pairs'):
        Nearness().score([('en', '1')], [('de', '1')])
    with pytest.raises(ValueError, match='not calibrated'):
        Nearness().recalibrate(pairs(3, 1))


def test_what_cannot_calibrate_is_refused() -> None:
    with pytest.raises(ValueError, match='needs translations, got none'):
        Nearness().calibrate([], pairs(3, 1))
    with pytest.raises(ValueError, match='at least 2 pairs to shuffle, got 1'):
        Nearness().calibrate(pairs(1, 1))
    with pytest.raises(ValueError, match='cannot tell them apart'):
        Nearness().calibrate(pairs(9, 1000))
    with pytest.raises(ValueError, match='as many first as second texts, not 2 and 1'):
        Nearness().similarity([('en', '1')] * 2, [('de', '1')])
