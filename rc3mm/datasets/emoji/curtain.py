"""A curtain over one cell of a scene: nobody can tell what lies behind it."""

from dataclasses import replace

import numpy as np

from rc3mm.datasets.emoji.artefact import scaled_sprite
from rc3mm.datasets.emoji.choices import pick
from rc3mm.datasets.emoji.render import paste, render
from rc3mm.datasets.emoji.scene import GRID, Scene

_FOLDS = 5  # of one curtain
_DARK, _LIGHT = 70, 130  # grey values; darker than any background, so that a curtain is told from one


def draw_covered_cell(scene: Scene, rng: np.random.Generator) -> int:
    """A cell for the curtain, one without an object: all that the scene holds stays in sight.

    Raises:
        ValueError: If every cell holds an object.
    """
    taken = {item.cell for item in scene.objects}
    free = [cell for cell in range(GRID[scene.level] ** 2) if cell not in taken]
    if not free:
        raise ValueError(f'a scene of {len(taken)} objects has no free cell for a curtain: name smaller sizes')
    return pick(free, rng)


def render_covered(scene: Scene, cell: int) -> np.ndarray:
    """Draw a scene with a curtain in front of the background and behind the objects of other cells.

    Args:
        scene: The scene.
        cell: The covered cell, row by row.

    Returns:
        uint8 RGB (H, W, 3), a new array.
    """
    canvas = render(replace(scene, objects=()))
    grid, side = GRID[scene.level], scene.image_size
    row, column = divmod(cell, grid)
    (top, bottom), (left, right) = ((i * side // grid, (i + 1) * side // grid) for i in (row, column))
    phase = (np.arange(right - left) + 0.5) / (right - left) * _FOLDS
    canvas[top:bottom, left:right] = (_DARK + (_LIGHT - _DARK) * (phase % 1)).astype(np.uint8)[None, :, None]
    for item in scene.objects:
        paste(canvas, scaled_sprite(item.style, item.concept, item.size), item.corner)
    return canvas
