"""Draw a contact sheet of EmojiScenes: easy and hard scenes, their boxes and a caption in every language."""

import argparse
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from rc3mm.datasets.emoji_scenes import EmojiRetrieval, EmojiWeak

_ROOT = Path(__file__).resolve().parents[2]
_FONT = _ROOT / 'rc3mm/visualization/fonts/DroidSansFallback-subset.ttf'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog='example: python tools/misc/draw_emoji_scenes.py')
    parser.add_argument('--out', type=Path, default=_ROOT / 'docs/images/emoji_scenes.png')
    parser.add_argument('--image-size', type=int, default=96, help='side of the scenes in pixels')
    parser.add_argument('--first', type=int, default=12, help='number of the first scene')
    return parser.parse_args()


def rows(image_size: int, first: int) -> list[tuple[str, dict]]:
    """Titles and samples of the sheet's rows."""
    strict = {'num_scenes': 400, 'image_size': image_size}
    easy = EmojiRetrieval(level='easy', split='test', **strict)
    hard = EmojiRetrieval(level='hard', split='test', **strict)
    style = EmojiRetrieval(level='hard', split='test_style', **strict)
    weak = EmojiWeak(level='easy', split='test', **strict)
    picked = [
        ('easy', easy.get_sample(first)),
        ('easy', easy.get_sample(first + 1)),
        ('hard', hard.get_sample(first)),
        ('hard', hard.get_sample(first + 1)),
        ('hard, held-out style', style.get_sample(first)),
    ]
    for index in (first + 3, first + 5, first + 8):
        sample = weak.get_sample(index)
        picked.append((f'weak, true relevance {sample["true_relevance"]:.2f}', sample))
    return picked


def draw(samples: list[tuple[str, dict]], out: Path) -> None:
    """Write the sheet.

    Args:
        samples: Titles and raw samples.
        out: PNG file to write.
    """
    matplotlib.use('Agg')
    font_manager.fontManager.addfont(_FONT)
    name = font_manager.FontProperties(fname=_FONT).get_name()
    matplotlib.rcParams['font.family'] = ['DejaVu Sans', name]
    figure, axes = plt.subplots(-(-len(samples) // 2), 2, figsize=(12, 0.8 * len(samples)))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, sample) in zip(axes.T.flat, samples, strict=False):
        draw_sample(axis, title, sample)
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.99, hspace=0.08, wspace=0.02)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130, metadata={'Software': None})
    print(f'{out}: {out.stat().st_size / 1024:.0f} KiB')


def draw_sample(axis: Axes, title: str, sample: dict) -> None:
    """Draw one scene with its boxes, and its texts to the right of it."""
    side = sample['image'].shape[0]
    axis.imshow(sample['image'], extent=(0, side, side, 0), interpolation='nearest')
    for x1, y1, x2, y2 in sample['roi_boxes']:
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, lw=0.7, ec='crimson'))
    lines = [f'{language}  {text}' for language, text in sample['texts']]
    axis.text(side * 1.06, 0, title, fontsize=8, color='crimson', va='top')
    axis.text(side * 1.06, side * 0.14, '\n'.join(lines), fontsize=7, va='top', linespacing=1.35)
    axis.set(xlim=(0, side * 4.1), ylim=(side, 0))


def main() -> None:
    """Draw the sheet."""
    args = parse_args()
    draw(rows(args.image_size, args.first), args.out)


if __name__ == '__main__':
    main()
