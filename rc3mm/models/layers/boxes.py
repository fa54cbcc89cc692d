"""Geometry of region boxes."""

import torch
from torch import Tensor

__all__ = ['box_geometry']


def box_geometry(boxes: Tensor) -> Tensor:
    """The seven numbers that describe a region: x1, y1, x2, y2, w, h, w * h (UC2, UNITER).

    Args:
        boxes: shape (..., 4); x1, y1, x2, y2 as shares of the image's width and height, in [0, 1].

    Returns:
        Shape (..., 7).
    """
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([boxes, size, size.prod(-1, keepdim=True)], dim=-1)
