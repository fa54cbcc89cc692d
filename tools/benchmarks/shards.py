"""Compare reads of image-text shards with those of the `datasets` library; prints one JSON line.

Both read the same Parquet files; the library's map-style dataset also reads its own Arrow copy of them, which it makes
first and maps into memory. A read ends with the encoded image and the texts. Rows are read at random, in the windows of
the order 'stream' (blocks of 1,024 rows, shuffled a few together), and in sequence. Every way is tried once before the
clock runs, so all lie in the page cache, if the memory is large enough.

Memory is that of a process of its own that reads a set at random, in windows and in sequence, for a set and one of ten
times the rows: what it had after its imports, and its peak while it read.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from rc3mm.datasets.orders import StreamOrder
from rc3mm.datasets.shards import ImageTextRecord, ShardSet, ShardWriter

Way = Callable[[int], object]
_CONSOLE = Console(stderr=True)
_BLOCK, _WINDOW = 1024, 4
_TEXTS = (('en', 'a dog and a violin on a red sofa'), ('de', 'ein Hund und eine Geige'), ('ja', '犬とヴァイオリン'))


def main() -> None:
    """Write, measure and print."""
    args = parse_args()
    if args.peak_of:
        print(json.dumps(peak_of(args.peak_of)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder, prefix='shards_') as name:
        folder = Path(name)
        write(folder / 'set', args.rows, args.image_bytes)
        seconds = measure(ways_of(folder, args), args)
        rates = {way: round(args.reads / statistics.median(times)) for way, times in seconds.items()}
        peaks = {}
        for rows in (args.rows, 10 * args.rows):
            if rows > args.rows:
                write(folder / 'tenfold', rows, args.image_bytes)
            peaks[f'{rows} rows'] = peak(folder / ('set' if rows == args.rows else 'tenfold'))
    report = {
        'benchmark': 'shards',
        'rows': args.rows,
        'image_bytes': args.image_bytes,
        'reads': args.reads,
        'rounds': args.rounds,
        'rows_per_second': rates,
        'shards_times_as_fast': {
            'random, as its Arrow copy': ratio(rates, 'shards, random', 'datasets, random'),
            'windows, as its Arrow copy at random': ratio(rates, 'shards, windows', 'datasets, random'),
            'sequence, as its stream': ratio(rates, 'shards, sequence', 'datasets, stream'),
            'sequence, as its Arrow copy': ratio(rates, 'shards, sequence', 'datasets, sequence'),
        },
        'megabytes': peaks,
    }
    print(json.dumps(report))


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example (about 2.4 GB in the temporary folder):\n  python tools/benchmarks/shards.py --rows 8192\n',
    )
    parser.add_argument('--rows', type=int, default=8192, help='rows of the set (8192)')
    parser.add_argument('--image-bytes', type=int, default=20_000, help='size of an encoded image (20000)')
    parser.add_argument('--reads', type=int, default=4096, help='rows read a round (4096)')
    parser.add_argument('--rounds', type=int, default=3, help='how often each way is tried; the median counts (3)')
    parser.add_argument('--folder', type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument('--peak-of', type=Path, help=argparse.SUPPRESS)  # what the processes of `peak` do
    return parser.parse_args()


def write(folder: Path, rows: int, image_bytes: int) -> None:
    """A set of rows whose images are noise, which cannot be compressed, as encoded images cannot."""
    rng = np.random.default_rng(0)
    with ShardWriter(folder, made_of={}, kind='strict') as writer:
        for number in track(range(rows), 'writing', console=_CONSOLE):
            writer.add(ImageTextRecord(f'{number}', _TEXTS, image_bytes=rng.bytes(image_bytes)), number)


def ways_of(folder: Path, args: argparse.Namespace) -> dict[str, Way]:
    """Name -> what reads a number of rows."""
    import datasets  # takes seconds, and the processes of `peak` do without

    datasets.disable_progress_bars()
    files = str(folder / 'set' / 'part-*.parquet')
    load: dict[str, Any] = dict(path='parquet', data_files=files, split='train', cache_dir=str(folder / 'arrow'))
    mapped = datasets.load_dataset(**load).cast_column('image', datasets.Image(decode=False))
    streamed = datasets.load_dataset(**load, streaming=True).cast_column('image', datasets.Image(decode=False))
    order = np.random.default_rng(1).permutation(args.rows)
    window = min(_WINDOW, -(-args.rows // _BLOCK))
    in_windows = StreamOrder(args.rows, (0,), 1, _BLOCK, window).take(0, 0, args.rows).indices_N
    shards, windows = ShardSet(folder / 'set'), ShardSet(folder / 'set', cached_groups=window * _BLOCK // 64)
    return {
        'shards, random': lambda reads: [shards.record(int(row)) for row in order[:reads]],
        'shards, windows': lambda reads: [windows.record(int(row)).image_bytes for row in in_windows[:reads]],
        'shards, sequence': lambda reads: [len(row.image_bytes or b'') for row in shards.iter_records(0, reads)],
        'datasets, random': lambda reads: [mapped[int(row)] for row in order[:reads]],
        'datasets, sequence': lambda reads: [len(row['image']['bytes']) for row in mapped.select(range(reads))],
        'datasets, stream': lambda reads: [len(row['image']['bytes']) for row in streamed.take(reads)],
    }


def measure(ways: dict[str, Way], args: argparse.Namespace) -> dict[str, list[float]]:
    """Name -> seconds for all reads, a number a round; the ways take turns, and the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in track(range(args.rounds + 1), 'reading', console=_CONSOLE):
        for name, way in ways.items():
            start = time.perf_counter()
            way(min(args.reads, args.rows))
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(rates: dict[str, int], ours: str, theirs: str) -> float:
    """How many times as fast."""
    return round(rates[ours] / max(rates[theirs], 1), 2)


def peak(folder: Path) -> dict[str, float]:
    """Memory in megabytes of a process that reads a set."""
    command = [sys.executable, __file__, '--peak-of', str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_of(folder: Path) -> dict[str, float]:
    """Read a set in every way, and say how much memory that took; mapped files count as far as they were read."""
    before = resident()
    highest = before
    shards = ShardSet(folder)
    windows = StreamOrder(len(shards), (0,), 1, _BLOCK, _WINDOW).take(0, 0, 2 * _BLOCK * _WINDOW).indices_N
    shards.text_lengths.max()
    for row in np.random.default_rng(0).integers(len(shards), size=1000).tolist():
        shards.record(row)
    highest = max(highest, resident())
    for number, _ in enumerate(shards.iter_records()):
        highest = max(highest, resident()) if number % 256 == 0 else highest
    shards.cached_groups, shards.whole_groups = _WINDOW * _BLOCK // 64, True
    for number, row in enumerate(windows.tolist()):
        shards.record(row)
        highest = max(highest, resident()) if number % 256 == 0 else highest
    return {'before': round(before, 1), 'peak': round(highest, 1)}


def resident() -> float:
    """Memory of this process in megabytes."""
    pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == '__main__':
    main()
