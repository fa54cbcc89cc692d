"""Choosing boxes, on boxes made by hand."""

import pytest
import torch

from rc3mm.models.detectors.selection import clip_boxes, has_area, number_to_keep, suppress


def test_only_boxes_of_one_class_suppress_each_other() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60]], dtype=torch.float32)
    scores = torch.tensor([0.5, 0.9, 0.4, 0.7])
    assert suppress(boxes, scores, torch.tensor([3, 3, 8, 3]), 0.5).tolist() == [1, 3, 2]
    assert suppress(boxes, scores, torch.tensor([3, 3, 8, 3]), 0.9).tolist() == [1, 3, 0, 2]


def test_many_classes_on_a_large_image_lose_no_precision() -> None:
    """An overlap of 0.511 is above 0.505, whatever the number of the class (float32 steps by 0.125 at 1599 * 1204)."""
    boxes = torch.tensor([[1200, 0, 1203, 1], [1200.97, 0, 1203.97, 1], [1200, 0, 1203, 1]])
    kept = suppress(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1599, 1599, 3]), 0.505)
    assert kept.tolist() == [0, 2]


def test_no_boxes_at_all() -> None:
    none = torch.zeros(0)
    assert suppress(torch.zeros(0, 4), none, none.long(), 0.5).shape == (0,)
    assert number_to_keep(none, 0.2, 10, 100) == 0


@pytest.mark.parametrize(
    'threshold, least, most, expected',
    [(0.0, 3, 3, 3), (0.5, 1, 4, 2), (0.5, 3, 4, 3), (0.0, 1, 2, 2), (0.99, 10, 100, 5), (0.99, 0, 9, 0)],
)
def test_number_of_regions(threshold, least, most, expected) -> None:
    assert number_to_keep(torch.tensor([0.9, 0.8, 0.4, 0.3, 0.1]), threshold, least, most) == expected


def test_clipping_and_area() -> None:
    boxes = torch.tensor([[-5.0, -5, 5, 5], [8, 2, 20, 4], [12, 0, 15, 4], [3, 3, 3, 9]])
    clipped = clip_boxes(boxes, torch.tensor([[10.0, 6]]).expand(4, 2))
    assert clipped.tolist() == [[0, 0, 5, 5], [8, 2, 10, 4], [10, 0, 10, 4], [3, 3, 3, 6]]
    assert has_area(clipped).tolist() == [True, True, False, False]
