"""Small draws that the tasks on scenes share."""

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from rc3mm.datasets.emoji.scene import GRID, Scene

AXES = ('horizontal', 'vertical')
T = TypeVar('T')


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """One of the options, each as likely as another."""
    return options[int(rng.integers(len(options)))]


def pick_other(concepts: range, taken: Collection[int], rng: np.random.Generator) -> int:
    """A concept that is not taken.

    Raises:
        ValueError: If all are taken.
    """
    left = [concept for concept in concepts if concept not in taken]
    if not left:
        raise ValueError(f'all {len(concepts)} concepts stand in one picture: such a task needs more concepts')
    return pick(left, rng)


def place_along(cell: int, level: str, axis: str) -> int:
    """Column of a cell for 'horizontal', row for 'vertical'; from left to right or from top to bottom."""
    row, column = divmod(cell, GRID[level])
    return column if axis == 'horizontal' else row


def ordered_pairs(scene: Scene, axis: str) -> list[tuple[int, int]]:
    """All pairs of concepts of which the first lies strictly further left (or further up) than the second."""
    places = [(place_along(item.cell, scene.level, axis), item.concept) for item in scene.objects]
    return [(first, second) for p, first in places for q, second in places if p < q]
