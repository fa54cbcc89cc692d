"""Laws of masking regions: something is asked, and nothing that is seen gives the answer away."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.models.layers import box_iou, draw_masked_regions


def make_boxes(seed: int, B: int, R: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random boxes, of which each image has between 0 and R real ones, the rest padding."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(B, R, 2, 2, generator=generator).sort(dim=2).values
    counts = torch.randint(0, R + 1, (B,), generator=generator)
    real = torch.arange(R) < counts[:, None]
    return corners.flatten(2) * real[..., None], real


def test_iou_of_known_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]])
    assert torch.allclose(box_iou(boxes)[0], torch.tensor([1.0, 1 / 3, 0, 0]))
    assert torch.equal(box_iou(boxes)[3], torch.zeros(4))  # no area: not even with itself
    assert torch.equal(box_iou(boxes), box_iou(boxes).T)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 12), st.floats(0.01, 0.9), st.floats(0.05, 0.9))
def test_laws(seed: int, B: int, R: int, probability: float, leak_iou: float) -> None:
    boxes, real = make_boxes(seed, B, R)
    seeds = [seed + row for row in range(B)]
    chosen, hidden = draw_masked_regions(boxes, real, probability, leak_iou, seeds)
    assert not (chosen & ~hidden).any() and not (hidden & ~real).any()
    assert torch.equal(chosen.any(1), real.any(1))
    seen = real & ~hidden
    assert not ((box_iou(boxes) > leak_iou) & chosen[:, :, None] & seen[:, None, :]).any()
    # what is hidden is either asked for or overlaps something that is
    assert (hidden == chosen | ((box_iou(boxes) > leak_iou) & chosen[:, None, :]).any(2) & real).all()
    # neither padding nor the other images of the batch matter
    padded = torch.cat([boxes, torch.zeros(B, 3, 4)], 1), torch.cat([real, torch.zeros(B, 3, dtype=torch.bool)], 1)
    again = draw_masked_regions(*padded, probability, leak_iou, seeds)
    assert torch.equal(again[0][:, :R], chosen) and torch.equal(again[1][:, :R], hidden)
    alone = draw_masked_regions(boxes[-1:], real[-1:], probability, leak_iou, seeds[-1:])
    assert torch.equal(alone[0], chosen[-1:]) and torch.equal(alone[1], hidden[-1:])


def test_share_of_masked_regions() -> None:
    boxes, real = torch.zeros(400, 36, 4), torch.ones(400, 36, dtype=torch.bool)
    chosen, _ = draw_masked_regions(boxes, real, 0.15, 0.5, range(400))
    assert abs(float(chosen.float().mean()) - 0.15) < 0.01
