"""Images with all of their texts, each in its own script, and how much the texts have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rc3mm.visualization.fonts import LATIN_FAMILY, font_families, missing_glyphs, warn_missing_glyphs
from rc3mm.visualization.wrapping import display_width, wrap_text

__all__ = ['CaptionedImage', 'draw_captions']

_INK, _MUTED, _RULE = '#1f2430', '#6b7280', '#dfe3ea'
# Lengths are inches.
_MARGIN, _TILE, _GAP, _LINE, _WIDTH = 0.3, 1.5, 0.25, 0.19, 10.0
_SIZE, _LETTER = 9.0, 0.56 / 72  # font size in points; width of an average letter a point
_MOST_LINES = 3  # of one text


@dataclass(frozen=True)
class CaptionedImage:
    """One image, or none, with its texts.

    Attributes:
        name: above the texts.
        texts: (language, text) pairs.
        image: uint8 RGB, shape (H, W, 3); None where there is none to show.
        note: below the texts, such as the relevance of the pairs.
    """

    name: str
    texts: Sequence[tuple[str, str]]
    image: np.ndarray | None = None
    note: str = ''


def draw_captions(items: Sequence[CaptionedImage], path: str | Path, title: str = '', dpi: int = 140) -> None:
    """Draw images with their texts, one below the other, and save the picture.

    Args:
        items: what to show.
        path: where to save; parent folders are made.
        title: above everything.
        dpi: pixels an inch.

    Raises:
        ValueError: there are no items.
    """
    if not items:
        raise ValueError('no rows to draw')
    for language in sorted({language for item in items for language, _ in item.texts}):
        texts = [text for item in items for own, text in item.texts if own == language]
        warn_missing_glyphs(texts, font_families(language))
    left = _MARGIN + _TILE + _GAP
    room = (_WIDTH - left - _MARGIN) / (_SIZE * _LETTER)
    blocks = [_lines(item, room) for item in items]
    tiles = [0.0 if item.image is None else _TILE for item in items]
    heights = [max(tile, len(block) * _LINE) + _GAP for tile, block in zip(tiles, blocks, strict=True)]
    head = 0.6 if title else 0.2
    total = head + sum(heights) + 0.1
    figure = Figure(figsize=(_WIDTH, total), facecolor='white')
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if title:
        _write(axes, _MARGIN, 0.32, title, 12, _INK, None, 'bold')
    y = head
    for item, block, height in zip(items, blocks, heights, strict=True):
        if item.image is not None:
            _draw_image(axes, item.image, y)
        for number, (script, line, color) in enumerate(block):
            _write(axes, left, y + (number + 0.5) * _LINE, line, _SIZE, color, script)
        y += height
        axes.plot((_MARGIN, _WIDTH - _MARGIN), (y - _GAP / 2, y - _GAP / 2), color=_RULE, linewidth=0.7)
    axes.set(xlim=(0, _WIDTH), ylim=(total, 0), aspect='auto')  # last, because drawing images changes the limits
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)


def _lines(item: CaptionedImage, room: float) -> list[tuple[str | None, str, str]]:
    """(language, line, colour) of all that stands beside the image."""
    lines: list[tuple[str | None, str, str]] = [(None, wrap_text(item.name, room, 1)[0], _MUTED)]
    for language, text in item.texts:
        mark = f'{language}  '
        wrapped = wrap_text(text, room - display_width(mark), _MOST_LINES)
        lines += [(language, (mark if not n else ' ' * 6) + line, _INK) for n, line in enumerate(wrapped)]
    if item.note:
        lines += [(None, line, _MUTED) for line in wrap_text(item.note, room, _MOST_LINES)]
    return lines


def _draw_image(axes: Axes, image: np.ndarray, y: float) -> None:
    """Inside of a square, whole and unstretched."""
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    x, top = _MARGIN + (_TILE - width * scale) / 2, y
    extent = (x, x + width * scale, top + height * scale, top)
    axes.imshow(image, extent=extent, aspect='auto', interpolation='antialiased')


def _write(
    axes: Axes, x: float, y: float, text: str, size: float, color: str, language: str | None, weight: str = 'normal'
) -> None:
    latin = not missing_glyphs(text, [LATIN_FAMILY])  # fallback fonts rarely have a bold face
    axes.text(
        x, y, text, fontsize=size, color=color, va='center_baseline', weight=weight if latin else 'normal',
        fontfamily=[LATIN_FAMILY] if latin else font_families(language), parse_math=False,
    )  # fmt: skip
