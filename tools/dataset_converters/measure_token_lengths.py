"""Measure the texts of shard sets in tokens, once, so that batches are padded little; see --help."""

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rc3mm.datasets import Tokenize
from rc3mm.datasets.shards import ShardSet
from rc3mm.datasets.shards.token_lengths import find_token_lengths, write_token_lengths

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cli import in_one_line, run_main
from tables import verbatim

_EPILOG = """\
The lengths are kept in the index of each set. `length_pool` of MixedSourceSampler sorts by them where the pipeline has
the same tokenizer, and by the texts' UTF-8 bytes where they were not measured: see docs/data.md for what that costs.

examples:
  python tools/dataset_converters/measure_token_lengths.py data/wit/train --tokenizer xlm-roberta-base
  python tools/dataset_converters/measure_token_lengths.py data/wikimatrix/* --tokenizer weights/xlm-roberta-base
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition(';')[0] + '.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('shards', type=Path, nargs='+', help='folders of shard sets')
    parser.add_argument('--tokenizer', required=True, help='emoji, a local folder, or a name of the hub')
    parser.add_argument('--overwrite', action='store_true', help='measure again what was measured before')
    return parser.parse_args()


@in_one_line()
def main() -> None:
    """Measure every set."""
    args = parse_args()
    console = Console()
    table = Table('shard set', 'texts', 'mean tokens', 'longest', box=SIMPLE_HEAD)
    description = TextColumn('{task.description}', markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tokenize = Tokenize(args.tokenizer)
    with Progress(*columns, console=console, transient=True) as progress:
        for folder in args.shards:
            shards = ShardSet(folder)
            task = progress.add_task(str(folder), total=shards.manifest.texts)
            if args.overwrite or find_token_lengths(shards, tokenize) is None:
                write_token_lengths(shards, tokenize, partial(progress.advance, task))
            lengths = find_token_lengths(shards, tokenize)
            assert lengths is not None
            table.add_row(verbatim(folder), f'{len(lengths):,}', f'{lengths.mean():.1f}', f'{lengths.max():,}')
    console.print(table)


if __name__ == '__main__':
    run_main(main)
