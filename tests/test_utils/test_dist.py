"""Two real processes compute what one computes on the whole; one process alone is the identity."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from rc3mm.utils.dist import all_reduce_sum, gather, rank_and_world_size
from tests.distributed import run_on_processes

WORLD_SIZE, ROWS, WIDTH = 2, 3, 4


def whole() -> tuple[Tensor, Tensor]:
    """Rows of all ranks and the weights of a loss on their Gram matrix, one matrix a rank."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(WORLD_SIZE * ROWS, WIDTH, generator=generator, dtype=torch.float64)
    weights = torch.randn(WORLD_SIZE, len(x), len(x), generator=generator, dtype=torch.float64)
    return x, weights


def rank_loss(x: Tensor, weights: Tensor) -> Tensor:
    """Different on every rank and not linear, so that a gradient that is not summed over ranks shows."""
    return (weights * (x @ x.T).sin()).sum()


def on_a_rank() -> dict[str, Tensor]:
    rank, world_size = rank_and_world_size()
    x, weights = whole()
    mine = x[rank * ROWS : (rank + 1) * ROWS].clone().requires_grad_()
    out = {'rank': torch.tensor([rank, world_size])}
    gathered = gather(mine)
    out['gathered'] = gathered.detach()
    rank_loss(gathered, weights[rank]).backward()
    assert mine.grad is not None
    out['grad'] = mine.grad.clone()
    transposed = gather(mine.detach().T.contiguous().T)  # not contiguous in memory
    assert torch.equal(transposed, out['gathered'])
    detached = gather(mine, with_gradient=False)
    assert not detached.requires_grad and torch.equal(detached, out['gathered'])
    out['ids'] = gather(torch.arange(ROWS) + 10 * rank)
    before = mine.detach().clone()
    out['sum'] = all_reduce_sum(mine)
    assert not out['sum'].requires_grad and torch.equal(mine, before)
    return out


def test_two_processes_equal_the_whole(tmp_path: Path) -> None:
    x, weights = whole()
    x.requires_grad_()
    torch.stack([rank_loss(x, weights[rank]) for rank in range(WORLD_SIZE)]).sum().backward()
    assert x.grad is not None
    results = run_on_processes(on_a_rank, (), tmp_path, WORLD_SIZE)
    for rank, result in enumerate(results):
        assert result['rank'].tolist() == [rank, WORLD_SIZE]
        assert torch.equal(result['gathered'], x)
        torch.testing.assert_close(result['grad'], x.grad[rank * ROWS : (rank + 1) * ROWS], rtol=1e-12, atol=1e-12)
        assert result['ids'].tolist() == [0, 1, 2, 10, 11, 12]
        torch.testing.assert_close(result['sum'], (x[:ROWS] + x[ROWS:]).detach(), rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize('with_gradient', [True, False])
def test_a_world_of_one_is_the_identity(with_gradient: bool) -> None:
    assert rank_and_world_size() == (0, 1)
    x = torch.randn(3, 2, requires_grad=True)
    assert gather(x, with_gradient) is x
    total = all_reduce_sum(x)
    assert torch.equal(total, x) and not total.requires_grad and total.data_ptr() != x.data_ptr()
