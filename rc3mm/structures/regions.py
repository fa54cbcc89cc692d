"""Regions: what a detector says of one image."""

from dataclasses import dataclass

import numpy as np

__all__ = ['Regions', 'RegionsError']


class RegionsError(ValueError):
    """Regions that cannot be used; the message says of which image and what is wrong."""


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of one image, best first; R may be 0.

    Attributes:
        features: (R, F), floating point.
        boxes: (R, 4), float32; x1, y1, x2, y2 in pixels of the image.
        image_size: height and width of the image that the boxes refer to, in pixels.
        scores: (R,), floating point, the confidence of the best class; None if unknown.
        class_probs: (R, C + 1), floating point, over C classes and, last, the background; None if unknown.
        attribute_probs: (R, A), floating point, None where the detector has no attribute head.
    """

    features: np.ndarray
    boxes: np.ndarray
    image_size: tuple[int, int]
    scores: np.ndarray | None = None
    class_probs: np.ndarray | None = None
    attribute_probs: np.ndarray | None = None

    def __len__(self) -> int:
        """R."""
        return len(self.boxes)

    def check(self, name: str) -> 'Regions':
        """Itself, if all is well.

        Args:
            name: of the image and the file that it comes from, for the message.

        Raises:
            RegionsError: shapes that do not agree, numbers that are not finite, a box without area.
        """
        features, boxes = self.features, self.boxes
        count = len(boxes)
        if features.ndim != 2 or boxes.shape != (count, 4) or len(features) != count:
            raise RegionsError(
                f'{name}: expected features (R, F) and boxes (R, 4), got {features.shape} and {boxes.shape}'
            )
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise RegionsError(f'{name}: image_size must be two positive numbers, got {self.image_size}')
        for part in ('features', 'boxes', 'scores', 'class_probs', 'attribute_probs'):
            values = getattr(self, part)
            if values is None:
                continue
            if len(values) != count:
                raise RegionsError(f'{name}: {part} has {len(values)} rows for {count} boxes')
            if not np.isfinite(values).all():
                raise RegionsError(f'{name}: {part} holds numbers that are not finite; extract them anew')
        if count and not (boxes[:, 2:] > boxes[:, :2]).all():
            row = int(np.flatnonzero(~(boxes[:, 2:] > boxes[:, :2]).all(1))[0])
            raise RegionsError(f'{name}: box {row}, {boxes[row].tolist()}, has no area (x1, y1, x2, y2 expected)')
        return self
