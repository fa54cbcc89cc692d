"""Contact sheets of what a detector saw: images with boxes, class names and scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rc3mm.structures import Regions
from rc3mm.visualization.fonts import LATIN_FAMILY, font_families, missing_glyphs, warn_missing_glyphs
from rc3mm.visualization.wrapping import display_width

__all__ = ['RegionPicture', 'draw_regions', 'place_labels']

INK, MUTED, PAPER = '#1f2430', '#6b7280', '#f0f1f5'
COLORS = ('#c2410c', '#1d4ed8', '#15803d', '#a21caf', '#0e7490', '#b91c1c', '#4d7c0f', '#6d28d9')

# Inches; the picture is laid out once, on one set of axes whose unit is an inch.
MARGIN, TILE, GAP, CAPTION, HEAD = 0.25, 3.0, 0.22, 0.34, 0.5
SIZE = 7.5  # points, of the labels
LETTER, LINE = 0.62 / 72 * SIZE, 1.45 / 72 * SIZE  # width of a generous average letter and height of a label

Rect = tuple[float, float, float, float]  # left, top, right, bottom in inches, downwards


@dataclass(frozen=True)
class RegionPicture:
    """One image of the sheet.

    Attributes:
        name: the image's id.
        regions: its regions.
        labels: names of the regions' classes, one each; empty leaves them out.
        image: uint8, (H, W, 3); None draws the boxes on grey.
    """

    name: str
    regions: Regions
    labels: Sequence[str] = ()
    image: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.labels and len(self.labels) != len(self.regions):
            raise ValueError(f'{self.name}: {len(self.labels)} labels for {len(self.regions)} regions')


def draw_regions(
    pictures: Sequence[RegionPicture],
    path: str | Path,
    title: str = '',
    columns: int = 4,
    most_labels: int = 8,
    dpi: int = 150,
) -> None:
    """Draw a contact sheet and save it; Matplotlib takes the format from the suffix.

    The best regions of an image have thick boxes and labels, all others thin boxes.

    Args:
        pictures: what to show, row by row.
        path: where to save; parent folders are made.
        title: above everything.
        columns: images a row.
        most_labels: so many regions of an image are labelled.
        dpi: pixels an inch.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not pictures:
        raise ValueError('no images to draw')
    texts = [title, *(picture.name for picture in pictures)]
    texts += [label for picture in pictures for label in picture.labels[:most_labels]]
    warn_missing_glyphs(texts, font_families())
    columns = min(columns, len(pictures))
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(TILE / max(_aspect(picture), 1.0) for picture in row) for row in rows]
    width = 2 * MARGIN + columns * (TILE + GAP) - GAP
    head = HEAD if title else MARGIN
    height = head + sum(heights) + len(rows) * CAPTION + MARGIN / 2
    figure = Figure(figsize=(width, height), facecolor='white')
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if title:
        _text(axes, MARGIN, HEAD / 2, title, 11, weight='bold')
    top = head
    for row, tall in zip(rows, heights, strict=True):
        for place, picture in enumerate(row):
            _draw_picture(axes, picture, MARGIN + place * (TILE + GAP), top, tall, most_labels)
        top += tall + CAPTION
    # Last, because drawing images changes the limits.
    axes.set(xlim=(0, width), ylim=(height, 0), aspect='auto')
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)


def place_labels(boxes: Sequence[Rect], widths: Sequence[float], height: float, frame: Rect) -> list[Rect]:
    """Places for labels at their boxes, clear of each other as far as that goes.

    Args:
        boxes: the boxes, most important first.
        widths: of the labels.
        height: of every label.
        frame: the labels stay inside of it, unless they are wider.

    Returns:
        The rectangle of each label: at one of the box's corners, the one that hides the least of earlier labels.
    """
    placed: list[Rect] = []
    for (left, top, right, bottom), width in zip(boxes, widths, strict=True):
        corners = [(x, y) for y in (top - height, top, bottom, bottom - height) for x in (left, right - width)]
        choices = [_inside((x, y, x + width, y + height), frame) for x, y in corners]
        placed.append(min(choices, key=lambda choice: sum(_overlap(choice, other) for other in placed)))
    return placed


