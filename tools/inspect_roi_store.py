"""Look into a store of regions: what it holds, whether it is whole, and what the detector saw; see --help."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from cli import CommandLineError, run_main
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from rc3mm.datasets.image_sources import BadImageError, decode_image, open_dataset, open_images
from rc3mm.datasets.roi import BottomUpTsv, RoiNpzFolder, RoiSource, RoiStore, Uc2Lmdb, VoltaLmdb
from rc3mm.structures import Regions
from rc3mm.visualization.regions import RegionPicture, draw_regions

_KINDS: dict[str, Callable[[Path], RoiSource]] = {
    'store': RoiStore,
    'volta-lmdb': VoltaLmdb,
    'uc2-lmdb': Uc2Lmdb,
    'bottom-up-tsv': BottomUpTsv,
    'roi-npz': RoiNpzFolder,
}
_QUANTILES = (5, 25, 50, 75, 95)
_SHOWN = 10  # classes, and problems
_EXAMPLES = """\
examples:
  python tools/inspect_roi_store.py data/roi/emoji
  python tools/inspect_roi_store.py data/roi/emoji --verify
  python tools/inspect_roi_store.py data/roi/emoji --out regions.png \\
      --images configs/rc3/pretrain_tiny.py:test_dataloader.dataset
  python tools/inspect_roi_store.py data/roi/mine --images images/ --out regions.png --num 12
  python tools/inspect_roi_store.py features.lmdb --kind volta-lmdb --verify

exit code: 0; with --verify 1 if something is damaged; 2 if there is no store
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Say what a store of regions holds, check that it is whole, and draw what the detector saw.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('store', type=Path, help='folder of the store, or what --kind says')
    parser.add_argument('--kind', choices=[*_KINDS], default='store', help='whose files they are (store)')
    parser.add_argument('--verify', action='store_true', help='read everything and check it')
    parser.add_argument(
        '--sample', type=int, default=2000, metavar='N', help='statistics are of N images, evenly spread (2000)'
    )
    parser.add_argument('--out', type=Path, metavar='PICTURE.png', help='draw a contact sheet of the first images')
    parser.add_argument(
        '--images',
        metavar='PLACE',
        help='for the picture, the images: a folder, a list, Parquet, or the config of a dataset (x.py:key.path); '
        'without, boxes are drawn on grey',
    )
    parser.add_argument('--num', type=int, default=8, metavar='N', help='images in the picture (8)')
    args = parser.parse_args()
    if args.images and not args.out:
        parser.error('--images is for the picture: give --out PICTURE.png as well')
    if min(args.sample, args.num) < 1:
        parser.error('--sample and --num must be at least 1')
    return args


def main() -> None:
    """Verdict, table, picture."""
    args = parse_args()
    console = Console()
    source = open_source(args, console)
    if args.verify:
        with Console(stderr=True).status('reading everything'):
            problems = source.verify() if isinstance(source, RoiStore) else find_problems(source)
        give_verdict(console, args.store, len(source), problems)
    try:
        console.print(summary(args.store, source, args.sample))
        if args.out:
            draw(source, args)
            console.print(f'picture: {args.out}')
    except (OSError, ValueError, KeyError) as error:
        raise CommandLineError(' '.join(str(error).split())) from error


def open_source(args: argparse.Namespace, console: Console) -> RoiSource:
    """The store, or the reader of other files."""
    try:
        return _KINDS[args.kind](args.store)
    except FileNotFoundError as error:
        raise CommandLineError(str(error)) from error
    except (ValueError, ImportError) as error:
        if args.verify and isinstance(error, ValueError):
            give_verdict(console, args.store, 0, [str(error)])
        raise CommandLineError(' '.join(str(error).split())) from error


def find_problems(source: RoiSource) -> list[str]:
    """What is wrong with the regions of each image."""
    problems = []
    for image_id in source.ids():
        try:
            source.get(image_id).check(f'image {image_id!r}')
        except (OSError, ValueError, KeyError) as error:
            problems.append(str(error))
    return problems


