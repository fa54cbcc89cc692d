"""Convert region features that others extracted into a store; see --help."""

import argparse
import hashlib
import shlex
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/, whose modules the scripts share

from cli import CommandLineError, run_main
from roi_reports import BadImage, Bar, Report, Reports, bad_limit, count_reasons

from rc3mm.datasets.roi import (
    BottomUpTsv,
    RoiManifest,
    RoiNpzFolder,
    RoiRecordError,
    RoiSource,
    Uc2Lmdb,
    VoltaLmdb,
    begin_store,
    finish_store,
    write_shard,
)
from rc3mm.structures.regions import Regions, RegionsError

_KINDS: dict[str, Any] = {
    'volta-lmdb': VoltaLmdb,
    'uc2-lmdb': Uc2Lmdb,
    'bottom-up-tsv': BottomUpTsv,
    'roi-npz': RoiNpzFolder,
}
_FIRST = 1000  # records among which one must be good
_EPILOG = """\
KIND is one of
  volta-lmdb     LMDB of VOLTA and IGLUE: pickled dictionaries, raw arrays or base64
  uc2-lmdb       LMDB of UC2 and UNITER: feat_th0.2_max100_min10[_compressed], feat_numbb36 (msgpack, npz, lz4)
  bottom-up-tsv  table of bottom-up attention: image_id, image_w, image_h, num_boxes, boxes, features (base64)
  roi-npz        a folder with one <image id>.npz an image: features, boxes, image_h, image_w

Pickles are read without executing anything. The command may be stopped at any time; run again, it goes on where it
stopped. Records that cannot be used are counted, skipped and listed in STORE/bad_images.tsv, up to --max-bad.

examples:
  python tools/dataset_converters/convert_roi_features.py volta-lmdb features/xvnli.lmdb data/roi/xvnli
  python tools/dataset_converters/convert_roi_features.py bottom-up-tsv trainval_36.tsv data/roi/coco --num-regions 36
  python tools/dataset_converters/convert_roi_features.py uc2-lmdb img_db/cc/feat_numbb36 data/roi/cc --max-bad 0.001
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Convert region features that others extracted into a store, which is read '
        'faster and holds no pickles.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('kind', metavar='KIND', choices=_KINDS, help=f'layout of the source: {", ".join(_KINDS)}')
    parser.add_argument('source', metavar='PATH', type=Path, help='the LMDB, table or folder')
    parser.add_argument('store', metavar='STORE', type=Path, help='folder to write')
    parser.add_argument('--dtype', choices=['float16', 'float32'], default='float16', help='kept as (float16)')
    parser.add_argument('--num-regions', type=int, metavar='N', help='keep the first N regions of an image (all)')
    parser.add_argument('--shard-size', type=int, default=1000, metavar='N', help='images a shard (1000)')
    parser.add_argument(
        '--max-bad',
        type=bad_limit,
        default='0.01',
        metavar='SHARE|N',
        help='records that may be skipped: a share such as 0.01 (the default), or a number such as 20; 0 for none',
    )
    parser.add_argument(
        '--feature-dim', type=int, metavar='F', help='width that features must have (that of the first)'
    )
    parser.add_argument(
        '--background',
        choices=['first', 'last'],
        help='column of the background in class probabilities (default: first, last for roi-npz)',
    )
    parser.add_argument(
        '--columns', nargs='+', metavar='NAME', help='names of the fields of a bottom-up-tsv, if they differ'
    )
    parser.add_argument('--detector', metavar='NAME', help='what the manifest shall call the detector')
    args = parser.parse_args()
    for name in ('shard_size', 'num_regions', 'feature_dim'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    if args.columns and args.kind != 'bottom-up-tsv':
        parser.error('--columns is for bottom-up-tsv only')
    return args


def main() -> None:
    """Convert, finish the store, and say what was done."""
    args = parse_args()
    started = time.monotonic()
    try:
        source = open_source(args)
        total, fingerprint = count_ids(source)
        example = find_example(source, args.source)
        plan = make_plan(args, example, total, fingerprint)
        reports = Reports(args.store, total, args.max_bad)
        count = convert(args, plan, source, example, reports)
        reports.look(set(range(plan.num_shards)))
        reports.write_list()
        manifest = finish_store(args.store)
    except KeyboardInterrupt:
        raise CommandLineError('interrupted; to go on, run the same command again') from None
    except CommandLineError:
        raise
    except (ValueError, OSError, ImportError) as error:
        raise CommandLineError(' '.join(str(error).split())) from error
    seconds = timedelta(seconds=round(time.monotonic() - started))
    Console().print(summary(args.store, manifest, reports, f'{count:,} images in {seconds}'))


def open_source(args: argparse.Namespace) -> RoiSource:
    """The files that the command line names."""
    options = {name: getattr(args, name) for name in ('feature_dim', 'background', 'columns')}
    source: RoiSource = _KINDS[args.kind](args.source, **{k: v for k, v in options.items() if v is not None})
    return source


def count_ids(source: RoiSource) -> tuple[int, str]:
    """The number of ids, and a fingerprint of their list."""
    digest, total = hashlib.blake2b(digest_size=16), 0
    for image_id in source.ids():
        digest.update(len(image_id).to_bytes(4, 'little') + image_id.encode())
        total += 1
    return total, digest.hexdigest()


def find_example(source: RoiSource, path: Path) -> Regions:
    """The first good record with regions; the others must have the same parts and widths."""
    fault = 'it has no records'
    for image_id in islice(source.ids(), _FIRST):
        try:
            regions = source.get(image_id)
        except RegionsError as error:
            fault = str(error)
            continue
        if len(regions):
            return regions
        fault = 'images without regions only'
    raise CommandLineError(f'{path}: not one of the first {_FIRST} records can be used, the last because of: {fault}')


def make_plan(args: argparse.Namespace, example: Regions, total: int, fingerprint: str) -> RoiManifest:
    """What the store will be made with."""
    probs = example.class_probs
    return RoiManifest(
        detector=args.detector or f'unknown ({args.kind})',
        feature=args.kind,
        feature_dim=example.features.shape[1],
        num_shards=-(-total // args.shard_size),
        shard_size=args.shard_size,
        inputs=fingerprint,
        num_classes=None if probs is None else probs.shape[1] - 1,
        protocol={'max_regions': args.num_regions},
        dtype=args.dtype,
        command=shlex.join(['python', *sys.argv]),
    )


def convert(args: argparse.Namespace, plan: RoiManifest, source: RoiSource, example: Regions, reports: Reports) -> int:
    """Write the shards that are missing; returns the number of their images."""
    finished = begin_store(args.store, plan)
    reports.look(finished)
    reports.check_limit()
    if finished:
        print(f'{args.store}: {len(finished)} of {plan.num_shards} shards are there already', file=sys.stderr)
    ids, size = source.ids(), args.shard_size
    missing = plan.num_shards - len(finished)
    count = 0
    with Bar('images', min(missing * size, reports.total), hidden=False) as bar:
        for number in range(plan.num_shards):
            names = list(islice(ids, size))
            if number in finished:
                continue
            bad: list[BadImage] = []
            items = list(good_records(source, names, example, args, bad, reports, bar))
            empty = sum(not len(regions) for _, regions in items)
            # the report first: a shard that is there counts as done, with what its report says
            reports.add(number, Report(bad, empty))
            write_shard(args.store, number, items, plan.dtype)
            reports.look({number})
            count += len(names)
    return count


def good_records(
    source: RoiSource,
    names: list[str],
    example: Regions,
    args: argparse.Namespace,
    bad: list[BadImage],
    reports: Reports,
    bar: Bar,
) -> Iterator[tuple[str, Regions]]:
    """Id and regions of the records that can be used; the others are added to `bad`, until they are too many."""
    for image_id in names:
        bar.advance(1)
        try:
            regions = source.get(image_id)
            yield image_id, fitted(regions, example, args.num_regions, args.dtype, image_id)
        except RegionsError as error:
            reason = error.reason if isinstance(error, RoiRecordError) else 'regions that cannot be used'
            bad.append(BadImage(image_id, reason, str(error), str(args.source)))
            reports.check_limit(bad)


def fitted(regions: Regions, example: Regions, num_regions: int | None, dtype: str, name: str) -> Regions:
    """The first regions of an image in the types of the store.

    Raises:
        RoiRecordError: it has other parts or widths than the example, or numbers that the dtype cannot hold.
    """
    arrays: dict[str, np.ndarray] = {}
    for part in ('features', 'boxes', 'scores', 'class_probs'):
        wanted, values = getattr(example, part), getattr(regions, part)
        if wanted is not None and not len(regions):
            values = wanted[:0]  # without a row, a file does not tell the width
        shapes = [None if array is None else array.shape[1:] for array in (wanted, values)]
        if shapes[0] != shapes[1]:
            detail = f'{part} have rows of {shapes[1]}, the first record has {shapes[0]}'
            raise RoiRecordError(name, 'other parts than the first record', detail)
        if values is not None:
            arrays[part] = values[:num_regions].astype(np.float32, copy=False)
            if np.abs(arrays[part]).max(initial=0) > np.finfo(dtype).max:
                detail = f'{part} leave the range of {dtype}; --dtype float32 has room'
                raise RoiRecordError(name, 'numbers out of range', detail)
    return Regions(image_size=regions.image_size, **arrays)


def summary(store: Path, manifest: RoiManifest, reports: Reports, made: str) -> Table:
    """What is in the store now."""
    bad = list(reports.bad())
    size = sum(path.stat().st_size for path in store.glob('*.safetensors'))
    rows = {
        'images': f'{manifest.num_images:,}',
        'without regions': f'{reports.num_empty:,}',
        'regions': f'{manifest.num_regions:,}',
        'skipped': f'{len(bad):,}' + (f': {count_reasons(bad)}; see bad_images.tsv' if bad else ''),
        'features': f'{manifest.feature_dim} x {manifest.dtype}',
        'classes': 'none' if manifest.num_classes is None else f'{manifest.num_classes:,}',
        'size': f'{decimal(size)} in {manifest.num_shards:,} shards',
        'this run': made,
    }
    table = Table('store', str(store), box=SIMPLE_HEAD)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


if __name__ == '__main__':
    run_main(main)