def _inside(rect: Rect, frame: Rect) -> Rect:
    """A rectangle moved into the frame; its left and upper edges win."""
    x = max(frame[0], min(rect[0], frame[2] - (rect[2] - rect[0])))
    y = max(frame[1], min(rect[1], frame[3] - (rect[3] - rect[1])))
    return x, y, x + rect[2] - rect[0], y + rect[3] - rect[1]


def _overlap(one: Rect, other: Rect) -> float:
    """Area that two rectangles share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _aspect(picture: RegionPicture) -> float:
    height, width = picture.regions.image_size
    return width / height


def _draw_picture(axes: Axes, picture: RegionPicture, x: float, y: float, tall: float, most: int) -> None:
    """One image in a cell of TILE by `tall` inches, whole and unstretched, with its caption below."""
    height, width = picture.regions.image_size
    scale = min(TILE / width, tall / height)
    left, top = x + (TILE - width * scale) / 2, y + (tall - height * scale) / 2
    frame = (left, top, left + width * scale, top + height * scale)
    if picture.image is None:
        axes.add_patch(Rectangle((left, top), width * scale, height * scale, facecolor=PAPER, linewidth=0))
    else:
        extent = (frame[0], frame[2], frame[3], frame[1])
        axes.imshow(picture.image, extent=extent, aspect='auto', interpolation='antialiased', zorder=1)
    boxes = [tuple(np.array([left, top, left, top]) + box * scale) for box in picture.regions.boxes.astype(float)]
    for rank in reversed(range(len(boxes))):
        x1, y1, x2, y2 = boxes[rank]
        box = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=COLORS[rank % len(COLORS)], zorder=2)
        box.set(linewidth=1.6 if rank < most else 0.5, alpha=1.0 if rank < most else 0.7)
        axes.add_patch(box)
    texts = _label_texts(picture)[:most]
    rects = place_labels(boxes[: len(texts)], [0.05 + display_width(text) * LETTER for text in texts], LINE, frame)
    for rank in reversed(range(len(texts))):
        x1, y1, x2, y2 = rects[rank]
        color = COLORS[rank % len(COLORS)]
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, facecolor=color, linewidth=0, alpha=0.9, zorder=3))
        _text(axes, (x1 + x2) / 2, (y1 + y2) / 2, texts[rank], SIZE, 'white', align='center')
    count = f'{len(boxes)} region{"" if len(boxes) == 1 else "s"}'
    _text(axes, x, y + tall + CAPTION / 2, _shortened(picture.name, 30), 8.5)
    _text(axes, x + TILE, y + tall + CAPTION / 2, count, 8, MUTED, align='right')


def _label_texts(picture: RegionPicture) -> list[str]:
    """Class name and score of each region, as far as they are known."""
    scores = picture.regions.scores
    names = [_shortened(label, 20, keep_end=False) for label in picture.labels] or [''] * len(picture.regions)
    numbers = [''] * len(names) if scores is None else [f'{float(score):.2f}' for score in scores]
    texts = [f'{name} {number}'.strip() for name, number in zip(names, numbers, strict=True)]
    return texts if any(texts) else []


def _shortened(text: str, most: int, keep_end: bool = True) -> str:
    if len(text) <= most:
        return text
    return f'\N{HORIZONTAL ELLIPSIS}{text[1 - most :]}' if keep_end else f'{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}'


def _text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    size: float,
    color: str = INK,
    align: str = 'left',
    weight: str = 'normal',
) -> None:
    # Fallback fonts rarely have a bold face, and Matplotlib complains even if none of their glyphs is needed.
    latin = not missing_glyphs(text, [LATIN_FAMILY])
    # Ids may contain dollar signs; nothing here is mathematics.
    axes.text(
        x, y, text, fontsize=size, color=color, ha=align, va='center_baseline', zorder=4, parse_math=False,
        weight=weight if latin else 'normal', fontfamily=[LATIN_FAMILY] if latin else font_families(),
    )  # fmt: skip
