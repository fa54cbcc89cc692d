"""Regions of one image as tensors, before they leave the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rc3mm.structures.regions import Regions

__all__ = ['RegionTensors']


@dataclass(frozen=True, slots=True)
class RegionTensors:
    """The regions of one image on the detector's device, best first; R may be 0.

    Attributes:
        features: (R, F).
        boxes: (R, 4), float32; x1, y1, x2, y2 in pixels of the original image.
        scores: (R,), float32, descending; what the detector gave to the best class when it chose the region.
        labels: (R,), int64, that class.
        class_probs: (R, C + 1), float32, seen at the final box; the background is last.
        attribute_probs: (R, A), float32, or None without an attribute head.
        image_size: height and width of the original image in pixels.
    """

    features: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    class_probs: Tensor
    attribute_probs: Tensor | None
    image_size: tuple[int, int]

    def __len__(self) -> int:
        """R."""
        return len(self.boxes)

    def numpy(self, dtype: type[np.floating] = np.float16) -> Regions:
        """The same in main memory.

        Args:
            dtype: of features, class and attribute probabilities; boxes and scores stay float32.

        Raises:
            ValueError: the features are too large for `dtype`.
        """
        features = _to_numpy(self.features, dtype)
        if not np.isfinite(features).all() and bool(torch.isfinite(self.features).all()):
            raise ValueError(
                f'features of up to {float(self.features.abs().max()):.6g} do not fit into {np.dtype(dtype).name}; '
                'keep them as float32'
            )
        attributes = self.attribute_probs
        return Regions(
            features=features,
            boxes=_to_numpy(self.boxes, np.float32),
            image_size=self.image_size,
            scores=_to_numpy(self.scores, np.float32),
            class_probs=_to_numpy(self.class_probs, dtype),
            attribute_probs=None if attributes is None else _to_numpy(attributes, dtype),
        )


def _to_numpy(values: Tensor, dtype: type[np.floating]) -> np.ndarray:
    with np.errstate(over='ignore'):  # told by the caller, in words
        return values.detach().float().cpu().numpy().astype(dtype)
