"""Compare random reads of a store of regions with those of other layouts; prints one JSON line.

All hold the same regions, each in the types that it is known for. A read fetches an image by id and ends with features
and boxes as float32 tensors, as a data loader hands them on. The other layouts are read in two ways: by the least
code that does it (`plain`: np.load, pickle.loads), and by the readers of rc3mm, which also check what they read. Every
layout is read once before the clock runs, so all lie in the page cache, if the memory is large enough.

Apart from that, small images are read from a store of a few shards and from one of many, more than a process keeps open
at a time (`by_shards`): large stores have thousands, and each read falls into another one.
"""

import argparse
import base64
import json
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from rc3mm.datasets.roi import (
    RoiManifest,
    RoiNpzFolder,
    RoiStore,
    VoltaLmdb,
    begin_store,
    finish_store,
    write_shard,
)
from rc3mm.datasets.roi.lmdb_file import LmdbFile
from rc3mm.structures.regions import Regions

Read = Callable[[str], tuple[np.ndarray, np.ndarray]]
_CONSOLE = Console(stderr=True)
_SIZE = (480, 640)  # height and width of every image
_SHARD = 500  # images
_FEW_SHARDS = 4
_SMALL = {'regions': 4, 'feature_dim': 64}
_IN_SMALL_SHARD = 25  # images


def main() -> None:
    """Write, measure and print."""
    args = parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix='roi_store_') as folder:
        readers = make_readers(Path(folder), args)
        seconds = measure(readers, args)
        sizes = {path.name: folder_size(path) for path in sorted(Path(folder).iterdir())}
    medians, ratios = compare(seconds, args.images, 'store')
    report = {
        'benchmark': 'roi_store',
        'images': args.images,
        'regions': args.regions,
        'feature_dim': args.feature_dim,
        'rounds': args.rounds,
        'a_read_ends_with': 'float32 tensors of features and boxes',
        'images_per_second': {name: round(value) for name, value in medians.items()},
        'store_times_as_fast': {name: round(value, 2) for name, value in ratios.items()},
        'megabytes': {name: round(size / 1e6) for name, size in sizes.items()},
        'by_shards': measure_shards(args),
    }
    print(json.dumps(report))


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example (about 2.5 GB in the temporary folder):\n'
        '  python tools/benchmarks/roi_store.py --images 2000 --rounds 5 --shards 400\n',
    )
    parser.add_argument('--images', type=int, default=2000, help='number of images (2000)')
    parser.add_argument('--regions', type=int, default=36, help='regions an image (36)')
    parser.add_argument('--feature-dim', type=int, default=2048, help='width of the features (2048)')
    parser.add_argument('--rounds', type=int, default=5, help='how often each layout is read; the median counts (5)')
    parser.add_argument('--shards', type=int, default=400, help='shards of the store of many small ones (400)')
    parser.add_argument('--folder', type=Path, help="where to write (default: the system's temporary folder)")
    return parser.parse_args()


def draw(args: argparse.Namespace) -> Iterator[tuple[str, Regions]]:
    """The same images each time; features are as sparse as those behind a rectifier."""
    rng = np.random.default_rng(0)
    for number in range(args.images):
        features = np.maximum(rng.standard_normal((args.regions, args.feature_dim), np.float32), 0)
        boxes = rng.random((args.regions, 4), np.float32) * 200
        boxes[:, 2:] += boxes[:, :2] + 1
        yield f'{number:012d}', Regions(features, boxes, _SIZE)


def make_readers(folder: Path, args: argparse.Namespace) -> dict[str, Read]:
    """Write every layout into the folder; name -> what reads an image."""
    for name in ('npz_float16', 'npz_float32'):
        (folder / name).mkdir()
    names = ('volta_raw', 'volta_base64')
    databases = {name: lmdb.open(str(folder / name), map_size=1 << 40) for name in names}
    for image_id, regions in track(draw(args), 'writing', args.images, console=_CONSOLE):
        size = {'img_h': _SIZE[0], 'img_w': _SIZE[1]}
        arrays = {'features': regions.features, 'boxes': regions.boxes}
        coded = {name: base64.b64encode(values.tobytes()) for name, values in arrays.items()}
        records = ({**arrays, **size}, {**coded, **size, 'num_boxes': len(regions)})
        for name, record in zip(names, records, strict=True):
            with databases[name].begin(write=True) as transaction:
                transaction.put(image_id.encode(), pickle.dumps(record, protocol=4))
        for name in ('float16', 'float32'):
            features = regions.features.astype(name)
            path = folder / f'npz_{name}' / f'{image_id}.npz'
            np.savez(path, features=features, boxes=regions.boxes, image_h=_SIZE[0], image_w=_SIZE[1])
    for database in databases.values():
        database.close()
    write_store(folder / 'store', args, _SHARD)
    readers = {'store': by_reader(RoiStore(folder / 'store'))}
    for name in names:
        readers[f'{name}, rc3mm'] = by_reader(VoltaLmdb(folder / name))
        readers[f'{name}, plain'] = plain_volta(folder / name, name == 'volta_base64')
    for name in ('npz_float16', 'npz_float32'):
        readers[f'{name}, rc3mm'] = by_reader(RoiNpzFolder(folder / name))
        readers[f'{name}, plain'] = plain_npz(folder / name)
    return readers


