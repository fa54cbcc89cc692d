"""The size of image that a detector was tested at, read from its own test pipeline."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ['InputScale', 'read_input_scale']

_NEUTRAL = {'LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations', 'PackDetInputs'}
_KNOWN = {'type', 'scale', 'keep_ratio'}


class InputScale(NamedTuple):
    """What images are resized to, see `resize_for_detector`.

    Attributes:
        scale: two numbers of pixels: with `keep_ratio` bounds of the longer and the shorter side, else the new width
            and height.
        keep_ratio: whether the ratio of the sides stays.
    """

    scale: tuple[int, int]
    keep_ratio: bool


def read_input_scale(pipeline: Sequence[Mapping[str, Any]] | None) -> InputScale | None:
    """The scale of the one `Resize` in a test pipeline.

    Args:
        pipeline: of an mmdet config.

    Returns:
        None without a pipeline, or if it takes images as they are.

    Raises:
        ValueError: the pipeline changes images in another way.
    """
    steps = [step for step in pipeline or () if _name(step) not in _NEUTRAL]
    if not steps:
        return None
    step = steps[0]
    if len(steps) > 1 or _name(step) != 'Resize' or not step.get('scale') or set(step) - _KNOWN:
        raise ValueError(
            f'the test pipeline has {", ".join(map(_name, steps))} with {dict(step)}; between loading and packing '
            'there may be one Resize with `scale` and `keep_ratio` and nothing else; give the detector such a pipeline'
        )
    scale = step['scale']
    wide, high = (scale, scale) if isinstance(scale, int) else scale
    return InputScale((int(wide), int(high)), bool(step.get('keep_ratio', False)))


def _name(step: Mapping[str, Any]) -> str:
    kind = step['type']
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]
