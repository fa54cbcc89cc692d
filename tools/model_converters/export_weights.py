"""Write the weights of a checkpoint as a small safetensors file; see --help."""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/cli.py

from cli import CommandLineError, run_main

from rc3mm.utils.atomic import replacing
from rc3mm.utils.checkpoint import read_checkpoint


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Write the weights of a checkpoint as safetensors: no optimiser, no code, half the size.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example:\n  python tools/model_converters/export_weights.py '
        'work_dirs/faster_rcnn_emoji/iter_1500.pth faster_rcnn_emoji.safetensors',
    )
    parser.add_argument('checkpoint', help='.pth file that training wrote')
    parser.add_argument('out', type=Path, help='.safetensors file to write')
    parser.add_argument('--dtype', choices=['float16', 'bfloat16', 'float32'], default='float16')
    parser.add_argument('--annotations', type=Path, help='COCO file whose class names are kept beside the weights')
    return parser.parse_args()


def main() -> None:
    """Convert one file."""
    args = parse_args()
    if args.out.suffix != '.safetensors':
        raise CommandLineError(f'{args.out} must end in .safetensors')
    try:
        state = read_checkpoint(args.checkpoint)['state_dict']
        metadata = {'format': 'pt'}
        if args.annotations:
            categories = json.loads(args.annotations.read_text(encoding='utf-8'))['categories']
            names = [category['name'] for category in sorted(categories, key=lambda category: category['id'])]
            metadata['class_names'] = json.dumps(names, ensure_ascii=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CommandLineError(' '.join(str(error).split())) from error
    weights = {key: converted(key, value, getattr(torch, args.dtype)).contiguous() for key, value in state.items()}
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(args.out) as temporary:
            save_file(weights, temporary, metadata)
    except (OSError, SafetensorError) as error:
        raise CommandLineError(f'{args.out} cannot be written: {error}') from error
    count = sum(value.numel() for value in weights.values())
    print(f'{args.out}: {count:,} numbers in {args.dtype}, {args.out.stat().st_size / 2**20:.2f} MiB')


def converted(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight in another type; integers stay what they are.

    Raises:
        CommandLineError: a finite number would become infinite.
    """
    if not value.is_floating_point():
        return value
    result = value.to(dtype)
    lost = value.isfinite() & ~result.isfinite()
    if lost.any():
        kind = str(dtype).removeprefix('torch.')
        other = '--dtype bfloat16 or --dtype float32' if dtype == torch.float16 else '--dtype float32'
        raise CommandLineError(
            f'{int(lost.sum()):,} numbers of {name}, up to {float(value[lost].abs().max()):.6g}, are too large for '
            f'{kind} ({torch.finfo(dtype).max:.6g}); nothing was written. Choose {other}'
        )
    return result


if __name__ == '__main__':
    run_main(main)
