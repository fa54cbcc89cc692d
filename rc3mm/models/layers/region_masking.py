"""Which regions are masked, and which must be hidden with them so that the answer does not leak."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ['box_iou', 'draw_masked_regions']


def box_iou(boxes: Tensor) -> Tensor:
    """Intersection over union of all pairs of boxes of an image.

    Args:
        boxes: shape (..., R, 4); x1, y1, x2, y2 in any unit.

    Returns:
        Shape (..., R, R); 0 between boxes without area.
    """
    low = torch.maximum(boxes[..., :, None, :2], boxes[..., None, :, :2])
    high = torch.minimum(boxes[..., :, None, 2:], boxes[..., None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    union = area[..., :, None] + area[..., None, :] - overlap
    return torch.where(union > 0, overlap / union.clamp(min=torch.finfo(union.dtype).tiny), 0.0)


def draw_masked_regions(
    boxes_BR4: Tensor, real_BR: Tensor, probability: float, leak_iou: float, seeds: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Draw the regions to predict, at least one of each image that has any.

    Args:
        boxes_BR4: boxes.
        real_BR: boolean, True at real regions.
        probability: share of the regions that are drawn.
        leak_iou: a region that overlaps a drawn one by more than this is hidden with it.
        seeds: one an image; nothing else decides, so padding and the split over processes change nothing.

    Returns:
        Two booleans of shape (B, R): the regions to predict, and those that must not be seen (the former among
        them).
    """
    if real_BR.shape[1] == 0:
        return real_BR, real_BR
    noise = torch.full(real_BR.shape, 2.0)
    for row, (seed, count) in enumerate(zip(seeds, real_BR.sum(1).tolist(), strict=True)):
        # real regions come first in every row
        noise[row, :count] = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    noise = noise.to(boxes_BR4.device)
    chosen = (noise < probability) | (noise == noise.amin(1, keepdim=True))
    chosen &= real_BR
    hidden = chosen | ((box_iou(boxes_BR4) > leak_iou) & chosen[:, None, :]).any(2)
    return chosen, hidden & real_BR
