"""Write EmojiScenes as images with COCO-format boxes, for detectors; see --help."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import track

from rc3mm.datasets.emoji.artefact import load_concepts
from rc3mm.datasets.emoji.render import render
from rc3mm.datasets.emoji.scene import SceneMaker

_CONSOLE = Console(stderr=True)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Write EmojiScenes as PNG images with COCO-format boxes: OUT/<level>_<split>/*.png and '
        'OUT/annotations/<level>_<split>.json. The test scenes share no set of concepts with the training scenes.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog='example: python tools/dataset_converters/export_emoji_coco.py data/emoji_coco --train 6000 --val 500',
    )
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument('--train', type=int, default=6000, metavar='N', help='training scenes')
    parser.add_argument('--val', type=int, default=300, metavar='N', help='validation scenes')
    parser.add_argument('--test', type=int, default=500, metavar='N', help='test scenes')
    parser.add_argument('--level', choices=['easy', 'hard'], default='easy', help='level of the scenes')
    parser.add_argument('--num-concepts', type=int, default=100, help='classes')
    parser.add_argument('--image-size', type=int, default=48, help='side of the images in pixels')
    parser.add_argument('--seed', type=int, default=11, help='chooses the scenes within their split')
    return parser.parse_args()


def export_split(args: argparse.Namespace, split: str, count: int) -> dict[str, int]:
    """Write one split; the annotation file last, so that it stands for a complete split.

    Returns:
        Numbers of images and boxes.
    """
    name = f'{args.level}_{split}'
    scenes = SceneMaker(
        num_concepts=args.num_concepts,
        split=split,
        level=args.level,
        image_size=args.image_size,
        seed=args.seed,
    )
    (args.out / name).mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for index in track(range(count), description=name, console=_CONSOLE):
        scene = scenes(index)
        file_name = f'{index:06d}.png'
        Image.fromarray(render(scene)).save(args.out / name / file_name)
        images.append({'id': index, 'file_name': file_name, 'width': args.image_size, 'height': args.image_size})
        for item in scene.objects:
            x1, y1, x2, y2 = (float(edge) for edge in item.box)
            boxes.append(
                {
                    'id': len(boxes) + 1,  # pycocotools takes id 0 for "no match"
                    'image_id': index,
                    'category_id': item.concept,
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': 0,
                }
            )
    concepts = load_concepts()[: args.num_concepts]
    categories = [{'id': number, 'name': concept.names['en']} for number, concept in enumerate(concepts)]
    folder = args.out / 'annotations'
    folder.mkdir(exist_ok=True)
    text = json.dumps({'images': images, 'annotations': boxes, 'categories': categories})
    (folder / f'{name}.json').write_text(text)
    return {'images': len(images), 'boxes': len(boxes)}


def main() -> None:
    """Write the splits and say what was written."""
    args = parse_args()
    for split in ('train', 'val', 'test'):
        count = getattr(args, split)
        if count < 0:
            sys.exit(f'error: --{split} must not be negative, got {count}')
        if count:
            written = export_split(args, split, count)
            print(f'{args.level}_{split}: {written["images"]:,} images, {written["boxes"]:,} boxes in {args.out}')


if __name__ == '__main__':
    main()
