"""The state of the global random generators goes out and comes back unchanged, through a file too."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from rc3mm.utils.checkpoint import read_checkpoint, write_checkpoint
from rc3mm.utils.rng import get_rng_state, preserved_rng, set_rng_state


def draw() -> list[float]:
    """Odd numbers of normal variates, so that the spare one that generators cache counts too."""
    gauss = [random.gauss(0, 1), float(np.random.standard_normal()), float(torch.randn(3).sum())]
    return [*gauss, random.random(), float(np.random.random()), float(torch.rand(()))]


@pytest.fixture(autouse=True)
def leave_the_generators_alone():
    with preserved_rng():
        yield


@pytest.mark.parametrize('through_a_file', [False, True])
def test_round_trip(tmp_path: Path, through_a_file: bool) -> None:
    draw()
    state = get_rng_state()
    expected = [draw() for _ in range(3)]
    if through_a_file:
        write_checkpoint({'state_dict': {}, 'rng': [state]}, tmp_path / 'a.pth')
        state = read_checkpoint(tmp_path / 'a.pth')['rng'][0]
    for other in (1, 2):  # a state can be restored more than once
        random.seed(other)
        np.random.seed(other)
        torch.manual_seed(other)
        assert draw() != expected[0]
        set_rng_state(state)
        assert [draw() for _ in range(3)] == expected


@pytest.mark.parametrize('fails', [False, True])
def test_preserved_whatever_happens(fails: bool) -> None:
    draw()
    state = get_rng_state()
    expected = draw()
    set_rng_state(state)
    try:
        with preserved_rng() as yielded:
            assert yielded['python'] == state['python']
            inside = draw()
            random.seed(0)
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert inside == expected
    assert draw() == expected
