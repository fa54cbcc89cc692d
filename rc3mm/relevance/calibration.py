"""From the cosine of two sentence vectors to textual relevance in [0, 1]."""

from dataclasses import dataclass

import numpy as np

__all__ = ['Calibration']


@dataclass(frozen=True)
class Calibration:
    """r = clip((cos - c0) / (c1 - c0), 0, 1).

    Attributes:
        unrelated: c0, the median cosine of random pairs.
        translated: c1, the median cosine of translated pairs.

    Raises:
        ValueError: the scorer does not tell translations from random pairs (c1 <= c0).
    """

    unrelated: float
    translated: float

    def __post_init__(self) -> None:
        if not self.translated > self.unrelated:
            raise ValueError(
                f'the median cosine of translations ({self.translated:.3f}) is not above that of random '
                f'pairs ({self.unrelated:.3f}): this scorer cannot tell them apart on the calibration corpus'
            )

    @classmethod
    def fit(cls, unrelated: np.ndarray, translated: np.ndarray) -> 'Calibration':
        """From cosines of random and of translated pairs."""
        return cls(float(np.median(unrelated)), float(np.median(translated)))

    def __call__(self, cosine: np.ndarray) -> np.ndarray:
        """Cosines -> relevance, float32 of the same shape."""
        relevance = (cosine - self.unrelated) / (self.translated - self.unrelated)
        return np.clip(relevance, 0.0, 1.0).astype(np.float32)
