"""Convert the weights of bottom-up attention (Caffe or detectron2 names) for mmdet; see --help."""

import argparse
import contextlib
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor

from rc3mm.models.detectors.build import build_detector
from rc3mm.utils.atomic import replacing
from rc3mm.utils.checkpoint import UnsafeCheckpointError, read_checkpoint

_CONFIG = Path(__file__).resolve().parents[2] / 'configs/detectors/bottom_up_r101_c4_vg.py'
_EPILOG = """
SOURCE is one of
  .npz           blobs of the Caffe release, each named <layer>.<number of the blob>. Where pycaffe runs:
                   net = caffe.Net('test.prototxt', 'resnet101_faster_rcnn_final.caffemodel', caffe.TEST)
                   np.savez('blobs.npz', **{f'{layer}.{i}': blob.data
                                            for layer, blobs in net.params.items() for i, blob in enumerate(blobs)})
  .pth           a PyTorch file with detectron2's names (backbone.res2.0.conv1.weight, ...) or Caffe's, as above
  .safetensors   the same

what is changed besides the names
  background     first in Caffe, last in mmdet: classes, class embedding and "no attribute" move, its box goes
  RPN scores     two numbers an anchor in Caffe become one, foreground minus background
  anchors        detectron2 counts ratios within sizes, Caffe and mmdet sizes within ratios
  normalisation  Caffe's mean and variance are divided by their scale factor
Colours are blue first in all of them, and in the config.

example:
  python tools/model_converters/bottom_up_to_mmdet.py blobs.npz weights/bottom_up_r101_c4_vg.safetensors
"""
_NUMBERS = {'running_mean': 0, 'running_var': 1}
_IGNORED = re.compile(r'num_batches_tracked$|^pixel_(mean|std)$|anchor_generator\.')

_HEAD = 'roi_head.bbox_head'
_LAYERS = {  # name in a source -> name in mmdet
    'rpn_conv/3x3': 'rpn_head.rpn_conv',
    'rpn_cls_score': 'rpn_head.rpn_cls',
    'rpn_bbox_pred': 'rpn_head.rpn_reg',
    'cls_score': f'{_HEAD}.fc_cls',
    'bbox_pred': f'{_HEAD}.fc_reg',
    'cls_embedding': f'{_HEAD}.cls_embedding',
    'fc_attr': f'{_HEAD}.fc_attr',
    'attr_score': f'{_HEAD}.attr_score',
    'proposal_generator.rpn_head.conv': 'rpn_head.rpn_conv',
    'proposal_generator.rpn_head.objectness_logits': 'rpn_head.rpn_cls',
    'proposal_generator.rpn_head.anchor_deltas': 'rpn_head.rpn_reg',
    'roi_heads.box_predictor.cls_score': f'{_HEAD}.fc_cls',
    'roi_heads.box_predictor.bbox_pred': f'{_HEAD}.fc_reg',
    'roi_heads.box_predictor.cls_embed': f'{_HEAD}.cls_embedding',
    'roi_heads.box_predictor.cls_embedding': f'{_HEAD}.cls_embedding',
    'roi_heads.box_predictor.attr_linear1': f'{_HEAD}.fc_attr',
    'roi_heads.box_predictor.fc_attr': f'{_HEAD}.fc_attr',
    'roi_heads.box_predictor.attr_linear2': f'{_HEAD}.attr_score',
    'roi_heads.box_predictor.attr_score': f'{_HEAD}.attr_score',
    'roi_heads.attribute_predictor.obj_embed': f'{_HEAD}.cls_embedding',
    'roi_heads.attribute_predictor.fc.0': f'{_HEAD}.fc_attr',
    'roi_heads.attribute_predictor.attr_score': f'{_HEAD}.attr_score',
}


class ConversionError(ValueError):
    """The source cannot be converted; the message says why."""


class Conventions(NamedTuple):
    """How a source orders what has no order of its own.

    Attributes:
        background_first: among classes, their embeddings and attributes.
        sizes_first: anchors of one size stand together (detectron2), not those of one ratio.
    """

    background_first: bool
    sizes_first: bool


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='weights to convert: .npz, .pth or .safetensors')
    parser.add_argument('out', type=Path, help='.safetensors file to write')
    parser.add_argument('--config', type=Path, default=_CONFIG, help='detector to fill (default: the one that ships)')
    parser.add_argument(
        '--background',
        choices=['auto', 'first', 'last'],
        default='auto',
        help='where the source has the background; auto: first if it gives the RPN two scores an anchor (all that '
        'was made from the Caffe release does, whatever its names), else last',
    )
    parser.add_argument(
        '--anchors',
        choices=['auto', 'sizes-first', 'ratios-first'],
        default='auto',
        help='order of the anchors of one cell; auto: ratios first with two RPN scores an anchor, else sizes first',
    )
    parser.add_argument(
        '--box-weights',
        nargs=4,
        type=float,
        default=[1.0] * 4,
        metavar='W',
        help="detectron2's BBOX_REG_WEIGHTS of the source's config (default: 1 1 1 1, as the release)",
    )
    return parser.parse_args()


