"""Does the proximity of two visio-textual representations follow the relevance of their texts?"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

__all__ = ['mean_by_level', 'spearman']


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation in [-1, 1]; 0 where one of the two does not vary, or there are fewer than two items.

    Raises:
        ValueError: the two differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f'{len(first)} and {len(second)} items cannot be correlated')
    if len(set(first)) < 2 or len(set(second)) < 2:
        return 0.0
    return float(spearmanr(first, second).statistic)


def mean_by_level(values: Sequence[float], levels: Sequence[float], decimals: int = 2) -> dict[float, float]:
    """Mean of the values at each level, by ascending level.

    Args:
        values: one number an item.
        levels: the level of each item, rounded to `decimals`.
        decimals: see above.
    """
    rounded = np.round(np.asarray(levels, np.float64), decimals)
    numbers = np.asarray(values, np.float64)
    return {float(level): float(numbers[rounded == level].mean()) for level in np.unique(rounded)}
