"""Extract the regions of images with a detector into a store; see --help."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from cli import CommandLineError, add_common_arguments, load_config, run_main
from mmengine.config import Config
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from roi_batches import NotEnoughMemoryError, ShardMaker
from roi_processes import Processes
from roi_reports import BadImage, Bar, Report, Reports, bad_limit, count_reasons

from rc3mm.datasets.image_sources import (
    DatasetImages,
    ImageSource,
    check_ids,
    distinct_images,
    open_dataset,
    open_images,
)
from rc3mm.datasets.roi import RoiManifest, begin_store, finish_store, finished_shards, write_shard
from rc3mm.registry import MODELS
from rc3mm.utils.checkpoint import UnsafeCheckpointError

_EXAMPLES = """\
examples:
  python tools/extract_roi_features.py configs/detectors/faster_rcnn_emoji.py --out data/roi/emoji \\
      --dataset-config configs/rc3/pretrain_tiny.py:test_dataloader.dataset
  python tools/extract_roi_features.py configs/detectors/faster_rcnn_r50_c4_coco.py images/ --out data/roi/mine
  python tools/extract_roi_features.py CONFIG list.txt --out STORE --min-regions 10 --max-regions 100 --score-thr 0.2
  python tools/extract_roi_features.py CONFIG 'data/cc3m/*.parquet' --image-column jpg --id-column key --out STORE
  torchrun --nproc_per_node 8 tools/extract_roi_features.py CONFIG images/ --out STORE --launcher pytorch --amp

