"""What all relevance scorers have in common: a similarity of two texts, calibrated to [0, 1]."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rc3mm.relevance.calibration import Calibration

__all__ = ['CalibrationPairs', 'Pair', 'RelevanceScorer', 'Text']

Text = tuple[str, str]  # (language, text)
Pair = tuple[Text, Text]


class CalibrationPairs(NamedTuple):
    """Similarities that a calibration was fitted on, each float32 (number of pairs,)."""

    unrelated: np.ndarray
    translated: np.ndarray


class RelevanceScorer(ABC):
    """Scores how much two texts say the same.

    A subclass encodes texts one by one and compares what it encoded; `score` is the calibrated comparison.

    Attributes:
        calibration: what similarity random and translated pairs have; None until it is known.
        calibration_pairs: the similarities that it was fitted on, where they are at hand.
    """

    calibration: Calibration | None = None
    calibration_pairs: CalibrationPairs | None = None

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What tells this scorer from others, in JSON types: stored beside the scores."""

    @abstractmethod
    def encode(self, texts: Sequence[Text]) -> np.ndarray:
        """Encode texts, each on its own.

        Args:
            texts: (language, text).

        Returns:
            An array with one entry a text along its first axis; what an entry is, the scorer knows.
        """

    @abstractmethod
    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Similarities of encoded texts, pair by pair.

        Args:
            first: one side of the pairs, as `encode` gives it.
            second: the other side, as many.

        Returns:
            float32 (number of pairs,), not calibrated.
        """

    def similarity(self, first: Sequence[Text], second: Sequence[Text]) -> np.ndarray:
        """Similarities of pairs of texts before calibration, float32 (number of pairs,)."""
        if len(first) != len(second):
            raise ValueError(f'pairs of texts need as many first as second texts, not {len(first)} and {len(second)}')
        return self.compare(self.encode(first), self.encode(second))

    def calibrate(self, translated: Sequence[Pair], others: Sequence[Pair] = (), seed: int = 0) -> None:
        """Fit the calibration; sets `calibration` and `calibration_pairs`.

        Args:
            translated: translations of each other.
            others: pairs like those to be scored; the random pairs are these, shuffled. The translations serve if
                there are none.
            seed: chooses the random pairs.

        Raises:
            ValueError: there are no translations, fewer than two pairs to shuffle, or translations cannot be told
                from random pairs.
        """
        if not translated:
            raise ValueError('calibration needs translations, got none')
        unrelated = self._shuffled(others or translated, seed)
        same = self.similarity([a for a, _ in translated], [b for _, b in translated])
        self.calibration = Calibration.fit(unrelated, same)
        self.calibration_pairs = CalibrationPairs(unrelated, same)

    def recalibrate(self, others: Sequence[Pair], seed: int = 0) -> None:
        """Fit c0 anew on pairs like those to be scored; c1, the similarity of translations, stays.

        Args:
            others: the random pairs are these, shuffled.
            seed: chooses the random pairs.

        Raises:
            ValueError: fewer than two pairs, no calibration yet, or translations cannot be told from random pairs.
        """
        if self.calibration is None:
            raise ValueError(self._not_calibrated())
        unrelated = self._shuffled(others, seed)
        self.calibration = Calibration(float(np.median(unrelated)), self.calibration.translated)
        if self.calibration_pairs is not None:
            self.calibration_pairs = self.calibration_pairs._replace(unrelated=unrelated)

    def _shuffled(self, pairs: Sequence[Pair], seed: int) -> np.ndarray:
        """Similarities of texts with the second texts of other pairs."""
        if len(pairs) < 2:
            raise ValueError(f'calibration needs at least 2 pairs to shuffle, got {len(pairs)}')
        order = np.random.default_rng(seed).permutation(len(pairs))
        # A ring: no text meets the one it came with.
        first, second = [pairs[index][0] for index in order], [pairs[index][1] for index in np.roll(order, 1)]
        return self.similarity(first, second)

    def score(self, first: Sequence[Text], second: Sequence[Text]) -> np.ndarray:
        """Relevance of pairs of texts.

        Args:
            first: (language, text) of each pair's one side.
            second: of the other side, as many.

        Returns:
            float32 in [0, 1], one a pair; see `relevance`.

        Raises:
            ValueError: the scorer is not calibrated, or the two sides differ in number.
        """
        return self.relevance(self.similarity(first, second))

    def relevance(self, similarity: np.ndarray) -> np.ndarray:
        """Similarities as `compare` gives them -> relevance.

        Args:
            similarity: any shape.

        Returns:
            float32 in [0, 1] of the same shape, rounded to 1e-4, so that the last bits of a linear-algebra
            library do not reach the training.

        Raises:
            ValueError: the scorer is not calibrated.
        """
        if self.calibration is None:
            raise ValueError(self._not_calibrated())
        return np.round(self.calibration(similarity), 4)

    def _not_calibrated(self) -> str:
        return f'{type(self).__name__} is not calibrated; give it a calibration, or translated pairs to `calibrate` on'
