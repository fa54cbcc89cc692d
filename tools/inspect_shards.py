"""Look into a set of image-text shards: what it holds, what was left out, whether it is whole; see --help."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cli import CommandLineError, in_one_line, run_main
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from tables import drop_table, verbatim

from rc3mm.datasets.image_sources import BadImageError, decode_image
from rc3mm.datasets.shards import DropReport, ImageTextRecord, ShardSet
from rc3mm.datasets.shards.verification import known_files
from rc3mm.visualization.captions import CaptionedImage, draw_captions

_SHOWN = 10  # pairs of languages, reasons, problems
_BINS = np.linspace(0, 1, 11)
_CHUNK = 1 << 20  # values of a mapped array that are looked at together
_BARS = '·▁▂▃▄▅▆▇█'
_EXAMPLES = """\
examples:
  python tools/inspect_shards.py data/wit/train
  python tools/inspect_shards.py data/wit/train --verify
  python tools/inspect_shards.py data/wit/train --row 17
  python tools/inspect_shards.py data/wit/train --picture rows.png --num 12 --start 5000

exit code: 0; with --verify 1 if something is damaged; 2 if there is no shard set
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Say what a set of image-text shards holds, check that it is whole, and show its rows.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('shards', type=Path, help='folder of the set')
    parser.add_argument('--verify', action='store_true', help='read everything and compare the checksums')
    parser.add_argument('--row', type=int, metavar='N', help='print a row')
    parser.add_argument('--picture', type=Path, metavar='PICTURE.png', help='draw rows with all their texts')
    parser.add_argument('--num', type=int, default=8, metavar='N', help='rows in the picture (8)')
    parser.add_argument('--start', type=int, default=0, metavar='N', help='first row in the picture (0)')
    args = parser.parse_args()
    if args.num < 1:
        parser.error('--num must be at least 1')
    return args


@in_one_line(OSError, ValueError, IndexError, ImportError)
def main() -> None:
    """Do what the command line asks for."""
    args = parse_args()
    console = Console()
    shards = ShardSet(args.shards)
    if args.verify:
        verify(shards, console)
    elif args.row is not None:
        print_row(shards, args.row, console)
    else:
        drops = drop_table(DropReport.from_json(shards.manifest.report))
        for table in (summary(shards), languages(shards), relevance(shards), drops):
            if table.row_count:
                console.print(table)
    if args.picture:
        draw(shards, args)
        console.print(verbatim(f'picture: {args.picture}'), soft_wrap=True)


