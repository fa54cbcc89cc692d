"""From the similarity of two texts to textual relevance in [0, 1]."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

__all__ = ['Calibration']


@dataclass(frozen=True)
class Calibration:
    """r = clip((similarity - c0) / (c1 - c0), 0, 1).

    Attributes:
        unrelated: c0, the median similarity of random pairs.
        translated: c1, the median similarity of translated pairs.

    Raises:
        ValueError: the scorer does not tell translations from random pairs (c1 <= c0).
    """

    unrelated: float
    translated: float

    def __post_init__(self) -> None:
        if not self.translated > self.unrelated:
            raise ValueError(
                f'the median similarity of translations ({self.translated:.3f}) is not above that of random '
                f'pairs ({self.unrelated:.3f}): this scorer cannot tell them apart on the calibration corpus'
            )

    @classmethod
    def fit(cls, unrelated: np.ndarray, translated: np.ndarray) -> 'Calibration':
        """From similarities of random and of translated pairs."""
        return cls(float(np.median(unrelated)), float(np.median(translated)))

    @classmethod
    def from_json(cls, values: Mapping[str, float]) -> 'Calibration':
        """From what `to_json` gave.

        Raises:
            ValueError: a value is missing, unknown or no number.
        """
        if set(values) != {'unrelated', 'translated'}:
            raise ValueError(f'a calibration has the keys unrelated and translated, not {sorted(values)}')
        try:
            return cls(**{key: float(value) for key, value in values.items()})
        except TypeError as error:
            raise ValueError(f'a calibration holds two numbers, not {dict(values)}') from error

    def to_json(self) -> dict[str, float]:
        """Its two numbers by name."""
        return asdict(self)

    def __call__(self, similarity: np.ndarray) -> np.ndarray:
        """Similarities -> relevance, float32 of the same shape."""
        relevance = (similarity - self.unrelated) / (self.translated - self.unrelated)
        return np.clip(relevance, 0.0, 1.0).astype(np.float32)
