"""Random numbers by hashing: a function of the seed alone, and as even and independent as they should be."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.datasets.counter_random import mix, mix_array, uniforms


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**70), st.integers(0, 9)), max_size=8), st.integers(1, 5))
def test_a_row_depends_on_its_seed_alone(seeds: list[tuple[int, int]], count: int) -> None:
    together = uniforms(seeds, count)
    assert together.shape == (len(seeds), count) and ((together >= 0) & (together < 1)).all()
    for row, seed in zip(together, seeds, strict=True):
        assert row.tolist() == uniforms([seed], count)[0].tolist() == uniforms([seed], count + 3)[0, :count].tolist()


def test_numpy_integers_are_integers() -> None:
    seeds = [(3, 2**40, 5), (0, 1, 2)]
    assert (uniforms([tuple(map(np.int64, seed)) for seed in seeds], 2) == uniforms(seeds, 2)).all()


def test_even_and_independent() -> None:
    numbers = uniforms([(0, 3, 1, position) for position in range(50_000)], 4)
    shares = np.stack([np.histogram(column, 20, (0, 1))[0] for column in numbers.T]) / 50_000
    assert abs(shares - 0.05).max() < 0.006
    assert abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.02
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.02


def test_both_mixers_agree() -> None:
    values = [0, 1, 2**63, 2**64 - 1, 123456789]
    assert mix_array(np.array(values, np.uint64)).tolist() == [mix(value) for value in values]
