"""Retrieval galleries: queries in their own script beside what was retrieved, right and wrong ones marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from rc3mm.visualization.fonts import LATIN_FAMILY, font_families, missing_glyphs, warn_missing_glyphs
from rc3mm.visualization.wrapping import wrap_text

__all__ = ['GalleryRow', 'draw_gallery']

Image = np.ndarray

INK, MUTED, RULE, PILL = '#1f2430', '#6b7280', '#dfe3ea', '#e6ebf5'
RIGHT, WRONG = '#16874a', '#d5404d'

# Lengths are inches: the picture is laid out once, on one set of axes whose unit is an inch.
MARGIN, TILE, GAP, QUERY, RANK, PAD, TAB = 0.3, 1.12, 0.16, 2.75, 0.62, 0.16, 0.2
# Width of an average letter a point of font size, for wrapping; measured on DejaVu Sans, generous on purpose.
LETTER = 0.56 / 72

HEADINGS = {'t2i': 'Text \N{RIGHTWARDS ARROW} image', 'i2t': 'Image \N{RIGHTWARDS ARROW} text'}


@dataclass(frozen=True)
class GalleryRow:
    """One query and what was retrieved for it.

    Attributes:
        direction: 't2i' (text query, images retrieved) or 'i2t' (image query, texts retrieved).
        language: Language code of the text or texts.
        query: A string, or an image (uint8, shape (H, W, 3)).
        retrieved: Best first: images for 't2i', strings for 'i2t'.
        correct: For each retrieved item, whether it is right.
        rank: Rank of the best right candidate, which may lie beyond `retrieved`; None leaves it out.
    """

    direction: str
    language: str
    query: str | Image
    retrieved: Sequence[str | Image]
    correct: Sequence[bool]
    rank: int | None = None

    def __post_init__(self) -> None:
        if self.direction not in HEADINGS:
            raise ValueError(f'direction must be one of {tuple(HEADINGS)}, got {self.direction!r}')
        if len(self.retrieved) != len(self.correct):
            raise ValueError(f'{len(self.retrieved)} retrieved items, but {len(self.correct)} marks')
        texts = [self.query] if self.direction == 't2i' else list(self.retrieved)
        images = list(self.retrieved) if self.direction == 't2i' else [self.query]
        if not all(isinstance(text, str) for text in texts) or any(isinstance(image, str) for image in images):
            raise ValueError(f'{self.direction} wants texts and images the other way round')

    @property
    def texts(self) -> list[str]:
        """All strings of the row."""
        return [item for item in (self.query, *self.retrieved) if isinstance(item, str)]


def draw_gallery(rows: Sequence[GalleryRow], path: str | Path, title: str = '', top: int = 5, dpi: int = 160) -> None:
    """Draw a gallery and save it; Matplotlib takes the format from the suffix.

    Rows keep their order within a direction; text-to-image comes first. A retrieved image has a green frame
    and a tick if it is right, a red one and a cross if it is wrong, and its rank; retrieved texts are marked
    alike.

    Args:
        rows: What to show.
        path: Where to save; parent folders are made.
        title: Above everything; say which model, split and setting it is.
        top: How many retrieved items to show.
        dpi: Pixels an inch.

    Raises:
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError('no rows to draw')
    for language in sorted({row.language for row in rows}):
        texts = [text for row in rows if row.language == language for text in row.texts]
        warn_missing_glyphs([*texts, title], font_families(language))
    sections = [(d, [row for row in rows if row.direction == d]) for d in HEADINGS]
    sections = [(direction, members) for direction, members in sections if members]

    width = 2 * MARGIN + QUERY + RANK + top * (TILE + GAP) - GAP
    head, heading, step = (0.62 if title else 0.1), 0.42, TILE + TAB + 2 * PAD
    height = head + sum(heading + step * len(members) for _, members in sections) + 0.2
    figure = Figure(figsize=(width, height), facecolor='white')
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if title:
        _text(axes, MARGIN, 0.4, title, 12.5, weight='bold')
    y = head
    for direction, members in sections:
        _draw_heading(axes, direction, y + heading / 2, width)
        y += heading
        for number, row in enumerate(members):
            if number:
                axes.plot((MARGIN, width - MARGIN), (y, y), color=RULE, linewidth=0.7)
            if direction == 't2i':
                _draw_text_query(axes, row, y + PAD + TAB, top)
            else:
                _draw_image_query(axes, row, y + PAD + TAB / 2, top)
            y += step
    # Last, because drawing images changes the limits.
    axes.set(xlim=(0, width), ylim=(height, 0), aspect='auto')
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)


def _draw_heading(axes: Axes, direction: str, y: float, width: float) -> None:
    axes.add_patch(Rectangle((0, y - 0.17), width, 0.34, facecolor='#f5f6f9', linewidth=0))
    _text(axes, MARGIN, y, HEADINGS[direction], 9.5, weight='bold')
    _text(axes, MARGIN + QUERY + 0.2, y, 'rank', 8, MUTED, align='center')
    _text(axes, MARGIN + QUERY + RANK, y, 'retrieved, best first', 8, MUTED)
    _text(axes, width - MARGIN, y, '\N{BALLOT X} wrong', 8.5, WRONG, align='right')
    _text(axes, width - MARGIN - 0.72, y, '\N{CHECK MARK} right', 8.5, RIGHT, align='right')


