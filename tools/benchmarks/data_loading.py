"""Rate of the data path beside torchvision's `ImageFolder`, and what a training step waits for; prints one JSON line.

Both read the same JPEG files, through loaders with as many workers and batches of one size, in turns. No photographs
ship, so the pictures are scenes of emoji under blurred noise, which makes the files as large as photographs' (about
1.9 bits a pixel at quality 90). `crop` is RandomResizedCrop to 224 pixels and a flip, `squash` a bicubic resize to
224 x 224 as the pre-training configs have it. ImageFolder is taken as its users write it (ToTensor and Normalize in the
workers) and with uint8 tensors, as ours are. Ours reads a shard set, and is measured with images alone and with two
texts that are tokenised and masked. `roi` reads cached regions in the place of images.

Rates are images a second of wall time, and of processor time of this process and its workers together (`a core`), which
other work on the machine disturbs less; the clock starts when the workers are warm. `wait` runs a config's real steps
behind its real loader: the share of the time that they wait for a batch. Memory is what a worker alone holds (USS), and
with its share of what it has in common with others (PSS), after a tenth of two passes and at their end. Needs Linux.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image, ImageFilter
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, RandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from rc3mm.datasets import EmojiStrict, MixedSources, MixedSourceSampler, vl_collate
from rc3mm.datasets.roi import RoiManifest, begin_store, finish_store, write_shard
from rc3mm.datasets.shards import ImageTextRecord, ShardWriter
from rc3mm.registry import MODELS
from rc3mm.structures.regions import Regions
from rc3mm.utils.frozen import frozen_objects

_CONSOLE = Console(stderr=True)
_SIDE = 224
_REGIONS, _WIDTH = 36, 2048
_SCENES = 48  # different ones; noise and place of the cut make more of them
_BLOCK = 64
_STATISTICS = {'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
_CROP: list[dict[str, Any]] = [
    dict(type='RandomResizedCrop', size=_SIDE, scale=(0.08, 1.0)),
    dict(type='RandomHorizontalFlip'),
]
Loader = Callable[[], DataLoader]


class Rate(NamedTuple):
    """What one pass over the batches took.

    Attributes:
        images: their number.
        wall: seconds.
        processor: seconds of this process and of the workers together.
        delivered: bytes of the batches' tensors.
    """

    images: int
    wall: float
    processor: float
    delivered: int


def main() -> None:
    """Draw, measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    width, height = map(int, args.size.split('x'))
    with tempfile.TemporaryDirectory(dir=args.folder, prefix='data_loading_') as name:
        folder = Path(name)
        encoded_bytes = write_images(folder, args, width, height)
        write_regions(folder / 'regions', args.images)
        loaders = make_loaders(folder, args)
        batches = args.images // args.batch_size
        rates = measure(loaders, batches, args.rounds)
        memory = {
            way: worker_memory(loaders[way](), 2 * batches)
            for way in ('crop: rc3mm', 'crop: ImageFolder', 'roi: rc3mm')
        }
    best = {name: median_rate(found) for name, found in rates.items()}
    report = {
        'benchmark': 'data_loading',
        'device': f'cpu, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}',
        'images': args.images,
        'size': [width, height],
        'file_kilobytes': round(encoded_bytes / args.images / 1000, 1),
        'workers': args.workers,
        'batch_size': args.batch_size,
        'rounds': args.rounds,
        'images_per_second': {name: round(rate.images / rate.wall, 1) for name, rate in best.items()},
        'images_per_second_a_core': {name: round(rate.images / rate.processor, 1) for name, rate in best.items()},
        'gigabytes_per_second': {name: round(rate.delivered / rate.wall / 1e9, 3) for name, rate in best.items()},
        'read_gigabytes_per_second': {
            name: round(encoded_bytes / args.images * rate.images / rate.wall / 1e9, 4)
            for name, rate in best.items()
            if not name.startswith('roi')
        },
        'times_as_fast': compare(rates),
        'worker_megabytes': memory,
        'peak_memory_mb': round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        'wait': wait(args) if args.steps else None,
        'versions': {
            'python': platform.python_version(),
            'torch': torch.__version__,
            'torchvision': torchvision.__version__,
            'pillow': Image.__version__,
        },
    }
    print(json.dumps(report))


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n'
        '  python tools/benchmarks/data_loading.py\n'
        '  python tools/benchmarks/data_loading.py --size 1024x768 --images 512 --steps 0\n'
        '  python tools/benchmarks/data_loading.py --images 128 --config configs/rc3/pretrain_base.py --steps 20\n',
    )
    parser.add_argument('--images', type=int, default=1024, help='images of a pass, each another file (1024)')
    parser.add_argument('--size', default='500x375', help='width and height of the files, in pixels (500x375)')
    parser.add_argument('--quality', type=int, default=90, help='of the JPEG files (90)')
    parser.add_argument('--workers', type=int, default=2, help='processes of every loader, at least 1 (2)')
    parser.add_argument('--threads', type=int, default=1, help='threads of this process (1)')
    parser.add_argument('--batch-size', type=int, default=64, help='images a batch (64)')
    parser.add_argument(
        '--rounds', type=int, default=3, help='passes of every way, after one to warm up; the median counts'
    )
    parser.add_argument('--config', default='configs/rc3/pretrain_tiny.py', help='whose steps wait for data')
    parser.add_argument('--steps', type=int, default=30, help='its steps that are timed; 0 to leave them out (30)')
    parser.add_argument('--warmup', type=int, default=5, help='steps before (5)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override entries of the config')
    parser.add_argument('--folder', type=Path, help="where to write (default: the system's temporary folder)")
    args = parser.parse_args()
    if args.workers < 1 or args.images < args.workers * _BLOCK or args.images < args.batch_size:
        parser.error(f'--images must be at least {_BLOCK} a worker and one batch, --workers at least 1')
    return args


