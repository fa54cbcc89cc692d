"""Two processes with half the batch each give the losses and gradients of one process with the whole."""

from typing import Any

import pytest
import torch

from rc3mm.utils.dist import rank_and_world_size
from tests.distributed import run_on_processes
from tests.test_models.conftest import OBJECTIVES, emoji_batch, tiny_rc3

GLOBAL = 8


def part_of_batch(source: str) -> dict[str, Any]:
    """This process's part of the global batch, as the sampler deals it out."""
    rank, world_size = rank_and_world_size()
    rows = GLOBAL // world_size
    batch = emoji_batch(source, rows)
    if source == 'weak':
        relevance = torch.rand(GLOBAL, generator=torch.Generator().manual_seed(0))
        batch['inputs']['relevance'] = relevance[rank * rows : (rank + 1) * rows]
    return batch


def losses_and_gradients(source: str, local_loss: bool) -> dict[str, Any]:
    """Loss values, gradients after the data-parallel average, and buffers."""
    objectives = {name: dict(config) for name, config in OBJECTIVES.items()}
    for name in ('itc', 'xvtcl', 'rxvtcl'):
        objectives[name]['local_loss'] = local_loss
    model = tiny_rc3(objectives, form_probs=dict(split=1.0), negatives_within=4)
    means = model.objectives['rxvtcl'].means
    if source == 'weak':  # the band needs its means
        means.update(torch.tensor(0.9), torch.tensor(0.1))
    wrapped = model
    if rank_and_world_size()[1] > 1:
        wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    losses = wrapped(**model.data_preprocessor(part_of_batch(source), True), mode='loss')
    named = {name: value for name, value in losses.items() if name.startswith('loss_')}
    torch.stack(list(named.values())).sum().backward()
    return {
        'losses': {name: value.detach() for name, value in named.items()},
        'gradients': {n: p.grad for n, p in model.named_parameters() if p.grad is not None},
        'means': [means.s_pos, means.s_neg],
    }


CASES = [(source, local_loss) for source in ('strict', 'weak', 'parallel') for local_loss in (True, False)]


def all_cases() -> dict[str, dict[str, Any]]:
    """Every case, in one start of the processes."""
    return {str(case): losses_and_gradients(*case) for case in CASES}


@pytest.fixture(scope='module')
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    return run_on_processes(all_cases, (), tmp_path_factory.mktemp('halves'))


@pytest.mark.parametrize('case', CASES, ids=str)
def test_two_halves_equal_the_whole(case: tuple[str, bool], halves: list[dict[str, dict[str, Any]]]) -> None:
    whole, parts = losses_and_gradients(*case), [half[str(case)] for half in halves]
    for name, value in whole['losses'].items():
        mean = torch.stack([part['losses'][name] for part in parts]).mean()
        assert torch.allclose(mean, value, atol=1e-5, rtol=1e-5), name
    for part in parts:  # the average is on every process, parameters without part included
        for name, gradient in whole['gradients'].items():
            assert torch.allclose(part['gradients'][name], gradient, atol=1e-5, rtol=1e-4), name
        for own, other in zip(part['means'], whole['means'], strict=True):
            assert torch.allclose(own, other, atol=1e-6)
