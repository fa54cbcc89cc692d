"""A sparse lookup learns what a dense one learns."""

import pytest
import torch
from torch import nn

from rc3mm.models.layers.lookup import SparseLookup, make_dense


@pytest.mark.parametrize('tied', [True, False])
@pytest.mark.parametrize('padding_idx', [None, 1])
def test_gradients_are_those_of_an_embedding(tied: bool, padding_idx: int | None) -> None:
    torch.manual_seed(0)
    reference = nn.Embedding(20, 5, padding_idx=padding_idx)
    table = nn.Parameter(reference.weight.detach().clone())
    table.register_post_accumulate_grad_hook(make_dense)
    ids = torch.tensor([[3, 4, 3, 1], [0, 19, 1, 1]])
    weights, hidden = torch.randn(2, 4, 5), torch.randn(7, 5)
    results = []
    for words, weight in ((SparseLookup.apply(ids, table, padding_idx), table), (reference(ids), reference.weight)):
        loss = (words * weights).sum()
        if tied:
            loss = loss + (hidden @ weight.T).square().sum()
        loss.backward()
        results.append((words, weight.grad))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=0)
    assert not results[0][1].is_sparse
    torch.testing.assert_close(results[0][1], results[1][1])


def test_gradients_of_several_steps_add_up() -> None:
    table = nn.Parameter(torch.zeros(6, 2))
    table.register_post_accumulate_grad_hook(make_dense)
    for _ in range(2):
        SparseLookup.apply(torch.tensor([2, 2, 5]), table, None).sum().backward()
    assert table.grad.tolist() == [[0, 0], [0, 0], [4, 4], [0, 0], [0, 0], [2, 2]]