# ---------------------------------------------------------------------------------------------------------- files


def write_images(folder: Path, args: argparse.Namespace, width: int, height: int) -> int:
    """JPEG files for ImageFolder, and a shard set of the same bytes; the bytes of all files."""
    files = folder / 'files' / 'all'
    files.mkdir(parents=True)
    scenes = EmojiStrict(num_scenes=_SCENES, level='hard', image_size=max(width, height))
    rng, total = np.random.default_rng(0), 0
    with ShardWriter(folder / 'set', made_of={}, kind='strict') as writer:
        for number in track(range(args.images), 'drawing', console=_CONSOLE):
            sample = scenes.get_sample(number % _SCENES)
            encoded = encode(sample['image'], width, height, args.quality, rng)
            (files / f'{number:06d}.jpg').write_bytes(encoded)
            texts = tuple((language, text) for language, text in sample['texts'])
            writer.add(ImageTextRecord(f'{number:06d}', texts, image_bytes=encoded), number)
            total += len(encoded)
    return total


def encode(image: np.ndarray, width: int, height: int, quality: int, rng: np.random.Generator) -> bytes:
    """A part of a picture, with texture, as JPEG."""
    top, left = (
        int(rng.integers(side - wanted + 1)) for side, wanted in zip(image.shape, (height, width), strict=False)
    )
    part = image[top : top + height, left : left + width]
    noise = rng.normal(128, 60, part.shape).clip(0, 255).astype(np.uint8)
    texture = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1)), np.int16) - 128
    buffer = BytesIO()
    Image.fromarray((part + texture).clip(0, 255).astype(np.uint8)).save(buffer, 'JPEG', quality=quality)
    return buffer.getvalue()


def write_regions(folder: Path, images: int) -> None:
    """A store of regions of the images, as sparse as those behind a rectifier."""

    def draw() -> Iterator[tuple[str, Regions]]:
        rng = np.random.default_rng(0)
        for number in track(range(images), 'regions', console=_CONSOLE):
            boxes = rng.random((_REGIONS, 4), np.float32) * 100
            boxes[:, 2:] += boxes[:, :2] + 1
            features = np.maximum(rng.standard_normal((_REGIONS, _WIDTH), np.float32), 0)
            yield f'{number:06d}', Regions(features, boxes, (375, 500))

    begin_store(folder, RoiManifest('drawn', 'drawn', _WIDTH, 1, images, 'drawn'))
    write_shard(folder, 0, draw())
    finish_store(folder)