def verify(shards: ShardSet, console: Console) -> None:
    """Say whether all is well; exit code 1 if not."""
    total = sum(file.bytes for file in known_files(shards.folder, shards.manifest)[0])
    columns = (TextColumn('checking'), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task('', total=total)
        problems = shards.verify(lambda size: progress.advance(task, size))
    if not problems:
        console.print(f'intact: {shards.folder}, {len(shards):,} rows', style='green', markup=False)
        return
    many = 's' * (len(problems) > 1)
    console.print(f'DAMAGED: {shards.folder}, {len(problems):,} problem{many}', style='bold red', markup=False)
    for problem in problems[:_SHOWN]:
        console.print(f'- {problem}', markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _SHOWN:
        console.print(f'- and {len(problems) - _SHOWN:,} more')
    sys.exit(1)


def print_row(shards: ShardSet, row: int, console: Console) -> None:
    """All that is known of a row."""
    record = shards.record(row)
    image = 'none'
    if record.image_bytes is not None:
        image = f'{decimal(len(record.image_bytes))} in the row' + (f', {_size_of(record, "")}')
    elif record.image_path is not None:
        image = f'{record.image_path}, {_size_of(record, shards.manifest.image_root)}'
    table = _table(f'row {row} of {shards.folder}', '', '')
    cells = {'image_id': record.image_id, 'image': image, 'source': record.source_id, 'url': record.url}
    cells |= {f'text {place} ({language})': text for place, (language, text) in enumerate(record.texts)}
    for name in shards.scorers():
        scores = shards.relevance(name)[row].items()
        cells[f'relevance, {name}'] = ', '.join(f'{a}-{b}: {score:.3f}' for (a, b), score in scores) or 'none'
    cells['lies in'] = shards.where(row)
    for key, value in cells.items():
        table.add_row(verbatim(key), verbatim(value or 'unknown'))
    console.print(table)


def _size_of(record: ImageTextRecord, root: str) -> str:
    pixels = _pixels(record, root)
    return 'which cannot be decoded' if pixels is None else f'{pixels.shape[1]} x {pixels.shape[0]} pixels'


def _pixels(record: ImageTextRecord, root: str) -> np.ndarray | None:
    place = None if record.image_path is None else str(Path(root) / record.image_path)
    sample = {'image_id': record.image_id, 'image_bytes': record.image_bytes, 'image_path': place}
    try:
        return decode_image({key: value for key, value in sample.items() if value is not None})
    except BadImageError:
        return None


def draw(shards: ShardSet, args: argparse.Namespace) -> None:
    """Draw rows with their texts and the relevance of their pairs."""
    names = shards.scorers()
    rows = range(len(shards))[args.start : args.start + args.num]
    items = []
    for row in rows:
        record = shards.record(row)
        notes = [f'{name}: {_told(record, shards.relevance(name)[row])}' for name in names]
        pixels = _pixels(record, shards.manifest.image_root)
        items.append(CaptionedImage(f'row {row}, {record.image_id}', record.texts, pixels, '   '.join(notes)))
    if not items:
        raise CommandLineError(f'{shards.folder} has {len(shards)} rows; there is none from --start {args.start} on')
    draw_captions(items, args.picture, title=str(shards.folder))


def _told(record: ImageTextRecord, scores: dict[tuple[int, int], float]) -> str:
    """The relevance of pairs by their languages, best first."""
    best = sorted(scores.items(), key=lambda item: -item[1])
    return ', '.join(f'{record.texts[a][0]}-{record.texts[b][0]} {score:.2f}' for (a, b), score in best) or 'none'


# -- tables


def _table(title: str, *columns: str) -> Table:
    table = Table(title=verbatim(title), title_justify='left', box=SIMPLE_HEAD, show_header=any(columns))
    for number, column in enumerate(columns):
        table.add_column(column, overflow='fold', justify='right' if number and any(columns) else 'left')
    return table


def summary(shards: ShardSet) -> Table:
    """What there is."""
    manifest = shards.manifest
    table = _table(f'image-text shards in {shards.folder}', '', '')
    files = manifest.shards
    measured = [path.stem.removeprefix('tokens-') for path in (shards.folder / 'index').glob('tokens-*.npy')]
    rows = {
        'kind': manifest.kind,
        'rows': f'{manifest.rows:,}',
        'texts': f'{manifest.texts:,}, {manifest.texts / manifest.rows:.2f} a row',
        'images': ', '.join(f'{count:,} {_IMAGES[kind]}' for kind, count in manifest.images.items() if count),
        'image root': manifest.image_root or 'none',
        'shards': f'{len(files):,} of {manifest.rows_per_shard:,} rows, groups of {manifest.rows_per_group}',
        'size': decimal(sum(file.bytes for file in files)),
        'lengths in tokens': ', '.join(measured) or 'not measured (measure_token_lengths.py)',
        'made of': json.dumps(manifest.made_of, ensure_ascii=False)[:400],
        'made by': f'{manifest.command or "unknown"} (rc3mm {manifest.rc3mm_version})',
    }
    for name, value in rows.items():
        table.add_row(name, verbatim(value))
    return table


_IMAGES = {'bytes': 'in the shards', 'path': 'by path', 'none': 'without'}


def languages(shards: ShardSet) -> Table:
    """Texts and pairs by language."""
    manifest = shards.manifest
    table = _table('languages', 'language', 'texts', 'mean bytes', 'pairs with')
    counts, sums = count_languages(shards)
    for code in np.argsort(-counts).tolist():
        language = manifest.languages[code]
        pairs = {
            other: count
            for pair, count in manifest.pairs_by_languages.items()
            if (other := _other(pair, language)) is not None
        }
        shown = [f'{other} {count:,}' for other, count in sorted(pairs.items(), key=lambda item: -item[1])[:_SHOWN]]
        more = f', and {len(pairs) - _SHOWN} more' if len(pairs) > _SHOWN else ''
        table.add_row(
            verbatim(language),
            f'{counts[code]:,}',
            f'{sums[code] / counts[code]:.1f}',
            verbatim(', '.join(shown) + more),
        )
    return table


def count_languages(shards: ShardSet) -> tuple[np.ndarray, np.ndarray]:
    """Number of texts and of their bytes, by the index's code of a language."""
    most = len(shards.manifest.languages)
    counts, sums = np.zeros(most, np.int64), np.zeros(most)
    for codes, lengths in zip(_chunks(shards.languages_of), _chunks(shards.text_lengths), strict=True):
        counts += np.bincount(codes, minlength=most)
        sums += np.bincount(codes, weights=lengths, minlength=most)
    return counts, sums


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def _other(pair: str, language: str) -> str | None:
    """The partner of a language in 'de-en'; None if it is not in it."""
    if pair.startswith(f'{language}-'):
        return pair.removeprefix(f'{language}-')
    return pair.removesuffix(f'-{language}') if pair.endswith(f'-{language}') else None


def relevance(shards: ShardSet) -> Table:
    """Scores beside the set, with calibration and histogram."""
    table = _table('relevance', 'scores', 'pairs', 'mean', 'of 0', 'of 1', 'from 0 to 1', 'calibration')
    for name in shards.scorers():
        scores = shards.relevance(name)
        total, zeros, ones, bins = 0.0, 0, 0, np.zeros(len(_BINS) - 1, np.int64)
        for values in _chunks(scores.score):
            total += float(values.sum(dtype=np.float64))
            zeros, ones = zeros + int((values == 0).sum()), ones + int((values == 1).sum())
            bins += np.histogram(values, _BINS)[0]
        pairs = len(scores.score)
        calibration = json.dumps(scores.scorer.get('calibration'), ensure_ascii=False)[:120]
        table.add_row(
            verbatim(name),
            f'{pairs:,}',
            *([f'{total / pairs:.3f}', f'{zeros / pairs:.1%}', f'{ones / pairs:.1%}'] if pairs else [''] * 3),
            _bars(bins),
            verbatim(calibration),
        )
    return table


def _bars(counts: np.ndarray) -> str:
    top = max(int(counts.max()), 1)
    return ''.join(_BARS[-(-int(count) * (len(_BARS) - 1) // top)] for count in counts)


if __name__ == '__main__':
    run_main(main)
