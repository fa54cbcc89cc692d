"""Packing keeps real tokens and their places."""

import pytest
import torch

from rc3mm.models.layers import Layout

CPU = torch.device('cpu')


@pytest.mark.parametrize('lengths', [[3, 1, 2], [3, 3], [1], [0, 2]])
def test_packing_and_padding_are_inverse(lengths: list[int]) -> None:
    layout = Layout.of_lengths(lengths, 3, CPU)
    x = torch.randn(len(lengths), 3, 4)
    real = torch.arange(3) < torch.tensor(lengths)[:, None]
    packed = layout.pack(x)
    assert torch.equal(packed, x[real])
    assert torch.equal(layout.pad(packed), torch.where(real[..., None], x, 0.0))


def test_numbers_of_packed_tokens() -> None:
    layout = Layout.of_lengths([2, 1, 3], 3, CPU)
    places = torch.tensor([0, 1, 3, 8])
    x = torch.randn(3, 3, 4)
    assert torch.equal(layout.pack(x)[layout.packed_places(places)], x.flatten(0, 1)[places])


def test_rows_without_padding_are_not_copied() -> None:
    layout = Layout.of_lengths([3, 3], 3, CPU)
    x = torch.randn(2, 3, 4)
    assert layout.places_K is None and layout.pack(x).data_ptr() == x.data_ptr()


def test_gradients_reach_real_tokens_alone() -> None:
    layout = Layout.of_lengths([1, 3], 3, CPU)
    x = torch.randn(2, 3, 4, requires_grad=True)
    layout.pad(layout.pack(x) * 2).sum().backward()
    assert x.grad is not None and x.grad[0, 1:].abs().sum() == 0 and (x.grad[1] == 2).all()