def main() -> None:
    """Convert, report, write."""
    args = parse_args()
    if args.out.suffix != '.safetensors':
        raise ConversionError(f'{args.out}: the result is a .safetensors file; name it so')
    source = read_source(args.source)
    model = Config.fromfile(args.config).model
    target = build_detector(model).state_dict()
    named, unmapped = rename(source)
    conventions = find_conventions(named, target, args.background, args.anchors)
    ratios = len(model.rpn_head.anchor_generator.ratios)
    converted = reorder(named, conventions, int(model.roi_head.bbox_head.num_classes), ratios, args.box_weights)
    missing = [key for key in target if key not in converted and not key.endswith('num_batches_tracked')]
    reshaped = [
        f'{key}: {tuple(value.shape)}, expected {tuple(target[key].shape)}'
        for key, value in converted.items()
        if key in target and value.shape != target[key].shape
    ]
    unmapped += [key for key in converted if key not in target]
    report(len(source), len(converted), conventions, missing, reshaped, unmapped)
    if missing or reshaped:
        raise ConversionError(
            f'{args.source} does not fill {args.config.name}: {len(missing)} missing and {len(reshaped)} of another '
            f'shape, such as {(missing + reshaped)[0]}; nothing was written'
        )
    write({key: converted.get(key, value) for key, value in target.items()}, args.out)


