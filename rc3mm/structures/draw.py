"""Draw: what a sampler hands to a dataset."""

from typing import NamedTuple

__all__ = ['Draw']


class Draw(NamedTuple):
    """One draw of a training stream: which item, and the seed of everything random that happens to it.

    Every transform draws from a generator seeded by `seed`, so a sample depends on neither the number of workers and
    processes nor on what was drawn before it.

    Attributes:
        index: position in the dataset.
        seed: non-negative integers for `numpy.random.default_rng`, unique to this draw.
        step_seed: a seed shared by the whole global batch, for the model's own random choices; None outside training.
    """

    index: int
    seed: tuple[int, ...]
    step_seed: int | None = None