the store holds shards, an index and a manifest; bad_images.tsv lists the images that were skipped, and why. Whatever
interrupts the extraction: the same command goes on where it stopped, with any number of processes.
"""

T = TypeVar('T')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Run a detector over images and keep the regions that it sees (boxes, features, class '
        'probabilities) in a store, which datasets read by image id.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('config', help='config with roi_extractor = dict(type=RoiExtractor, ...)')
    parser.add_argument(
        'images',
        nargs='?',
        help='a folder (with all below it; an id is the path from there without extension), a text list (a path a '
        'line, or id<TAB>path), or Parquet: a file, a folder of them or a quoted pattern',
    )
    parser.add_argument(
        '--dataset-config',
        metavar='CONFIG.py:KEY.PATH',
        help='instead: the images of a dataset, by its image_id, such as x.py:train_dataloader.dataset.sources.strict',
    )
    parser.add_argument('--out', type=Path, required=True, metavar='STORE', help='folder of the store')
    parser.add_argument('--limit', type=int, metavar='N', help='only the first N images')
    parser.add_argument('--image-column', default='image', help='Parquet: encoded images or paths (image)')
    parser.add_argument('--id-column', default='image_id', help='Parquet: ids (image_id)')
    group = parser.add_argument_group('the detector (where not given: as in the config)')
    group.add_argument('--checkpoint', help='weights, .pth or .safetensors')
    group.add_argument('--feature', choices=['head', 'pooled'], help='which feature; see RoiExtractor')
    group.add_argument('--min-regions', type=int, metavar='N', help='so many regions an image, whatever their scores')
    group.add_argument('--max-regions', type=int, metavar='N', help='and at most so many')
    group.add_argument('--score-thr', type=float, metavar='P', help='those beyond the minimum score more')
    group = parser.add_argument_group('the store')
    group.add_argument('--shard-size', type=int, default=5000, metavar='N', help='input images a shard (5000)')
    group.add_argument('--dtype', choices=['float16', 'float32'], default='float16', help='of features (float16)')
    group.add_argument('--no-class-probs', action='store_true', help='leave out class probabilities (MRM needs them)')
    group.add_argument('--attributes', action='store_true', help='keep attribute probabilities (bottom-up attention)')
    group.add_argument(
        '--max-bad',
        type=bad_limit,
        default='0.01',
        metavar='SHARE|N',
        help='images that may be skipped: a share such as 0.01 (the default), or a number such as 20; 0 for none',
    )
    group = parser.add_argument_group('speed')
    group.add_argument('--batch-size', type=int, default=8, metavar='N', help='images a pass (8)')
    group.add_argument('--device', help='such as cpu or cuda:1 (default: a GPU, if there is one)')
    group.add_argument('--amp', action='store_true', help='run the detector in bfloat16')
    group.add_argument('--workers', type=int, metavar='N', help='processes that decode images (4 with a GPU, else 0)')
    add_common_arguments(parser)
    args = parser.parse_intermixed_args()  # IMAGES may stand behind options
    if (args.images is None) == (args.dataset_config is None):
        parser.error('give either IMAGES or --dataset-config')
    for name in ('limit', 'shard_size', 'batch_size'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    return args


def main() -> None:
    """Extract, finish the store, and say what was done."""
    args = parse_args()
    started = time.monotonic()
    cfg = extraction_config(args)
    processes = Processes(args.launcher)
    source = open_source(args, processes)
    total, fingerprint = agree_on_images(args, source, processes)
    extractor = _said(lambda: MODELS.build(cfg.roi_extractor))
    extractor.to(pick_device(args.device)).eval()
    plan = make_plan(args, extractor, total, fingerprint)
    reports = Reports(args.out, total, args.max_bad)
    try:
        count = make_shards(args, plan, extractor, source, total, reports, processes)
    except KeyboardInterrupt:
        raise CommandLineError(f'interrupted; to go on, run again: {plan.command}') from None
    except OSError as error:
        raise CommandLineError(f'{error}; when that is mended, go on with: {plan.command}') from error
    except NotEnoughMemoryError as error:
        raise CommandLineError(
            f'not enough memory on {extractor.device} for --batch-size {args.batch_size} ({error}); lower --batch-size '
            'and go on: finished shards are kept'
        ) from error
    processes.wait()  # the others' shards are there
    if processes.rank == 0:
        seconds = timedelta(seconds=round(time.monotonic() - started))
        others = f' by the first of {processes.world_size} processes' if processes.world_size > 1 else ''
        made = f'{count:,} images{others} in {seconds}' if count else 'nothing was left to do'
        Console().print(summary(args.out, finish(args.out, reports), reports, made))
    processes.end()


def _said(step: Callable[[], T]) -> T:
    """The result of a step whose errors speak to the user."""
    try:
        return step()
    except (ValueError, TypeError, FileNotFoundError, NotADirectoryError, ImportError, UnsafeCheckpointError) as error:
        raise CommandLineError(' '.join(str(error).split())) from error


def extraction_config(args: argparse.Namespace) -> Config:
    """The config with the command line's changes applied."""
    cfg = load_config(args)
    if not isinstance(cfg.get('roi_extractor'), dict):
        raise CommandLineError(
            f'{args.config} has no roi_extractor = dict(type=RoiExtractor, detector=..., checkpoint=...); '
            'configs/detectors/ has configs with one'
        )
    for name in ('checkpoint', 'feature', 'min_regions', 'max_regions', 'score_thr'):
        if getattr(args, name) is not None:
            cfg.roi_extractor[name] = getattr(args, name)
    if args.amp:
        cfg.roi_extractor.autocast = True
    if not cfg.roi_extractor.get('checkpoint'):
        raise CommandLineError(
            'the detector has no weights, so its features would be random: give --checkpoint, or name one in '
            f'roi_extractor of {args.config}'
        )
    return cfg


def open_source(args: argparse.Namespace, processes: Processes) -> ImageSource:
    """The images that the command line names; the first process alone looks through the samples of a dataset."""
    name = args.dataset_config
    if not name:
        return _said(lambda: open_images(args.images, args.image_column, args.id_column))
    dataset = _said(lambda: open_dataset(name))
    indices = processes.from_first(lambda: _said(lambda: distinct_images(dataset, name, args.limit)))
    return DatasetImages(dataset, name, indices)


def agree_on_images(args: argparse.Namespace, source: ImageSource, processes: Processes) -> tuple[int, str]:
    """How many images there are and a fingerprint of their ids, which the first process checks for all."""

    def look() -> tuple[int, str]:
        total = min(args.limit or len(source), len(source))
        return total, _said(lambda: check_ids(source, total))

    total, fingerprint = processes.from_first(look)
    if len(source) < total or (args.limit is None and len(source) != total):
        raise CommandLineError(
            f'process {processes.rank} sees {len(source):,} images but the first {total:,}: all processes need the '
            'same images, in a folder that they share or in equal copies'
        )
    return total, fingerprint