def write_store(folder: Path, args: argparse.Namespace, size: int) -> None:
    """A store, with `size` images a shard."""
    images = draw(args)
    count = -(-args.images // size)
    begin_store(folder, RoiManifest('drawn', 'drawn', args.feature_dim, count, size, 'drawn'))
    for number in range(count):
        write_shard(folder, number, islice(images, size))
    finish_store(folder)


def by_reader(source: Any) -> Read:
    """Reads with a reader of rc3mm."""

    def read(image_id: str) -> tuple[np.ndarray, np.ndarray]:
        regions = source.get(image_id)
        return regions.features, regions.boxes

    return read


def plain_volta(path: Path, is_base64: bool) -> Read:
    """Reads the pickles that this script has written."""
    database = LmdbFile(path)  # a file can be opened once only, so both ways share it

    def read(image_id: str) -> tuple[np.ndarray, np.ndarray]:
        record = pickle.loads(database.get(image_id) or b'')
        if not is_base64:
            return record['features'], record['boxes']
        count = record['num_boxes']
        boxes, features = (np.frombuffer(base64.b64decode(record[key]), np.float32) for key in ('boxes', 'features'))
        return features.reshape(count, -1).copy(), boxes.reshape(count, 4).copy()

    return read


def plain_npz(folder: Path) -> Read:
    """Reads with np.load."""

    def read(image_id: str) -> tuple[np.ndarray, np.ndarray]:
        with np.load(folder / f'{image_id}.npz') as arrays:
            return arrays['features'], arrays['boxes']

    return read


def measure_shards(args: argparse.Namespace) -> dict[str, Any]:
    """Read the same small images from few shards and from many; a part of the report."""
    count = args.shards * _IN_SMALL_SHARD
    small = argparse.Namespace(images=count, rounds=args.rounds, **_SMALL)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix='roi_store_') as folder:
        few, many = f'{_FEW_SHARDS} shards', f'{args.shards} shards'
        for name, size in ((few, -(-count // _FEW_SHARDS)), (many, _IN_SMALL_SHARD)):
            write_store(Path(folder) / name, small, size)
        seconds = measure({name: by_reader(RoiStore(Path(folder) / name)) for name in (few, many)}, small)
    medians, ratios = compare(seconds, count, many)
    return {
        'images': count,
        **_SMALL,
        'images_per_second': {name: round(value) for name, value in medians.items()},
        'many_times_as_fast_as_few': round(ratios[few], 2),
    }


def measure(readers: dict[str, Read], args: argparse.Namespace) -> dict[str, list[float]]:
    """Name -> seconds for all images, a number a round; the first round is not counted."""
    order = [f'{number:012d}' for number in np.random.default_rng(1).permutation(args.images)]
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for turn in track(range(args.rounds + 1), 'reading', console=_CONSOLE):
        for name, read in readers.items():
            started = time.perf_counter()
            for image_id in order:
                for array in read(image_id):
                    torch.from_numpy(array).float()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def compare(seconds: dict[str, list[float]], images: int, main: str) -> tuple[dict[str, float], dict[str, float]]:
    """Name -> images a second, and name -> how many times as fast `main` is, both the medians of all rounds."""
    speeds = {name: [images / value for value in values] for name, values in seconds.items()}
    # ratios of neighbours in time, so that what slows the machine for a while slows both
    ratios = {
        name: statistics.median(one / other for one, other in zip(speeds[main], values, strict=True))
        for name, values in speeds.items()
    }
    return {name: statistics.median(values) for name, values in speeds.items()}, ratios


def folder_size(path: Path) -> int:
    """Bytes on the disk; LMDB files have holes."""
    files = [path] if path.is_file() else path.rglob('*')
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


if __name__ == '__main__':
    main()