# -------------------------------------------------------------------------------------------------------- loaders


def make_loaders(folder: Path, args: argparse.Namespace) -> dict[str, Loader]:
    """Name -> what makes a loader of one pass."""
    decode, pack = dict(type='DecodeImage'), dict(type='PackVLInputs')
    texts = [
        dict(type='Tokenize', tokenizer='emoji'),
        dict(type='MaskTokens', tokenizer='emoji', kinds=('pair',), probability=0.4, max_masked=12),
    ]
    crop = [decode, dict(type='Augment', transforms=_CROP)]
    squash = [dict(decode, at_least=_SIDE), dict(type='ResizeImage', size=_SIDE)]
    store = dict(type='RoiStore', path=str(folder / 'regions'))
    roi = dict(type='LoadRegions', source=store, feature_dim=_WIDTH, drop_image=True)
    ways = {'crop': crop, 'squash': squash, 'roi': [roi]}
    loaders: dict[str, Loader] = {}
    for name, steps in ways.items():
        loaders[f'{name}: rc3mm'] = partial(our_loader, folder / 'set', [*steps, pack], args)
        loaders[f'{name}: rc3mm, with texts'] = partial(our_loader, folder / 'set', [*steps, *texts, pack], args)
    resize = v2.Resize((_SIDE, _SIDE), v2.InterpolationMode.BICUBIC)
    theirs = {'crop': [getattr(v2, step['type'])(**_arguments(step)) for step in _CROP], 'squash': [resize]}
    as_float = [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(**_STATISTICS)]
    for name, steps in theirs.items():
        loaders[f'{name}: ImageFolder'] = partial(their_loader, folder / 'files', [*steps, *as_float], args)
        loaders[f'{name}: ImageFolder, uint8'] = partial(
            their_loader, folder / 'files', [*steps, v2.PILToTensor()], args
        )
    return loaders


def _arguments(step: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key != 'type'}


def our_loader(folder: Path, pipeline: list[Any], args: argparse.Namespace) -> DataLoader:
    """The endless loader of a pre-training config."""
    dataset = MixedSources(dict(strict=dict(type='ShardedPairs', path=str(folder), pipeline=pipeline)))
    order = dict(strict='stream')
    sampler: Any = MixedSourceSampler(dataset, args.batch_size, order=order, stream_block=_BLOCK, stream_window=1)
    sampler.workers = args.workers
    collate = partial(vl_collate, pad_id=1)
    return DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=args.workers, collate_fn=collate)


def their_loader(folder: Path, transforms: list[Any], args: argparse.Namespace) -> DataLoader:
    """The loader that torchvision's users write, endless."""
    dataset = ImageFolder(str(folder), v2.Compose(transforms))
    order = RandomSampler(dataset, num_samples=1 << 40)
    return DataLoader(dataset, args.batch_size, sampler=order, num_workers=args.workers)


# -------------------------------------------------------------------------------------------------------- measures


def measure(loaders: dict[str, Loader], batches: int, rounds: int) -> dict[str, list[Rate]]:
    """Name -> a rate a round; the ways take turns, and the first round is not counted."""
    found: dict[str, list[Rate]] = {name: [] for name in loaders}
    for turn in track(range(rounds + 1), 'loading', console=_CONSOLE):
        for name, make in loaders.items():
            rate = run(make(), batches)
            if turn:
                found[name].append(rate)
    return found


