"""The last transform of every pipeline."""

from typing import Any

import numpy as np
import torch

from rc3mm.registry import TRANSFORMS
from rc3mm.structures import VLDataSample

__all__ = ['PackVLInputs']

_OF_PAIRS = ('true_relevance', 'objects', 'mentions')  # what is known of synthetic pairs alone
_OF_TASKS = ('item_id', 'answer', 'label', 'group', 'target', 'senses')
_META = ('image_id', 'source', 'texts', 'image_path', *_OF_PAIRS, *_OF_TASKS)


@TRANSFORMS.register_module()
class PackVLInputs:
    """Split a sample into tensors for the model and a `VLDataSample` of everything else.

    Required keys: `image_id`, `source`. Optional keys, packed where present: `image` (uint8, HWC),
    `detector_image` (uint8, HWC), `image_size` (height and width of the image as it came), `roi_features` with
    `roi_boxes` (pixels of `image`, or of `image_size` where there is no image), `roi_class_probs`, `text_ids`,
    `masked_single`, `masked_pair`, `relevance`, `label` (a class, -1 for none), `target_ids`, `iteration`, `step_seed`,
    `roi_only`; into the data sample: `texts`, `image_path`; what is known of synthetic pairs alone: `true_relevance`,
    `objects`, `mentions`; and of tasks: `item_id`, `answer`, `label`, `group`, `target`, `senses`.

    Instead of one image, a sample may have `images`, a list of samples that hold the keys of an image each; their ids
    become `image_ids` of the data sample.

    Returns:
        `{'inputs': ..., 'data_samples': VLDataSample}`.
    """

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Pack one sample."""
        inputs = _of_image(sample)
        if 'images' in sample:
            inputs['images'] = [_of_image(image) for image in sample['images']]
        if 'text_ids' in sample:
            inputs['text_ids'] = [torch.from_numpy(ids) for ids in sample['text_ids']]
        for key in ('masked_single', 'masked_pair'):
            if key in sample:
                inputs[key] = {name: torch.from_numpy(value) for name, value in sample[key].items()}
        if 'target_ids' in sample:
            inputs['target_ids'] = torch.from_numpy(sample['target_ids'])
        for key in ('relevance', 'label', 'iteration', 'step_seed'):
            if key in sample:
                inputs[key] = sample[key]
        data_sample = VLDataSample(metainfo={key: sample[key] for key in _META if key in sample})
        if 'images' in sample:
            data_sample.set_metainfo({'image_ids': tuple(image['image_id'] for image in sample['images'])})
        return {'inputs': inputs, 'data_samples': data_sample}


def _of_image(sample: dict[str, Any]) -> dict[str, Any]:
    """The tensors of one image and its regions."""
    inputs: dict[str, Any] = {}
    for key in ('image', 'detector_image'):
        if key in sample:
            inputs[key] = torch.from_numpy(np.ascontiguousarray(sample[key].transpose(2, 0, 1)))
    if 'detector_image' in sample:
        inputs['image_size'] = tuple(sample['image_size'])
    if 'roi_features' in sample:
        if 'image' not in sample and 'image_size' not in sample:
            raise ValueError(f'image {sample["image_id"]} has neither regions nor pixels to fall back to')
        height, width = sample['image'].shape[:2] if 'image' in sample else sample['image_size']
        scale = np.array([width, height, width, height], dtype=np.float32)
        inputs['roi_features'] = torch.as_tensor(sample['roi_features'])
        inputs['roi_boxes'] = torch.as_tensor(np.asarray(sample['roi_boxes'], dtype=np.float32) / scale)
        if 'roi_class_probs' in sample:
            inputs['roi_class_probs'] = torch.as_tensor(sample['roi_class_probs'])
    if 'roi_only' in sample:
        inputs['roi_only'] = sample['roi_only']
    return inputs
