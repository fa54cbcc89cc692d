"""From packed samples to one homogeneous batch."""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rc3mm.registry import FUNCTIONS

__all__ = ['vl_collate']


@FUNCTIONS.register_module()
def vl_collate(samples: Sequence[dict[str, Any]], pad_id: int = 1, share_images: bool = False) -> dict[str, Any]:
    """Stack and pad what `PackVLInputs` returned.

    Args:
        samples: packed samples of one source.
        pad_id: token id of padding (1 for XLM-R).
        share_images: keep an image that several items have in common, by its id, but once.

    Returns:
        `data_samples` (a list) and `inputs`: `image` (B, 3, H, W) uint8, or, where only some samples with regions have
        an image, those alone and `image_rows`, their rows; `detector_image` (a list of uint8 (3, H, W)) and
        `image_size` (B, 2), height and width; `roi_features` (B, R, F), `roi_boxes` (B, R, 4), `roi_mask` (B, R),
        `roi_missing` (the rows without regions), `roi_class_probs` (B, R, C + 1); `text_ids` and `text_mask` (M, T),
        all texts of the first image first, and `text_lengths`, a list of M; `masked_single`/`masked_pair`: `ids` and
        `mask` (B, T), `positions` (K,) flat, ascending, `labels` (K,), `lengths` and `counts` (of positions), lists of
        B; `relevance` (B,); `label` (B,); `target_ids` and `target_mask` (B, L); `iteration` and `step_seed` (numbers);
        `roi_only` (True: images are there for want of regions alone). With `images`, an item has I of them:
        `images_per_item` is I, and what is said of B above holds for B x I images, all of the first item first. With
        `share_images`, what belongs to images is said of the different ones, in the order in which they come, and
        `image_index` (B,), or (B x I,), tells that of each item or image.

    Raises:
        ValueError: the samples come from several sources, differ in their keys or in how many images they have, or
            disagree on what a batch shares.
    """
    data_samples = [sample['data_samples'] for sample in samples]
    sources = {sample.source for sample in data_samples}
    if len(sources) != 1:
        raise ValueError(f'a batch must be of one source; got {sorted(sources)}')
    names = [sample.image_id for sample in data_samples]
    packed = [dict(sample['inputs']) for sample in samples]
    images = [inputs.pop('images', None) for inputs in packed]
    counts = {len(item or ()) for item in images}
    if len(counts) != 1:
        raise ValueError(f'the items of a batch must have equally many images; got {sorted(counts)}')
    inputs: dict[str, Any] = {}
    looks, of_looks = packed, names
    if images and images[0]:
        inputs = _stack(packed, names, pad_id) | {'images_per_item': len(images[0])}
        looks = [image for item in images for image in item]
        of_looks = [name for sample in data_samples for name in sample.image_ids]
    elif share_images:
        looks = [{key: value for key, value in item.items() if key in _OF_IMAGES} for item in packed]
        inputs = _stack([{k: v for k, v in item.items() if k not in _OF_IMAGES} for item in packed], names, pad_id)
    if share_images:
        first = dict(zip(reversed(of_looks), reversed(looks), strict=True))
        number = {name: position for position, name in enumerate(dict.fromkeys(of_looks))}
        inputs['image_index'] = torch.tensor([number[name] for name in of_looks])
        looks, of_looks = [first[name] for name in number], list(number)
    return {'inputs': inputs | _stack(looks, of_looks, pad_id), 'data_samples': data_samples}


def _stack(packed: Sequence[dict[str, Any]], names: Sequence[str], pad_id: int) -> dict[str, Any]:
    with_image = [row for row, inputs in enumerate(packed) if 'image' in inputs]
    optional = {'image'} if packed and 'roi_features' in packed[0] else set()
    if any(set(inputs) | optional != set(packed[0]) | optional for inputs in packed):
        keys = {name: sorted(inputs) for name, inputs in zip(names, packed, strict=True)}
        raise ValueError(f'a batch must be of one source and one set of keys; got keys {keys}')
    inputs: dict[str, Any] = {}
    for key in dict.fromkeys(key for sample in packed for key in sample):
        inputs |= _COLLATORS[key]([sample[key] for sample in packed if key in sample], pad_id)
    if 0 < len(with_image) < len(packed):
        inputs['image_rows'] = torch.tensor(with_image)
    return inputs


