"""Metrics of several tests of one model as papers report them: means over folds, or over sets of one language."""

import statistics
from collections.abc import Mapping, Sequence

__all__ = ['mean_over_parts']


def mean_over_parts(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each metric that all parts share, in the order of the first; counts (`num_...`) have none.

    Every part weighs the same. The mean of a metric's own mean over languages is one over languages only if the parts
    have the same languages or one each.
    """
    first, *others = parts
    shared = [name for name in first if all(name in part for part in others)]
    return {
        name: statistics.fmean(part[name] for part in parts)
        for name in shared
        if not name.rpartition('/')[2].startswith('num_')
    }
