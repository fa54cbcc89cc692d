"""Which boxes of a detector become regions: the two protocols of bottom-up attention (Anderson et al. 2018)."""

import torch
from torch import Tensor

__all__ = ['clip_boxes', 'has_area', 'number_to_keep', 'suppress']


def clip_boxes(boxes_N4: Tensor, limits_N2: Tensor) -> Tensor:
    """Boxes cut at the border of their images.

    Args:
        boxes_N4: x1, y1, x2, y2.
        limits_N2: width and height of the image that each box lies in.
    """
    return torch.minimum(boxes_N4.clamp(min=0), limits_N2.repeat(1, 2))


def has_area(boxes_N4: Tensor) -> Tensor:
    """Boolean, shape (N,): whether a box has a width and a height."""
    return (boxes_N4[:, 2:] > boxes_N4[:, :2]).all(1)


def suppress(boxes_N4: Tensor, scores_N: Tensor, labels_N: Tensor, iou: float) -> Tensor:
    """Non-maximum suppression among the boxes of the same class.

    Args:
        boxes_N4: x1, y1, x2, y2, not negative.
        scores_N: confidence.
        labels_N: class.
        iou: of two boxes of a class that overlap by more than this, the lower one goes.

    Returns:
        The indices of the boxes that stay, best first.
    """
    from mmcv.ops import batched_nms

    if not len(boxes_N4):
        return labels_N.new_zeros(0)
    # mmcv shifts each class to a place of its own, in float32: the fewer the places, the more exact the boxes.
    places_N = labels_N.unique(return_inverse=True)[1]
    return batched_nms(boxes_N4, scores_N, places_N, {'type': 'nms', 'iou_threshold': iou})[1]


def number_to_keep(scores_N: Tensor, score_thr: float, least: int, most: int) -> int:
    """How many of the best boxes are kept: those above the threshold, but not fewer than `least` (if there are as
    many at all) and not more than `most`.

    Args:
        scores_N: descending.
    """
    above = int((scores_N > score_thr).sum())
    return min(max(above, least), most, len(scores_N))