def _pad(sequences: Sequence[Tensor], value: float) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor(_lengths(sequences))
    dtype = reduce(torch.promote_types, (sequence.dtype for sequence in sequences))  # not that of the first
    padded = pad_sequence([sequence.to(dtype) for sequence in sequences], batch_first=True, padding_value=value)
    return padded, torch.arange(padded.shape[1]) < lengths[:, None]


def _lengths(sequences: Sequence[Tensor]) -> list[int]:
    return [len(sequence) for sequence in sequences]


def _image(values: list[Tensor], pad_id: int) -> dict[str, Tensor]:
    return {'image': torch.stack(values)}


def _roi_features(values: list[Tensor], pad_id: int) -> dict[str, Any]:
    features, mask = _pad(values, 0.0)
    missing = [row for row, value in enumerate(values) if len(value) == 0]
    return {'roi_features': features, 'roi_mask': mask, 'roi_missing': missing}


def _roi_class_probs(values: list[Tensor], pad_id: int) -> dict[str, Tensor]:
    return {'roi_class_probs': _pad(values, 0.0)[0]}


def _detector_image(values: list[Tensor], pad_id: int) -> dict[str, list[Tensor]]:
    return {'detector_image': values}


def _image_size(values: list[tuple[int, int]], pad_id: int) -> dict[str, Tensor]:
    return {'image_size': torch.tensor(values)}


def _roi_boxes(values: list[Tensor], pad_id: int) -> dict[str, Tensor]:
    return {'roi_boxes': _pad(values, 0.0)[0]}


def _text_ids(values: list[list[Tensor]], pad_id: int) -> dict[str, Any]:
    rows = [ids for texts in values for ids in texts]
    ids, mask = _pad(rows, pad_id)
    return {'text_ids': ids, 'text_mask': mask, 'text_lengths': _lengths(rows)}


def _masked(values: list[dict[str, Tensor]], pad_id: int, key: str) -> dict[str, dict[str, Any]]:
    rows = [value['ids'] for value in values]
    ids, mask = _pad(rows, pad_id)
    positions = torch.cat([value['positions'] + row * ids.shape[1] for row, value in enumerate(values)])
    labels = torch.cat([value['labels'] for value in values])
    counts = [len(value['positions']) for value in values]
    tokens = {'ids': ids, 'mask': mask, 'lengths': _lengths(rows)}
    return {key: {**tokens, 'positions': positions, 'labels': labels, 'counts': counts}}


def _relevance(values: list[float], pad_id: int) -> dict[str, Tensor]:
    return {'relevance': torch.tensor(values, dtype=torch.float32)}


def _label(values: list[int], pad_id: int) -> dict[str, Tensor]:
    return {'label': torch.tensor(values, dtype=torch.int64)}


def _target_ids(values: list[Tensor], pad_id: int) -> dict[str, Tensor]:
    ids, mask = _pad(values, pad_id)
    return {'target_ids': ids, 'target_mask': mask}


def _shared(values: list[int], pad_id: int, key: str) -> dict[str, int]:
    if len(set(values)) != 1:
        raise ValueError(f'the samples of a batch disagree on {key}: {sorted(set(values))}')
    return {key: values[0]}


_OF_IMAGES = {'image', 'detector_image', 'image_size', 'roi_features', 'roi_boxes', 'roi_class_probs', 'roi_only'}
_COLLATORS: dict[str, Callable[..., dict[str, Any]]] = {
    'image': _image,
    'roi_features': _roi_features,
    'roi_boxes': _roi_boxes,
    'roi_class_probs': _roi_class_probs,
    'detector_image': _detector_image,
    'image_size': _image_size,
    'text_ids': _text_ids,
    'masked_single': partial(_masked, key='masked_single'),
    'masked_pair': partial(_masked, key='masked_pair'),
    'relevance': _relevance,
    'label': _label,
    'target_ids': _target_ids,
    'iteration': partial(_shared, key='iteration'),
    'step_seed': partial(_shared, key='step_seed'),
    'roi_only': partial(_shared, key='roi_only'),
}