def read_source(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, read without executing anything.

    Raises:
        ConversionError: there is no such file, or it cannot be read safely.
    """
    if not path.is_file():
        raise ConversionError(f'there is no file {path}')
    if path.suffix == '.npz':
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: torch.from_numpy(np.asarray(archive[key], np.float32)) for key in archive.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ConversionError(f'{path} is not an .npz archive of plain arrays: {error}') from error
    try:
        return _floats(read_checkpoint(path)['state_dict'])
    except (ValueError, UnsafeCheckpointError) as error:
        with contextlib.suppress(Exception):  # detectron2 keeps its tensors under another name
            return _floats(torch.load(path, map_location='cpu', weights_only=True)['model'])
        raise ConversionError(' '.join(str(error).split())) from error


def _floats(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    return {key: torch.as_tensor(value).float() for key, value in state_dict.items()}


# -- names


def rename(source: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Give the tensors mmdet's names; Caffe's statistics are brought to scale.

    Returns:
        The renamed tensors, and the keys that have no place.

    Raises:
        ConversionError: two keys mean the same tensor.
    """
    named: dict[str, Tensor] = {}
    unmapped: list[str] = []
    origin: dict[str, str] = {}
    for key, value in source.items():
        if _IGNORED.search(key) or _is_scale_factor(key):
            continue
        new = _caffe_name(key) or _detectron2_name(key)
        if new is None:
            unmapped.append(key)
            continue
        if new in named:
            raise ConversionError(f'{origin[new]} and {key} of the source both mean {new}')
        factor = source.get(f'{key.rpartition(".")[0]}.2') if new.rpartition('.')[2] in _NUMBERS else None
        if factor is not None:
            value = value / factor.reshape(()) if float(factor.reshape(())) else torch.zeros_like(value)
        named[new], origin[new] = value, key
    return named, unmapped


def _is_scale_factor(key: str) -> bool:
    return re.fullmatch(r'bn\w+\.2', key) is not None


def _caffe_name(key: str) -> str | None:
    """mmdet's name of a blob `<layer>.<number>`."""
    layer, _, number = key.rpartition('.')
    if number not in ('0', '1'):
        return None
    plain = ('weight', 'bias')[int(number)]
    if layer in _LAYERS:
        return f'{_LAYERS[layer]}.{plain}'
    if layer == 'conv1':
        return f'backbone.conv1.{plain}'
    if layer in ('bn_conv1', 'scale_conv1'):
        return f'backbone.bn1.{_normal(layer, int(number))}'
    found = re.fullmatch(r'(res|bn|scale)([2-5])([a-z])(\d*)_branch(1|2[abc])', layer)
    if not found:
        return None
    kind, stage, letter, count, branch = found.groups()
    block = int(count) if count else 'abcdef'.index(letter)
    part = plain if kind == 'res' else _normal(kind, int(number))
    if branch == '1':
        inner = f'downsample.{0 if kind == "res" else 1}'
    else:
        inner = f'{"conv" if kind == "res" else "bn"}{"abc".index(branch[1]) + 1}'
    return f'{_stage(int(stage))}.{block}.{inner}.{part}'


def _normal(kind: str, number: int) -> str:
    return (('running_mean', 'running_var') if kind.startswith('bn') else ('weight', 'bias'))[number]


def _stage(number: int) -> str:
    return 'roi_head.shared_head.layer4' if number == 5 else f'backbone.layer{number - 1}'


def _detectron2_name(key: str) -> str | None:
    layer, _, part = key.rpartition('.')
    if layer in _LAYERS:
        return f'{_LAYERS[layer]}.{part}'
    if layer in ('backbone.stem.conv1', 'backbone.stem.conv1.norm'):
        return f'backbone.{"bn1" if layer.endswith("norm") else "conv1"}.{part}'
    found = re.fullmatch(r'(?:backbone|roi_heads)\.res([2-5])\.(\d+)\.(shortcut|conv[123])(\.norm)?', layer)
    if not found:
        return None
    stage, block, inner, norm = found.groups()
    if inner == 'shortcut':
        inner = f'downsample.{1 if norm else 0}'
    elif norm:
        inner = inner.replace('conv', 'bn')
    return f'{_stage(int(stage))}.{block}.{inner}.{part}'


# -- values


def find_conventions(
    named: Mapping[str, Tensor], target: Mapping[str, Tensor], background: str, anchors: str
) -> Conventions:
    """What the command line says, else what the number of RPN scores tells."""
    key = 'rpn_head.rpn_cls.bias'
    caffe = key in named and len(named[key]) == 2 * len(target[key])
    return Conventions(
        background_first=caffe if background == 'auto' else background == 'first',
        sizes_first=not caffe if anchors == 'auto' else anchors == 'sizes-first',
    )


def reorder(
    named: Mapping[str, Tensor],
    conventions: Conventions,
    num_classes: int,
    num_ratios: int,
    box_weights: list[float],
) -> dict[str, Tensor]:
    """Bring rows into mmdet's order.

    Args:
        named: tensors by mmdet's names.
        conventions: of the source.
        num_classes: C, without the background.
        num_ratios: of the anchors.
        box_weights: what the source multiplies its box corrections by.
    """
    deltas = 1 / torch.tensor(box_weights)

    def background_last(rows: Tensor) -> Tensor:
        return rows.roll(-1, 0) if conventions.background_first else rows

    def boxes(rows: Tensor) -> Tensor:
        rows_C4 = rows.unflatten(0, (-1, 4))
        if len(rows_C4) == num_classes + 1:
            rows_C4 = rows_C4[1:] if conventions.background_first else rows_C4[:-1]
        return (rows_C4 * deltas.view(1, 4, *[1] * (rows.ndim - 1))).flatten(0, 1)

    def anchors(rows: Tensor, each: int) -> Tensor:
        if not conventions.sizes_first:
            return rows
        return rows.unflatten(0, (-1, num_ratios, each)).transpose(0, 1).flatten(0, 2)

    def objectness(rows: Tensor) -> Tensor:
        if len(rows) == 2 * len(named['rpn_head.rpn_reg.bias']) // 4:
            background, foreground = rows.chunk(2)
            rows = foreground - background
        return anchors(rows, 1)

    changes: dict[str, Callable[[Tensor], Tensor]] = {
        f'{_HEAD}.fc_cls': background_last,
        f'{_HEAD}.cls_embedding': background_last,
        f'{_HEAD}.attr_score': background_last,
        f'{_HEAD}.fc_reg': boxes,
        'rpn_head.rpn_cls': objectness,
        'rpn_head.rpn_reg': lambda rows: anchors(rows, 4),
    }
    return {key: changes.get(key.rpartition('.')[0], lambda rows: rows)(value) for key, value in named.items()}


# -- results


def report(
    read: int, filled: int, conventions: Conventions, missing: list[str], reshaped: list[str], unmapped: list[str]
) -> None:
    """One table on stderr."""
    table = Table(title='bottom-up attention to mmdet')
    table.add_column('what')
    table.add_column('how many', justify='right')
    table.add_column('which')
    table.add_row('tensors read', str(read), '')
    table.add_row('tensors filled', str(filled), '')
    table.add_row('background', '', 'first, moved to the end' if conventions.background_first else 'last, as it is')
    table.add_row('anchors', '', 'sizes first, reordered' if conventions.sizes_first else 'ratios first, as they are')
    for name, keys in (('missing', missing), ('of another shape', reshaped), ('without a place', unmapped)):
        table.add_row(name, str(len(keys)), '\n'.join(keys[:8]) + ('\n...' if len(keys) > 8 else ''))
    Console(stderr=True).print(table)


def write(state_dict: Mapping[str, Tensor], path: Path) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file({key: value.contiguous().clone() for key, value in state_dict.items()}, temporary)
    print(f'{path}: {len(state_dict):,} tensors')


if __name__ == '__main__':
    try:
        main()
    except ConversionError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