def give_verdict(console: Console, store: Path, images: int, problems: list[str]) -> None:
    """Say whether all is well; exit code 1 if not."""
    if not problems:
        console.print(f'intact: {store}, {images:,} images were read and checked', style='green', markup=False)
        return
    console.print(
        f'DAMAGED: {store}, {len(problems):,} problem{"s" * (len(problems) > 1)}', style='bold red', markup=False
    )
    for problem in problems[:_SHOWN]:
        console.print(f'- {problem}', markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _SHOWN:
        console.print(f'- and {len(problems) - _SHOWN:,} more')
    sys.exit(1)


# -- the table


class Statistics:
    """Counts over the regions of some images."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.scores: list[np.ndarray] = []
        self.classes: Counter[int] = Counter()
        self.dims: Counter[tuple[int, str]] = Counter()

    def add(self, regions: Regions) -> None:
        """Count one image."""
        self.counts.append(len(regions))
        if not len(regions):
            return
        self.dims[regions.features.shape[1], regions.features.dtype.name] += 1
        if regions.scores is not None:
            self.scores.append(regions.scores.astype(np.float32))
        if regions.class_probs is not None:
            self.classes.update(regions.class_probs[:, :-1].argmax(1).tolist())


def summary(path: Path, source: RoiSource, sample: int) -> Table:
    """What there is, as a table."""
    statistics = Statistics()
    for image_id in islice(source.ids(), 0, None, max(1, len(source) // sample)):
        statistics.add(source.get(image_id))
    counts = np.array(statistics.counts or [0])
    rows = {'images': f'{len(source):,}', **_described(source)}
    if len(statistics.counts) < len(source):
        rows['statistics of'] = f'{len(statistics.counts):,} images'
    rows['regions an image'] = f'mean {counts.mean():.1f}, min {counts.min()}, max {counts.max()}'
    rows['without any region'] = f'{(counts == 0).sum():,}'
    if not isinstance(source, RoiStore):
        rows['features'] = ', '.join(f'{width}-d {dtype}' for width, dtype in statistics.dims) or 'none'
    rows['size'] = decimal(_size(path))
    if statistics.scores:
        values = np.percentile(np.concatenate(statistics.scores), _QUANTILES)
        rows['scores'] = ', '.join(f'{q} %: {value:.3f}' for q, value in zip(_QUANTILES, values, strict=True))
    names = class_names(source)
    total = statistics.classes.total()
    for rank, (number, count) in enumerate(statistics.classes.most_common(_SHOWN)):
        label = f'classes, best {_SHOWN} of {len(statistics.classes):,}' if not rank else ' ' * rank
        rows[label] = f'{count / total:6.1%}  {_name(names, number)}'
    table = Table(title=f'regions in {path}', title_justify='left', box=SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(overflow='fold')
    for name, value in rows.items():
        table.add_row(name.strip(), value)
    return table


def _described(source: RoiSource) -> dict[str, str]:
    """What only a store of our own tells."""
    if not isinstance(source, RoiStore):
        return {'reader': type(source).__name__}
    manifest = source.manifest
    known = {key: value for key, value in manifest.protocol.items() if value is not None}
    digest = str(known.pop('detector_sha256', ''))[:16]
    protocol = ', '.join(f'{key} {value}' for key, value in known.items())
    bad = source.path / 'bad_images.tsv'
    skipped = sum(1 for _ in bad.open(encoding='utf-8')) - 1 if bad.is_file() else 0
    return {
        'skipped images': f'{skipped:,}' + (f', see {bad}' if skipped else ''),
        'regions': f'{manifest.num_regions:,}',
        'shards': f'{manifest.num_shards:,} of {manifest.shard_size:,} input images',
        'detector': manifest.detector + (f', sha256 {digest}' if digest else ''),
        'checkpoint': f'sha256 {manifest.checkpoint[:16]}' if manifest.checkpoint else 'unknown',
        'feature': f'{manifest.feature}, {manifest.feature_dim}-d, {manifest.dtype}',
        'class probabilities': 'none' if manifest.num_classes is None else f'{manifest.num_classes:,} classes',
        'attributes': 'none' if manifest.num_attributes is None else f'{manifest.num_attributes:,}',
        'protocol': protocol or 'unknown',
        'made by': f'{manifest.command or "unknown"} (rc3mm {manifest.rc3mm_version})',
    }


def class_names(source: RoiSource) -> tuple[str, ...]:
    """Names of the classes, if the source knows them."""
    return source.manifest.class_names if isinstance(source, RoiStore) else ()


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else f'class {number}'


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


# -- the picture


def draw(source: RoiSource, args: argparse.Namespace) -> None:
    """Draw the first images of the store."""
    wanted = dict.fromkeys(islice(source.ids(), args.num))
    images = find_images(args.images, set(wanted)) if args.images else {}
    names = class_names(source)
    pictures = []
    for image_id in wanted:
        regions = source.get(image_id)
        probs = regions.class_probs
        labels = [] if probs is None else [_name(names, int(number)) for number in probs[:, :-1].argmax(1)]
        pictures.append(RegionPicture(image_id, regions, labels, images.get(image_id)))
    draw_regions(pictures, args.out, title=f'{args.store}: {_origin(source)}')


def _origin(source: RoiSource) -> str:
    if not isinstance(source, RoiStore):
        return type(source).__name__
    return f'{source.manifest.detector}, {source.manifest.feature} features'


def find_images(place: str, wanted: set[str]) -> dict[str, np.ndarray]:
    """The images of some ids; reading stops when all were found.

    Raises:
        CommandLineError: not one was found.
    """
    found: dict[str, np.ndarray] = {}
    for image_id, sample in _samples(place, wanted):
        if image_id not in found:
            try:
                found[image_id] = decode_image(sample)
            except BadImageError as error:
                print(f'{image_id}: {error}', file=sys.stderr)
        if len(found) == len(wanted):
            return found
    if not found:
        raise CommandLineError(f'{place} has no image with an id such as {next(iter(sorted(wanted)), "")!r}')
    return found


def _samples(place: str, wanted: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ids and samples of the images of a place that are wanted."""
    if '.py:' in place:
        dataset = open_dataset(place)
        ids = ((index, dataset.get_image_id(index)) for index in range(len(dataset)))
        yield from ((image_id, dataset.get_sample(index)) for index, image_id in ids if image_id in wanted)
        return
    images = open_images(place)
    yield from ((image_id, images.sample(index)) for index, image_id in enumerate(images.ids()) if image_id in wanted)


if __name__ == '__main__':
    run_main(main)
