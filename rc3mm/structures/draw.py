"""Draw: what a sampler hands to a dataset."""

from typing import NamedTuple

__all__ = ['Draw']


class Draw(NamedTuple):
    """One draw of a training stream: which item, and the seeds of everything random that happens to it.

    Every transform draws from a generator seeded by `seed`, so a sample depends on neither the number of
    workers and processes nor on what was drawn before it.

    Attributes:
        index: position in the dataset.
        seed: non-negative integers for `numpy.random.default_rng`, unique to this draw.
        source: which of several mixed datasets the index belongs to.
        iteration: the training iteration; None outside training.
        step_seed: shared by the whole global batch, for the model's own random choices.
    """

    index: int  # type: ignore[assignment]  # a tuple's method of this name is never needed
    seed: tuple[int, ...]
    source: int = 0
    iteration: int | None = None
    step_seed: int = 0