def pick_device(name: str | None) -> torch.device:
    """The device that was asked for, else this process's GPU, else the CPU."""
    if name is None:
        gpus = torch.cuda.device_count()
        name = f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % gpus}' if gpus else 'cpu'
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CommandLineError(f'--device {name}: {str(error).splitlines()[0]}') from error
    return device


def make_plan(args: argparse.Namespace, extractor: Any, total: int, fingerprint: str) -> RoiManifest:
    """What the store will be made with."""
    signature = extractor.signature
    if args.attributes and not extractor.num_attributes:
        raise CommandLineError(f'--attributes: the detector of {args.config} knows no attributes; leave it out')
    return RoiManifest(
        detector=signature['detector'],
        feature=signature['feature'],
        feature_dim=extractor.feature_dim,
        num_shards=-(-total // args.shard_size),
        shard_size=args.shard_size,
        inputs=fingerprint,
        checkpoint=signature['checkpoint_sha256'],
        num_classes=None if args.no_class_probs else extractor.num_classes,
        num_attributes=extractor.num_attributes if args.attributes else None,
        class_names=tuple(extractor.class_names or ()),
        protocol={**signature['protocol'], 'detector_sha256': signature['detector_sha256']},
        dtype=args.dtype,
        command=shlex.join(['python', *sys.argv]),
    )


def make_shards(
    args: argparse.Namespace,
    plan: RoiManifest,
    extractor: Any,
    source: ImageSource,
    total: int,
    reports: Reports,
    processes: Processes,
) -> int:
    """Make this process's share of the shards that are missing; returns the number of their images."""
    rank, world_size = processes.rank, processes.world_size
    seen = _said(lambda: begin_store(args.out, plan))
    finished = processes.from_first(lambda: seen)  # the others may look later, when it has finished more
    reports.look(finished)
    if rank == 0 and finished:
        print(f'{args.out}: {len(finished)} of {plan.num_shards} shards are there already', file=sys.stderr)
    size = args.shard_size
    missing = [number for number in range(plan.num_shards) if number not in finished]
    shards = [(number, range(number * size, min((number + 1) * size, total))) for number in missing[rank::world_size]]
    count = sum(len(images) for _, images in shards)
    workers = args.workers if args.workers is not None else 4 if extractor.device.type == 'cuda' else 0
    bar = Bar(f'process 1 of {world_size}' if world_size > 1 else 'images', count, hidden=rank > 0)

    def progress(bad: list[BadImage], done: int) -> None:
        bar.advance(done)
        reports.check_limit(bad)

    maker = ShardMaker(
        extractor,
        source,
        batch_size=args.batch_size,
        dtype=args.dtype,
        class_probs=not args.no_class_probs,
        attributes=args.attributes,
        workers=workers,
        on_progress=progress,
    )
    with bar:
        for shard in maker.run(shards):
            # the report first: a shard that is there counts as done, with what its report says
            reports.add(shard.number, Report(shard.bad, sum(not len(regions) for _, regions in shard.items)))
            write_shard(args.out, shard.number, shard.items, plan.dtype)
            reports.look(finished_shards(args.out))
            reports.check_limit()
    return count


def finish(store: Path, reports: Reports) -> RoiManifest:
    """Write what belongs to the store as a whole: the list of bad images, the index, the manifest."""
    reports.look(finished_shards(store))
    reports.check_limit()
    reports.write_list()
    reports.clean()
    return _said(lambda: finish_store(store))


def summary(store: Path, manifest: RoiManifest, reports: Reports, made: str) -> Table:
    """What is in the store, and what is not."""
    bad = list(reports.bad())
    size = sum(file.stat().st_size for file in store.glob('*.safetensors'))
    rows = {
        'store': str(store),
        'images in it': f'{manifest.num_images:,} of {reports.total:,}',
        'without any region': f'{reports.num_empty:,}',
        'skipped': f'{len(bad):,}' + (f' ({count_reasons(bad)}; see bad_images.tsv)' if bad else ''),
        'regions': f'{manifest.num_regions:,}, {manifest.num_regions / max(manifest.num_images, 1):.1f} an image',
        'features': f'{manifest.feature}, {manifest.feature_dim}-d, {manifest.dtype}',
        'size': decimal(size),
        'this run': made,
    }
    table = Table(title='region features', title_justify='left', box=SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(overflow='fold')
    for name, value in rows.items():
        table.add_row(name, value)
    return table


if __name__ == '__main__':
    run_main(main)
