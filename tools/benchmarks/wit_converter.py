"""Convert made-up tables in WIT's layout, and report rate and memory as one JSON line.

The rows look like WIT's: 17 columns, captions, alternative texts and attributions of natural lengths, pages' paragraphs
behind them; the share of the languages and the number of pages that show an image are roughly WIT's. The texts are
random words, so nothing is said about what is kept of the real corpus.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

ROOT = Path(__file__).resolve().parents[2]
# rows a language in thousands, of the 37.6 million; the rest stands for about a hundred others
_LANGUAGES = {
    'en': 5412, 'de': 3399, 'fr': 3142, 'es': 2281, 'it': 1878, 'ru': 1690, 'pl': 1471, 'nl': 1379,
    'pt': 1331, 'ja': 1230, 'sv': 1195, 'zh': 1081, 'uk': 938, 'ca': 848, 'cs': 630, 'ar': 560, 'vi': 480,
    'hu': 477, 'fi': 440, 'fa': 390, 'eo': 300, 'ko': 295, 'tr': 290, 'he': 280,
}  # fmt: skip
_OTHERS = 5600
_PAGES_AN_IMAGE = 3.3  # 37.6 million rows, 11.5 million images
_KANJI = [chr(code) for code in range(0x4E00, 0x4E00 + 2000)]


def main() -> None:
    """Make the tables, convert them, print."""
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder, prefix='wit_') as folder:
        tables = make_tables(Path(folder), args)
        out = Path(folder) / 'shards'
        command = [sys.executable, str(ROOT / 'tools/dataset_converters/wit_to_shards.py'), *map(str, tables), str(out)]
        command += ['--memory-limit', args.memory_limit, '--threads', str(args.threads), '--keep-work']
        began = time.monotonic()
        peak, temp = watch(subprocess.Popen(command, stdout=subprocess.DEVNULL), Path(f'{out}.work'))
        seconds = time.monotonic() - began
        manifest = json.loads((out / 'manifest.json').read_text(encoding='utf-8'))
        report = {
            'benchmark': 'wit_converter',
            'rows': args.rows,
            'tables_mb': round(sum(table.stat().st_size for table in tables) / 1e6),
            'uncompressed_bytes_a_row': args.bytes_a_row,
            'seconds': round(seconds, 1),
            'rows_per_second': round(args.rows / seconds),
            'memory_limit': args.memory_limit,
            'peak_memory_gb': round(peak / 1e6, 2),
            'temp_gb': round(temp / 1e9, 2),
            'kept_images': manifest['rows'],
            'kept_texts': manifest['texts'],
            'threads': args.threads,
        }
    print(json.dumps(report))


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example (about 6 GB in the folder):\n'
        '  python tools/benchmarks/wit_converter.py --rows 5000000 --memory-limit 2GB --folder /data/tmp',
    )
    parser.add_argument('--rows', type=int, default=5_000_000, help='rows over all tables (5,000,000)')
    parser.add_argument('--tables', type=int, default=2, help='number of tables (2)')
    parser.add_argument('--memory-limit', default='2GB', help='of the converter (2GB)')
    parser.add_argument('--threads', type=int, default=2, help='of the converter (2)')
    parser.add_argument('--folder', type=Path, help='where to put the tables (the temporary folder)')
    return parser.parse_args()


def watch(process: subprocess.Popen, work: Path) -> tuple[int, int]:
    """Wait for the converter; its peak memory in kilobytes as the kernel counts it, and bytes of its working files."""
    largest = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        files = [path.stat().st_size for path in work.rglob('*') if path.is_file()] if work.is_dir() else []
        largest = max(largest, sum(files))
        time.sleep(0.5)
    if status:
        raise SystemExit(f'the converter failed with status {status}')
    return usage.ru_maxrss, largest


# -- tables


def make_tables(folder: Path, args: argparse.Namespace) -> list[Path]:
    """Write the tables; the length of a row goes into `args.bytes_a_row`."""
    rng = np.random.default_rng(0)
    texts = Texts(rng)
    paths, written = [], 0
    for number in range(args.tables):
        path = folder / f'wit_v1.train.all-{number:05d}-of-{args.tables:05d}.tsv.gz'
        paths.append(path)
        rows = args.rows // args.tables + (number < args.rows % args.tables)
        with gzip.open(path, 'wb', compresslevel=1) as file:
            chunks = list(range(0, rows, 10_000))
            for start in track(chunks, f'making table {number + 1} of {args.tables}', disable=not sys.stderr.isatty()):
                block = ''.join(make_rows(min(10_000, rows - start), args.rows, texts, rng)).encode()
                written += len(block)
                file.write(block)
    args.bytes_a_row = round(written / args.rows)
    return paths


class Texts:
    """Random texts, cut out of long ones that are made once a language."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.codes = [*_LANGUAGES, *(f'q{chr(97 + k // 26)}{chr(97 + k % 26)}' for k in range(84))]
        shares = np.array([*_LANGUAGES.values(), *[_OTHERS / 84] * 84], dtype=float)
        self.shares = shares / shares.sum()
        letters = np.array(list('abcdefghijklmnopqrstuvwxyzéüčřß'))
        words = [''.join(rng.choice(letters, size=size)) for size in rng.integers(2, 11, size=20_000)]
        self.spaced = ' '.join(words[k] for k in rng.integers(0, len(words), size=200_000))
        self.dense = ''.join(_KANJI[k] for k in rng.integers(0, len(_KANJI), size=400_000))

    def cut(self, code: str, length: int, where: int) -> str:
        """A text of about `length` letters (a third of them in scripts without spaces)."""
        whole, length = (self.dense, length // 3 + 1) if code in ('ja', 'zh') else (self.spaced, length)
        start = where % (len(whole) - length)
        return whole[start : start + length].strip()


def make_rows(count: int, total: int, texts: Texts, rng: np.random.Generator) -> Iterator[str]:
    """Rows of random images; an image is shown on a number of pages that falls off like WIT's."""
    images = (total / _PAGES_AN_IMAGE * rng.beta(0.9, 1.2, size=count)).astype(np.int64)
    codes = rng.choice(len(texts.codes), size=count, p=texts.shares)
    lengths = np.clip(rng.lognormal(4.2, 0.8, size=(count, 3)), 2, 900).astype(int)
    there = rng.random((count, 3)) < (0.45, 0.62, 0.15)  # caption, attribution, alternative text
    places = rng.integers(0, 1 << 40, size=(count, 5))
    for image, code, sizes, has, place in zip(images, codes, lengths, there, places, strict=True):
        language = texts.codes[code]
        name = f'{image:x}_{texts.cut("en", 24, int(image) * 7919).replace(" ", "_")}.jpg'
        caption, attribution, alt_text = (
            texts.cut(language, int(size), int(at)) if is_there else ''
            for size, at, is_there in zip(sizes, place, has, strict=False)
        )
        if attribution and image % 3 == 0:
            attribution = (
                f'English: {attribution} Deutsch: {texts.cut("de", 60, int(place[3]))}. Own work, CC BY-SA 4.0'
            )
        yield (
            '\t'.join(
                (
                    language,
                    f'https://{language}.wikipedia.org/wiki/{place[3]:x}',
                    f'https://upload.wikimedia.org/wikipedia/commons/{image % 16:x}/{image % 256:02x}/{name}',
                    texts.cut(language, 20, int(place[3])),
                    '',
                    texts.cut(language, 20, int(place[3])),
                    caption,
                    attribution,
                    alt_text,
                    'image/jpeg',
                    '1200',
                    '1600',
                    'false',
                    'true' if place[4] % 3 else 'false',
                    'true',
                    texts.cut(language, 420, int(place[3])),
                    texts.cut(language, 220, int(place[4])),
                )
            )
            + '\n'
        )


if __name__ == '__main__':
    main()
