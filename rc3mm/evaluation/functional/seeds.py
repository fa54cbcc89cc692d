"""Metrics of the same experiment under several seeds, as few-shot tables report them."""

import math
import statistics
from collections.abc import Mapping, Sequence

__all__ = ['over_seeds']


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean and sample standard deviation (divisor n - 1) of each metric over n runs.

    One run has no spread: its standard deviation is NaN, not 0.

    Args:
        runs: One dict of metrics a seed; all have the same names.

    Returns:
        (mean, standard deviation) by name, in the order of the first run.

    Raises:
        ValueError: There is no run, or a run lacks a metric that another one has.
    """
    if not runs:
        raise ValueError('no runs to summarise')
    every = {name for run in runs for name in run}
    for number, run in enumerate(runs):
        if missing := sorted(every - run.keys()):
            raise ValueError(f'run {number} of {len(runs)} lacks {missing}: evaluate all seeds alike')
    columns = {name: [float(run[name]) for run in runs] for name in runs[0]}
    return {name: (statistics.fmean(values), _deviation(values)) for name, values in columns.items()}


def _deviation(values: list[float]) -> float:
    # statistics.stdev sums exactly, but cannot do so with a metric that is infinite or NaN.
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values)
