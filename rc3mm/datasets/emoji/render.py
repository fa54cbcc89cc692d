"""Draw scenes with NumPy."""

from functools import lru_cache

import numpy as np

from rc3mm.datasets.emoji.artefact import Sprite, scaled_sprite
from rc3mm.datasets.emoji.scene import Background, Distractor, Scene


def render(scene: Scene) -> np.ndarray:
    """Draw a scene.

    Args:
        scene: The scene.

    Returns:
        uint8 RGB (H, W, 3), a new array.
    """
    canvas = draw_background(scene.background, scene.image_size)
    for distractor in scene.distractors:
        _draw_distractor(canvas, distractor)
    for item in scene.objects:
        paste(canvas, scaled_sprite(item.style, item.concept, item.size), item.corner)
    return canvas


def paste(canvas: np.ndarray, sprite: Sprite, corner: tuple[int, int]) -> None:
    """Lay a sprite over a canvas, in place.

    Args:
        canvas: uint8 RGB (H, W, 3).
        sprite: The sprite.
        corner: (x, y) of its top left corner in pixels; what lies outside the canvas is cut off.
    """
    x, y = corner
    size = sprite.keep.shape[0]
    height, width = canvas.shape[:2]
    if x >= 0 and y >= 0 and x + size <= width and y + size <= height:
        region = canvas[y : y + size, x : x + size]
        region[:] = (region * sprite.keep >> 8) + sprite.premultiplied
        return
    left, top = max(-x, 0), max(-y, 0)
    right, bottom = min(size, width - x), min(size, height - y)
    if left < right and top < bottom:
        region = canvas[y + top : y + bottom, x + left : x + right]
        region[:] = (region * sprite.keep[top:bottom, left:right] >> 8) + sprite.premultiplied[top:bottom, left:right]


def draw_background(background: Background, side: int) -> np.ndarray:
    """Draw a background.

    Args:
        background: The background.
        side: Side of the canvas in pixels.

    Returns:
        uint8 RGB (side, side, 3), a new array.
    """
    first, second = background.colours
    canvas = np.empty((side, side, 3), np.uint8)
    if background.kind == 'plain':
        canvas[:] = first
        return canvas
    weight = _weights(background, side)[..., None]
    low = np.asarray(first, np.float32)
    canvas[:] = low + weight * (np.asarray(second, np.float32) - low)
    return canvas


def _weights(background: Background, side: int) -> np.ndarray:
    """Share of the second colour in each pixel: float32 (side, side) in [0, 1]."""
    if background.kind == 'noise':
        rng = np.random.default_rng(background.seed)
        return rng.random((side, side), dtype=np.float32)
    xs, ys = _grid(side)
    period = background.period
    if background.kind == 'checks':
        return ((xs // period + ys // period) % 2).astype(np.float32)
    along = xs * np.float32(np.cos(background.angle)) + ys * np.float32(np.sin(background.angle))
    if background.kind == 'stripes':
        return (along // period % 2).astype(np.float32)
    return (along - along.min()) / (along.max() - along.min())


@lru_cache(maxsize=8)
def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates: float32 (1, side) and (side, 1)."""
    steps = np.arange(side, dtype=np.float32)
    return steps[None, :], steps[:, None]


def _draw_distractor(canvas: np.ndarray, distractor: Distractor) -> None:
    """Draw one distractor, in place."""
    if distractor.kind == 'emoji':
        sprite = scaled_sprite(distractor.style, distractor.concept, distractor.size, grey=True)
    else:
        sprite = _shape(distractor.kind, distractor.size, distractor.colour)
    paste(canvas, sprite, distractor.corner)


def _shape(kind: str, size: int, colour: tuple[int, int, int]) -> Sprite:
    """A disc or square at 60 % opacity."""
    mask = np.ones((size, size, 1), np.float32)
    if kind == 'disc':
        steps = np.arange(size, dtype=np.float32) - (size - 1) / 2
        distance = np.hypot(steps[:, None], steps[None, :])
        mask = (size / 2 - distance + 0.5).clip(0, 1)[..., None]
    keep = np.rint(256 * (1 - 0.6 * mask)).astype(np.uint16)
    premultiplied = (np.asarray(colour, np.float32) * 0.6 * mask).astype(np.uint8)
    return Sprite(premultiplied, keep, (0, 0, size, size))
