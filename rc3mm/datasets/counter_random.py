"""Random numbers as a function of integers, for many at once.

A generator of NumPy costs some twenty microseconds to seed; where each of thousands of draws has a seed of its own and
needs a few numbers, hashing the seeds does as well.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ['GOLDEN', 'MASK', 'mix', 'mix_array', 'uniforms']

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
_MUL_1 = 0xBF58476D1CE4E5B9
_MUL_2 = 0x94D049BB133111EB


def mix(value: int) -> int:
    """SplitMix64's finaliser: 64 well-mixed bits of an integer."""
    value = (value ^ (value >> 30)) * _MUL_1 & MASK
    value = (value ^ (value >> 27)) * _MUL_2 & MASK
    return value ^ (value >> 31)


def mix_array(value: np.ndarray) -> np.ndarray:
    """:func:`mix` for a uint64 array; wraps around as that does."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_MUL_1)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_MUL_2)
    return value ^ (value >> np.uint64(31))


def uniforms(seeds: Sequence[tuple[int, ...]], count: int) -> np.ndarray:
    """Uniform numbers in [0, 1), a row a seed; a row depends on its seed alone.

    Args:
        seeds: non-negative integers, all tuples of the same length; of each integer the lower 64 bits count.
        count: numbers a seed.

    Returns:
        float64 array, shape (len(seeds), count).
    """
    if not len(seeds):
        return np.zeros((0, count))
    parts_NK = np.array([[int(part) & MASK for part in seed] for seed in seeds], np.uint64).reshape(len(seeds), -1)
    state_N = np.zeros(len(seeds), np.uint64)
    for part_N in parts_NK.T:
        state_N = mix_array((state_N ^ part_N) + np.uint64(GOLDEN))
    steps_C = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    bits_NC = mix_array(state_N[:, None] + steps_C)
    return (bits_NC >> np.uint64(11)).astype(np.float64) * 2.0**-53
