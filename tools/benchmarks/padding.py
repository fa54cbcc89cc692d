"""How much of a batch is padding, by the pool that batches of like lengths are made from; see --help."""

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rc3mm.datasets import MixedSources, MixedSourceSampler, ShardedPairs, Tokenize
from rc3mm.datasets.shards.token_lengths import find_token_lengths
from rc3mm.models.layers import length_groups

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cli import in_one_line, run_main
from tables import verbatim

_EPILOG = """\
A batch is padded as `vl_collate` does it: both texts of every draw in one stack, as long as the longest of all. `least`
is what remains when each draw is a batch of its own: the difference of its two texts, which no order can take away. The
text encoder takes it away: it encodes the stack in groups of like lengths (its option `length_groups`), each as long as
its own longest text, and the last column says how much padding it computes then, with the largest pool.

example:
  python tools/benchmarks/padding.py data/wit/train --tokenizer weights/xlm-roberta-base --pools 1 16 64
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Say how much of the text batches is padding.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('shards', type=Path, nargs='+', help='folders of shard sets')
    parser.add_argument('--tokenizer', default='emoji', help='emoji, a local folder, or a name of the hub (emoji)')
    parser.add_argument('--max-length', type=int, default=64, metavar='N', help='tokens at which texts are cut (64)')
    parser.add_argument('--batch-size', type=int, default=128, metavar='N', help='draws a batch (128)')
    parser.add_argument('--pools', type=int, nargs='+', default=[1, 8, 64], metavar='N', help='length_pool (1 8 64)')
    parser.add_argument('--groups', type=int, default=4, metavar='N', help='length_groups of the text encoder (4)')
    parser.add_argument('--batches', type=int, default=256, metavar='N', help='batches measured (256)')
    return parser.parse_args()


def main() -> None:
    """Measure every set with every pool."""
    args = parse_args()
    table = Table('shard set', 'lengths in', *(f'pool {pool}' for pool in args.pools), 'least', box=SIMPLE_HEAD)
    table.add_column(f'pool {max(args.pools)}, {args.groups} groups')
    with in_one_line(ValueError, OSError):
        tokenize = Tokenize(args.tokenizer, args.max_length)
        for folder in track(args.shards, 'measuring', transient=True):
            dataset = ShardedPairs(path=folder, pipeline=[tokenize])
            kind = 'bytes' if find_token_lengths(dataset.shards, tokenize) is None else 'tokens'
            found = [measure(dataset, args.batch_size, pool, args.batches) for pool in args.pools]
            least = measure(dataset, 1, 1, args.batches * 8)
            grouped = measure(dataset, args.batch_size, max(args.pools), args.batches, args.groups)
            table.add_row(verbatim(folder), kind, *(f'{share:.1%}' for share in (*found, least, grouped)))
    Console().print(table)


def measure(dataset: ShardedPairs, batch_size: int, pool: int, batches: int, groups: int = 1) -> float:
    """Share of padding in the first batches of a dataset that tokenises its texts."""
    source = MixedSources({'texts': dataset})
    sampler = MixedSourceSampler(source, batch_size, length_pool=pool)
    return padding([[sample['text_ids'] for sample in source[draws]] for draws in islice(sampler, batches)], groups)


def padding(batches: Sequence[Sequence[Sequence[np.ndarray]]], groups: int = 1) -> float:
    """Share of padding in stacks of all texts of a batch, each cut into groups of like lengths."""
    real, computed = 0, 0
    for batch in batches:
        lengths = [len(ids) for texts in batch for ids in texts]
        for rows in length_groups(lengths, groups):
            real += sum(lengths[row] for row in rows)
            computed += max(lengths[row] for row in rows) * len(rows)
    return 1 - real / computed


if __name__ == '__main__':
    run_main(main)
