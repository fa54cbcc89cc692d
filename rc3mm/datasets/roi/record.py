"""From what a file holds of an image to regions, or to an error that names file, key and fault."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from rc3mm.structures.regions import Regions, RegionsError

__all__ = ['Background', 'RoiRecordError', 'as_array', 'as_size', 'make_regions']

Background = Literal['first', 'last']

_LONGEST = 2**31 - 1  # pixels of a side; a store keeps sides as 32 bits

# What `Regions.check` finds, in short, by a word of its message.
_REASONS = {'not finite': 'numbers that are not finite', 'no area': 'a box without area'}


class RoiRecordError(RegionsError):
    """What a file holds of an image cannot be used.

    Args:
        where: the file and the key.
        reason: the kind of fault, by which faults are counted.
        detail: what is wrong here, and what was expected.
    """

    def __init__(self, where: str, reason: str, detail: str) -> None:
        super().__init__(f'{where}: {reason}: {detail}. Make this record anew, or leave the image out')
        self.reason = reason


def as_array(record: Mapping[Any, Any], names: tuple[str, ...], where: str) -> np.ndarray | None:
    """The first entry of these names as numbers: an array, a list, or base64 of float32; None if there is none."""
    name = next((name for name in names if record.get(name) is not None), None)
    if name is None:
        return None
    value = record[name]
    if isinstance(value, str | bytes):
        value = _decode(value, name, where)
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of different lengths within a list
        raise RoiRecordError(where, 'an entry of another type', f'{name} is no array ({error})') from error
    if array.dtype.kind not in 'fiub':
        raise RoiRecordError(where, 'an entry of another type', f'{name} holds {array.dtype}, expected numbers')
    return array


def as_size(height: np.ndarray, width: np.ndarray, where: str) -> tuple[int, int]:
    """Height and width of an image in whole pixels, from arrays of one number each."""
    for name, side in (('height', height), ('width', width)):
        if side.size != 1 or not 1 <= side.item() <= _LONGEST:  # which is not true of NaN either
            shown = f'{side.item()}' if side.size == 1 else f'an array of the shape {side.shape}'
            raise RoiRecordError(where, 'no image size', f'the {name} must be one positive number, it is {shown}')
    return int(height.item()), int(width.item())


def _decode(text: str | bytes, name: str, where: str) -> np.ndarray:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RoiRecordError(where, 'broken base64', f'{name} ({len(text)} characters): {error}') from error
    if len(raw) % 4:
        raise RoiRecordError(where, 'broken base64', f'{name} has {len(raw)} bytes, which are no float32 numbers')
    return np.frombuffer(raw, '<f4')


def make_regions(
    where: str,
    features: np.ndarray | None,
    boxes: np.ndarray | None,
    image_size: tuple[int, int],
    *,
    scores: np.ndarray | None = None,
    class_probs: np.ndarray | None = None,
    background: Background = 'last',
    feature_dim: int | None = None,
) -> Regions:
    """Put an image's regions together and in order, best first where scores are known.

    Args:
        where: file and key, for messages.
        features: (R, F), or as many numbers in another shape; None is an error.
        boxes: (R, 4), or as many numbers in another shape; None is an error.
        image_size: height and width that the boxes refer to.
        scores: (R,); None if unknown, then the best class (not the background) of `class_probs` counts.
        class_probs: (R, C + 1).
        background: which column of `class_probs` is the background.
        feature_dim: F if it must have a certain value.

    Raises:
        RoiRecordError: something is missing or does not fit.
    """
    if features is None or boxes is None:
        raise RoiRecordError(where, 'a missing entry', f'there are no {"features" if features is None else "boxes"}')
    if boxes.size % 4:
        raise RoiRecordError(where, 'shapes that do not agree', f'boxes have {boxes.size} numbers, not four a region')
    if max(image_size) > _LONGEST:
        raise RoiRecordError(where, 'no image size', f'an image of {image_size} pixels')
    boxes = boxes.reshape(-1, 4).astype(np.float32)
    features = _rows(where, 'features', features, len(boxes))
    features = features if features.dtype.kind == 'f' else features.astype(np.float32)
    if feature_dim is not None and features.shape[1] not in (feature_dim, 0):
        raise RoiRecordError(
            where, 'features of another width', f'they have {features.shape[1]} numbers, expected {feature_dim}'
        )
    if class_probs is not None:
        class_probs = _rows(where, 'class_probs', class_probs, len(boxes))
        class_probs = np.roll(class_probs, -1, axis=1) if background == 'first' else class_probs
    if scores is not None:
        scores = _rows(where, 'scores', scores, len(boxes)).reshape(-1)
    elif class_probs is not None:
        scores = class_probs[:, :-1].max(axis=1, initial=0)
    regions = Regions(features, boxes, image_size, scores, class_probs)
    try:
        return _sorted(regions.check(where))
    except RegionsError as error:
        reason = next((name for word, name in _REASONS.items() if word in str(error)), 'shapes that do not agree')
        raise RoiRecordError(where, reason, str(error).removeprefix(f'{where}: ')) from error


def _rows(where: str, name: str, values: np.ndarray, count: int) -> np.ndarray:
    """Values as `count` rows, from whatever shape they are stored in; a copy if they cannot be written to."""
    values = np.require(values, requirements='W')  # tensors are made of them
    if values.ndim == 2 and len(values) == count:
        return values
    if count == 0 and values.size == 0:
        return values.reshape(0, values.shape[-1] if values.ndim > 1 else 0)
    if count == 0 or values.size % count or (values.ndim == 2 and 1 not in values.shape):
        detail = f'{name} have the shape {values.shape} for {count} boxes'
        raise RoiRecordError(where, 'shapes that do not agree', detail)
    return values.reshape(count, -1)


def _sorted(regions: Regions) -> Regions:
    if regions.scores is None or (np.diff(regions.scores) <= 0).all():
        return regions
    order = np.argsort(-regions.scores, kind='stable')
    probs = regions.class_probs
    return Regions(
        features=regions.features[order],
        boxes=regions.boxes[order],
        image_size=regions.image_size,
        scores=regions.scores[order],
        class_probs=None if probs is None else probs[order],
    )