def run(loader: DataLoader, batches: int) -> Rate:
    """So many batches, behind those that the workers start with."""
    iterator: Any = iter(loader)
    for _ in range(loader.num_workers * (loader.prefetch_factor or 1)):
        next(iterator)
    processes = [os.getpid(), *(worker.pid for worker in iterator._workers)]
    processor, start = sum(map(processor_seconds, processes)), time.perf_counter()
    images = delivered = 0
    for batch in islice(iterator, batches):
        tensors = list(tensors_of(batch['inputs'] if isinstance(batch, dict) else batch[:1]))
        images += len(tensors[0])
        delivered += sum(tensor.nbytes for tensor in tensors)
    wall = time.perf_counter() - start
    return Rate(images, wall, sum(map(processor_seconds, processes)) - processor, delivered)


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """The tensors within lists and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_of(item)


def processor_seconds(process: int) -> float:
    """Time that the threads of a process have run."""
    threads = Path(f'/proc/{process}/task').glob('*/schedstat')
    return sum(int(thread.read_text(encoding='ascii').split()[0]) for thread in threads) / 1e9


def median_rate(rates: list[Rate]) -> Rate:
    """The round of median wall time, with the median of the processor's."""
    middle = sorted(rates, key=lambda rate: rate.wall)[len(rates) // 2]
    return middle._replace(processor=statistics.median(rate.processor for rate in rates))


def compare(rates: dict[str, list[Rate]]) -> dict[str, dict[str, float]]:
    """How many times as fast ours is, by wall and by processor time: the median of the rounds' ratios."""
    found = {}
    for way in ('crop', 'squash'):
        for peer in ('ImageFolder', 'ImageFolder, uint8'):
            pairs = list(zip(rates[f'{way}: rc3mm'], rates[f'{way}: {peer}'], strict=True))
            found[f'{way}, as {peer}'] = {
                'wall': round(statistics.median(theirs.wall / ours.wall for ours, theirs in pairs), 2),
                'a core': round(statistics.median(theirs.processor / ours.processor for ours, theirs in pairs), 2),
            }
    return found


def worker_memory(loader: DataLoader, batches: int) -> dict[str, float]:
    """Megabytes of the largest worker, after a tenth of the batches and at the end."""
    with frozen_objects():
        iterator: Any = iter(loader)
    found = {}
    for when, count in (('early', -(-batches // 10)), ('late', batches - batches // 10)):
        for _ in islice(iterator, count):
            pass
        sizes = [memory_of(worker.pid) for worker in iterator._workers]
        found |= {f'{kind}, {when}': round(max(size[kind] for size in sizes), 1) for kind in sizes[0]}
    return found


def memory_of(process: int) -> dict[str, float]:
    """Private (USS) and proportional (PSS) megabytes of a process."""
    lines = Path(f'/proc/{process}/smaps_rollup').read_text(encoding='ascii').splitlines()[1:]
    size = {line.split(':')[0]: int(line.split()[1]) / 1024 for line in lines}
    return {'USS': size['Private_Clean'] + size['Private_Dirty'], 'PSS': size['Pss']}


def wait(args: argparse.Namespace) -> dict[str, Any]:
    """The steps of a config behind its own loader, and how long they wait for batches."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope('rc3mm')
    device = torch.device(get_device())
    model = MODELS.build(cfg.model).to(device).train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    if hasattr(loader.sampler, 'workers'):
        loader.sampler.workers = max(loader.num_workers, 1)
    batches, waiting, working = iter(loader), [], []
    for _ in track(range(args.warmup + args.steps), 'steps', console=_CONSOLE):
        start = time.perf_counter()
        batch = next(batches)
        ready = time.perf_counter()
        model.train_step(batch, wrapper)
        if device.type == 'cuda':
            torch.cuda.synchronize()
        waiting.append(ready - start)
        working.append(time.perf_counter() - ready)
    waited, worked = sum(waiting[args.warmup :]), sum(working[args.warmup :])
    return {
        'config': args.config,
        'device': torch.cuda.get_device_name() if device.type == 'cuda' else f'cpu, {torch.get_num_threads()} threads',
        'workers': loader.num_workers,
        'steps': args.steps,
        'seconds_a_step': round((waited + worked) / args.steps, 4),
        'share_of_waiting_percent': round(100 * waited / (waited + worked), 2),
    }


if __name__ == '__main__':
    main()
