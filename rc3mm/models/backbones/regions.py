"""Regions of a batch, found while the model runs."""

from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

__all__ = ['extract_regions']


def extract_regions(extractor: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a batch with cached features carries, from its images.

    Args:
        extractor: a `RoiExtractor`.
        inputs: the batch, with `detector_image` and `image_size`, or with `pixels` (uint8 images of one size).

    Returns:
        `roi_features` (B, R, F), `roi_boxes` (B, R, 4) as shares of width and height, `roi_mask` (B, R),
        `roi_class_probs` (B, R, C + 1) and `roi_missing`.

    Raises:
        KeyError: the batch has no image.
        ValueError: an image has another size than the detector's test pipeline would give it.
    """
    if 'detector_image' in inputs:
        images, sizes = list(inputs['detector_image']), inputs['image_size'].tolist()
    elif 'pixels' in inputs and 'image_rows' not in inputs:
        images, sizes = list(inputs['pixels']), [tuple(image.shape[1:]) for image in inputs['pixels']]
    else:
        raise KeyError('regions can only be found where each sample has an image; add `DetectorImage` to the pipeline')
    for image, (height, width) in zip(images, sizes, strict=True):
        expected = extractor.expected_size(height, width)
        if tuple(image.shape[1:]) != expected:
            scale = extractor.input_scale
            raise ValueError(
                f'an image of {height} x {width} pixels came to the detector as {tuple(image.shape[1:])}, but it '
                f'expects {expected}; put DetectorImage(scale={tuple(scale.scale)}, keep_ratio={scale.keep_ratio}) '
                'into the pipeline, before ResizeImage'
            )
    found = extractor(images, [tuple(size) for size in sizes])
    counts = torch.tensor([len(regions.boxes) for regions in found])
    features = pad_sequence([regions.features for regions in found], batch_first=True)
    scale = [regions.boxes.new_tensor([size[1], size[0]] * 2) for regions, size in zip(found, sizes, strict=True)]
    boxes = [regions.boxes / unit for regions, unit in zip(found, scale, strict=True)]
    return {
        'roi_features': features,
        'roi_boxes': pad_sequence(boxes, batch_first=True),
        'roi_class_probs': pad_sequence([regions.class_probs for regions in found], batch_first=True),
        'roi_mask': (torch.arange(features.shape[1]) < counts[:, None]).to(features.device),
        'roi_missing': (counts == 0).nonzero().flatten().tolist(),
    }
