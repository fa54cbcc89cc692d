"""Convert WikiMatrix to shards of parallel text; see --help."""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/, whose modules the scripts share
sys.path.insert(0, str(Path(__file__).resolve().parent))

from shard_conversion import Steps, add_shard_arguments, convert, describe, print_summary, run_converter

from rc3mm.datasets.corpora.wikimatrix import ParallelSentences, languages_of
from rc3mm.datasets.shards.drops import DropReport

_EPILOG = """\
Each file becomes a shard set of its own, OUT/de-en and so on, so that training can balance the pairs of languages. Kept
are rows whose margin score reaches the threshold (1.04 is what the authors recommend) and whose sides differ.

The command may be stopped at any time; run again, it goes on where it stopped.

examples:
  python tools/dataset_converters/wikimatrix_to_shards.py WikiMatrix.*.tsv.gz data/wikimatrix
  python tools/dataset_converters/wikimatrix_to_shards.py WikiMatrix.de-en.tsv.gz data/wikimatrix --threshold 1.06
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Convert WikiMatrix to shards of parallel text, one set a pair of languages.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('files', metavar='TSV', type=Path, nargs='+', help='WikiMatrix.<aa-bb>.tsv, gzip or not')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder of the shard sets')
    parser.add_argument('--threshold', type=float, default=1.04, metavar='SCORE', help='least margin score (1.04)')
    add_shard_arguments(parser, rows_per_shard=131_072)
    args = parser.parse_args()
    try:
        args.pairs = ['-'.join(languages_of(path)) for path in args.files]
    except ValueError as error:
        parser.error(str(error))
    if len(set(args.pairs)) != len(args.pairs):
        parser.error('two files of the same pair of languages')
    return args


def main() -> None:
    """Convert file by file, and say what was done."""
    args = parse_args()
    describe(args.files)  # all of them are there, before the first one takes its time
    for path, pair in zip(args.files, args.pairs, strict=True):
        started = time.monotonic()
        report = DropReport(args.max_fault_share)
        source = ParallelSentences(path, args.threshold, report)
        made_of = {'corpus': 'WikiMatrix', 'files': describe([path]), 'threshold': args.threshold}
        with Steps() as steps:
            is_new = convert(args.out / pair, args, source, steps, report, kind='parallel', made_of=made_of)
        print_summary(args.out / pair, time.monotonic() - started if is_new else None)


if __name__ == '__main__':
    run_converter(main)