def _draw_text_query(axes: Axes, row: GalleryRow, y: float, top: int) -> None:
    assert isinstance(row.query, str)
    _draw_pill(axes, MARGIN, y + TILE / 2, row.language)
    size, left = 10.5, MARGIN + 0.52
    lines = wrap_text(row.query, (QUERY - 0.72) / (size * LETTER), max_lines=5)
    for number, line in enumerate(lines):
        middle = y + TILE / 2 + (number - (len(lines) - 1) / 2) * 0.2
        _text(axes, left, middle, line, size, language=row.language)
    _draw_rank(axes, row, y)
    for place in range(min(top, len(row.retrieved))):
        x = MARGIN + QUERY + RANK + place * (TILE + GAP)
        _draw_image(axes, np.asarray(row.retrieved[place]), x, y, TILE)
        _draw_frame(axes, x, y, place + 1, row.correct[place])


def _draw_image_query(axes: Axes, row: GalleryRow, y: float, top: int) -> None:
    _draw_pill(axes, MARGIN, y + TILE / 2, row.language)
    x = MARGIN + 0.52
    _draw_image(axes, np.asarray(row.query), x, y, TILE)
    axes.add_patch(Rectangle((x, y), TILE, TILE, fill=False, edgecolor=MUTED, linewidth=0.8))
    _draw_rank(axes, row, y)
    size, left, step = 9.0, MARGIN + QUERY + RANK, TILE / top
    room = (top * (TILE + GAP) - GAP - 0.55) / (size * LETTER)
    for place in range(min(top, len(row.retrieved))):
        middle, right = y + (place + 0.5) * step, row.correct[place]
        color = RIGHT if right else WRONG
        if right:
            box = Rectangle((left - 0.06, middle - step / 2), top * (TILE + GAP) - GAP + 0.06, step)
            box.set(facecolor='#e6f4ec', linewidth=0)
            axes.add_patch(box)
        _text(axes, left + 0.12, middle, str(place + 1), 8, color, align='right', weight='bold')
        _text(axes, left + 0.2, middle, '\N{CHECK MARK}' if right else '\N{BALLOT X}', 9, color)
        line = wrap_text(str(row.retrieved[place]), room, max_lines=1)[0]
        _text(axes, left + 0.42, middle, line, size, INK if right else MUTED, language=row.language)


def _draw_pill(axes: Axes, x: float, y: float, language: str) -> None:
    pill = FancyBboxPatch((x + 0.05, y - 0.1), 0.26, 0.2, boxstyle='round,pad=0.04')
    pill.set(facecolor=PILL, linewidth=0)
    axes.add_patch(pill)
    _text(axes, x + 0.18, y, language, 8.5, align='center', weight='bold')


def _draw_rank(axes: Axes, row: GalleryRow, y: float) -> None:
    if row.rank is not None:
        color = RIGHT if row.rank == 1 else INK
        _text(axes, MARGIN + QUERY + 0.2, y + TILE / 2, str(row.rank), 12, color, align='center', weight='bold')


def _draw_image(axes: Axes, image: Image, x: float, y: float, side: float) -> None:
    """Draw an image inside of a square, whole and unstretched."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    left, top = x + (side - width * scale) / 2, y + (side - height * scale) / 2
    axes.add_patch(Rectangle((x, y), side, side, facecolor='#f5f6f9', linewidth=0))
    extent = (left, left + width * scale, top + height * scale, top)
    axes.imshow(image, extent=extent, aspect='auto', interpolation='antialiased', zorder=1.5)


def _draw_frame(axes: Axes, x: float, y: float, place: int, right: bool) -> None:
    color = RIGHT if right else WRONG
    line = 3.2 if right else 1.6
    axes.add_patch(Rectangle((x, y), TILE, TILE, fill=False, edgecolor=color, linewidth=line, zorder=2))
    # Above the frame, not in its corner, where it would hide a part of the picture.
    axes.add_patch(Rectangle((x, y - TAB), 0.38, TAB, color=color, linewidth=line, zorder=2))
    mark = '\N{CHECK MARK}' if right else '\N{BALLOT X}'
    _text(axes, x + 0.19, y - TAB / 2, f'{place} {mark}', 8, 'white', align='center', weight='bold')


def _text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    size: float,
    color: str = INK,
    align: str = 'left',
    weight: str = 'normal',
    language: str | None = None,
) -> None:
    # Fallback fonts rarely have a bold face, and Matplotlib complains even if none of their glyphs is needed.
    latin = not missing_glyphs(text, [LATIN_FAMILY])
    families = [LATIN_FAMILY] if latin else font_families(language)
    # Captions may contain dollar signs; nothing here is mathematics.
    axes.text(
        x, y, text, fontsize=size, color=color, ha=align, va='center_baseline', zorder=3,
        weight=weight if latin else 'normal', fontfamily=families, parse_math=False,
    )  # fmt: skip
