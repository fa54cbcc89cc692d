"""Write a sharded checkpoint as one file; see --help."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/cli.py

from cli import CommandLineError, in_one_line, run_main

from rc3mm.utils.checkpoint import read_checkpoint, write_checkpoint

_EXAMPLES = """\
examples:
  python tools/model_converters/merge_shards.py work_dirs/base/iter_2000.pth base.pth                  # the weights
  python tools/model_converters/merge_shards.py work_dirs/base/iter_2000.pth base.pth --with-optimizer # to go on from
  python tools/test.py configs/rc3/pretrain_base.py base.pth

work_dirs/base/iter_2000.pth and the folder iter_2000.shards beside it were written by training with strategy FSDP2. The
tensors are put together in memory, by one process and without a GPU; with the optimiser that takes twelve bytes a
parameter. Nothing in the files is executed. For weights of half the size without anything else: export_weights.py,
which takes sharded checkpoints as well.
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Write a sharded checkpoint as one file that tools/test.py and --resume take.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('checkpoint', type=Path, help='the .pth file of a sharded checkpoint')
    parser.add_argument('out', type=Path, help='.pth file to write')
    parser.add_argument('--with-optimizer', action='store_true', help='keep what a training needs to be resumed')
    return parser.parse_args()


@in_one_line(OSError, ValueError, RuntimeError)
def main() -> None:
    """Convert one checkpoint."""
    args = parse_args()
    if args.out.resolve() == args.checkpoint.resolve():
        raise CommandLineError(f'{args.out} is the checkpoint itself; name another file')
    if 'shards' not in read_checkpoint(args.checkpoint, whole=False):
        raise CommandLineError(f'{args.checkpoint} is no sharded checkpoint: it is one file already')
    checkpoint = read_checkpoint(args.checkpoint)
    if not args.with_optimizer:
        checkpoint = {key: checkpoint[key] for key in ('meta', 'state_dict')}
    write_checkpoint(checkpoint, args.out)
    count = sum(value.numel() for value in checkpoint['state_dict'].values())
    print(f'{args.out}: {count:,} numbers of weights, {args.out.stat().st_size / 2**20:.2f} MiB')


if __name__ == '__main__':
    run_main(main)
