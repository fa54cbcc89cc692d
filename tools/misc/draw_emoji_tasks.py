"""Draw a contact sheet of the task twins on EmojiScenes: pictures, texts in several languages and what is right."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from rc3mm.datasets.emoji.artefact import LANGUAGES
from rc3mm.datasets.emoji.pairs_of_scenes import GROUP
from rc3mm.datasets.emoji_composed_tasks import EmojiPairs, EmojiTranslation
from rc3mm.datasets.emoji_tasks import EmojiEntailment, EmojiTask, EmojiVQA
from rc3mm.visualization.fonts import LATIN_FAMILY, font_families

_ROOT = Path(__file__).resolve().parents[2]
_INK, _MUTED, _RULE, _RIGHT, _WRONG, _OPEN = '#1f2430', '#6b7280', '#dfe3ea', '#15803d', '#c2255c', '#2563eb'
_COLOURS = {'entailment': _RIGHT, 'true': _RIGHT, 'contradiction': _WRONG, 'false': _WRONG, 'neutral': _OPEN}
# Lengths are inches.
_WIDTH, _MARGIN, _PICTURE, _GAP, _LINE, _HEAD = 12.0, 0.25, 1.45, 0.15, 0.175, 0.4
_COLUMN, _BESIDE = (_WIDTH - 2 * _MARGIN) / 2, 0.06  # from one column to the next; between two pictures

Piece = tuple[str, str]  # text and colour


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog='example: python tools/misc/draw_emoji_tasks.py')
    parser.add_argument('--out', type=Path, default=_ROOT / 'docs/images/emoji_tasks.png')
    parser.add_argument('--image-size', type=int, default=200, help='side of the scenes in pixels')
    parser.add_argument('--first', type=int, default=104, help='number of the first scene, sentence or twins')
    return parser.parse_args()


def draw(image_size: int, first: int) -> Figure:
    """Draw the sheet.

    Args:
        image_size: Side of the scenes in pixels.
        first: Number of the unit of items (a scene, a sentence, twins) that is drawn; what stands to the right, or
            below, is the next one, of the level 'hard'.

    Returns:
        The figure, of one axes whose unit is an inch, from the top left corner.
    """
    figure = Figure(facecolor='white')
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()

    def twin(kind: type[EmojiTask], level: str = 'easy', **more: Any) -> Any:
        count = (first + 2) * kind.items_per_unit
        return kind(num_items=count, level=level, split='test', image_size=image_size, **more)

    y = _heading(
        axes, 0, 'EmojiVQA', 'twin of xGQA: four questions about a scene; in all languages the answer is English'
    )
    ends = [_items(axes, 0, y, twin(EmojiVQA), first, 'ja', 0.05)]
    ends += [_items(axes, 1, y, twin(EmojiVQA, 'hard'), first + 1, 'de', 0.05)]
    y = _heading(axes, max(ends), 'EmojiEntailment', 'twin of XVNLI: what only the curtain could tell is neutral')
    ends = [_items(axes, 0, y, twin(EmojiEntailment), first, 'zh', 0.15)]
    ends += [_items(axes, 1, y, twin(EmojiEntailment, 'hard'), first + 1, 'fr', 0.15)]
    y = _heading(
        axes, max(ends), 'EmojiPairs', 'twin of MaRVL: a sentence is true of two pairs of pictures, false of two'
    )
    y = _pairs(axes, y, twin(EmojiPairs), first, ('en', 'cs', 'ja')) + 0.05
    y = _pairs(axes, y, twin(EmojiPairs, 'hard'), first + 1, ('en', 'de', 'zh'))
    y = _heading(axes, y, 'EmojiTranslation', 'twin of Multi30K: the picture tells which sense an English word has')
    y = _twins(axes, y, twin(EmojiTranslation, target_languages=LANGUAGES[1:]), first)
    axes.set(xlim=(0, _WIDTH), ylim=(y, 0), aspect='auto')  # last, because drawing images changes the limits
    figure.set_size_inches(_WIDTH, y)
    return figure


def _items(axes: Axes, column: int, y: float, dataset: EmojiTask, unit: int, other: str, gap: float) -> float:
    """All questions or hypotheses about a scene, in English and another language; returns where they end."""
    start = unit * dataset.items_per_unit
    x = _picture(axes, column, y, dataset.get_image(start))
    top = y
    for item in range(start, start + dataset.items_per_unit):
        answer = dataset.get_sample(item)['answer']
        _line(axes, x, top, 'en', [(_text(dataset, 'en', item), _INK), (f'   {answer}', _COLOURS.get(answer, _RIGHT))])
        _line(axes, x, top + _LINE, other, [(_text(dataset, other, item), _INK)])
        top += 2 * _LINE + gap
    return max(top, y + _PICTURE) + 0.1


def _pairs(axes: Axes, y: float, dataset: EmojiPairs, unit: int, languages: tuple[str, ...]) -> float:
    """A sentence and its four pairs."""
    step = (_WIDTH - 2 * _MARGIN + 2 * _GAP) / GROUP  # from one pair to the next
    side = (step - 2 * _GAP - _BESIDE) / 2
    start = unit * dataset.items_per_unit
    for number, language in enumerate(languages):
        _line(axes, _MARGIN, y + number * _LINE, language, [(_text(dataset, language, start), _INK)])
    y += len(languages) * _LINE + 0.05
    for number in range(GROUP):
        x, sample = _MARGIN + number * step, dataset.get_sample(start + number)
        for place, look in enumerate(sample['images']):
            _image(axes, look['image'], x + place * (side + _BESIDE), y, side)
        _write(axes, x, y + side + _LINE / 2 + 0.03, sample['answer'], _COLOURS[sample['answer']])
    return y + side + _LINE + 0.1


def _twins(axes: Axes, y: float, dataset: EmojiTranslation, unit: int) -> float:
    """The two pictures of a sentence, with its translations."""
    for column in range(2):
        item = unit * 2 + column
        x = _picture(axes, column, y, dataset.get_image(item))
        _line(axes, x, y, 'en', _marked(dataset.get_texts(item)[0][1], dataset.get_twins(item).word))
        for number, language in enumerate(dataset.target_languages):
            sample = dataset.get_sample(number * dataset.num_items + item)
            top = y + 0.1 + (number + 1) * _LINE
            _line(axes, x, top, language, _marked(sample['target'][1], sample['senses'][0]))
    return y + _PICTURE + 0.1


def _text(dataset: EmojiTask, language: str, item: int) -> str:
    """What an item says in a language."""
    return dataset.get_texts(dataset.languages.index(language) * dataset.num_items + item)[0][1]


def _marked(text: str, word: str) -> list[Piece]:
    """A text of which one word stands out."""
    before, found, after = text.partition(word)
    return [piece for piece in ((before, _INK), (found, _RIGHT), (after, _INK)) if piece[0]]


def _heading(axes: Axes, y: float, name: str, said: str) -> float:
    """Name of a twin and what it is about; returns where its items begin."""
    if y:
        axes.plot((_MARGIN, _WIDTH - _MARGIN), (y, y), color=_RULE, linewidth=0.8)
    middle = y + _HEAD / 2
    first = _write(axes, _MARGIN, middle, name, _INK, size=11, weight='bold')
    _write(axes, _MARGIN, middle, f'   {said}', _MUTED, after=first)
    return y + _HEAD


def _picture(axes: Axes, column: int, y: float, image: np.ndarray) -> float:
    """Draw the picture of a column; returns where its texts begin."""
    x = _MARGIN + column * _COLUMN
    _image(axes, image, x, y, _PICTURE)
    return x + _PICTURE + _GAP


def _image(axes: Axes, image: np.ndarray, x: float, y: float, side: float) -> None:
    axes.imshow(image, extent=(x, x + side, y + side, y), aspect='auto', interpolation='nearest')


def _line(axes: Axes, x: float, y: float, language: str, pieces: list[Piece]) -> None:
    """A text, in pieces, after its language; ``y`` is the upper end."""
    _write(axes, x, y + _LINE / 2, language, _MUTED)
    last = None
    for text, colour in pieces:
        last = _write(axes, x + 0.25, y + _LINE / 2, text, colour, language, after=last)


def _write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    colour: str,
    language: str = 'en',
    after: Text | None = None,
    size: float = 8.5,
    weight: str = '',
) -> Text:
    """Write at a place, ``y`` being the middle of small letters, or at that height after another text."""
    if not weight:  # what stands out is bold, but for the fonts of Japanese and Chinese, which have one weight
        weight = 'normal' if colour in (_INK, _MUTED) or language in ('ja', 'zh') else 'bold'
    return axes.annotate(
        text, (x if after is None else 1, y + 0.04), xycoords='data' if after is None else (after, 'data'),
        color=colour, size=size, weight=weight, parse_math=False,
        fontfamily=[LATIN_FAMILY] if weight == 'bold' else font_families(language),
    )  # fmt: skip


def save(figure: Figure, out: Path) -> None:
    """Write a figure as a PNG file of 256 colours, a third of the size of one with all."""
    figure.set_dpi(140)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert('RGB')
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


def main() -> None:
    """Draw the sheet and save it."""
    args = parse_args()
    save(draw(args.image_size, args.first), args.out)
    print(f'{args.out}: {args.out.stat().st_size / 1024:.0f} KiB')


if __name__ == '__main__':
    main()
