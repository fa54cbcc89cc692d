"""What a packed sample holds, and what it keeps away from the model."""

from typing import Any

import numpy as np
import pytest
import torch

from rc3mm.datasets import (
    EmojiParallel,
    EmojiStrict,
    EmojiWeak,
    MaskTokens,
    PackVLInputs,
    RoiPixels,
    Tokenize,
)
from rc3mm.structures import Draw, VLDataSample


@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_images_and_boxes(level: str) -> None:
    raw = EmojiStrict(num_scenes=30, level=level)
    dataset = EmojiStrict(num_scenes=30, level=level, pipeline=[RoiPixels(4), PackVLInputs()])
    for index in range(30):
        sample, inputs = raw[index], dataset[index]['inputs']
        image = inputs['image']
        assert image.dtype == torch.uint8 and image.shape == (3, 64, 64) and image.is_contiguous()
        assert (image.permute(1, 2, 0).numpy() == sample['image']).all()
        boxes = inputs['roi_boxes']
        assert boxes.dtype == torch.float32 and boxes.min() >= 0 and boxes.max() <= 1
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        np.testing.assert_allclose(boxes.numpy() * 64, sample['roi_boxes'], atol=1e-4)


@pytest.mark.parametrize('with_image', [True, False])
def test_boxes_without_an_image_are_measured_by_image_size(with_image: bool) -> None:
    boxes = [[10, 5, 40, 20], [0, 0, 40, 20]]
    sample: dict[str, Any] = {'image_id': 'a', 'source': 'weak', 'roi_boxes': boxes}
    sample['roi_features'] = np.ones((2, 7), np.float32)
    # An image that was resized after the regions were found counts; its boxes were scaled along.
    sample |= (
        {'image': np.zeros((20, 40, 3), np.uint8), 'image_size': (99, 99)} if with_image else {'image_size': (20, 40)}
    )
    inputs = PackVLInputs()(sample)['inputs']
    assert inputs['roi_boxes'].tolist() == [[0.25, 0.25, 1, 1], [0, 0, 1, 1]]
    assert inputs['roi_features'].shape == (2, 7)
    assert ('image' in inputs) == with_image


def test_every_tensor_owns_writable_memory_and_integers_are_long() -> None:
    masking = MaskTokens('emoji', ('single', 'pair'))
    dataset = EmojiParallel(num_scenes=2, pipeline=[Tokenize('emoji'), masking, PackVLInputs()])
    inputs = dataset[Draw(1, (0,), 0, 5, 6)]['inputs']
    assert set(inputs) == {'text_ids', 'masked_single', 'masked_pair', 'iteration', 'step_seed'}
    tensors = [*inputs['text_ids'], *inputs['masked_single'].values(), *inputs['masked_pair'].values()]
    assert all(tensor.dtype == torch.int64 for tensor in tensors) and len(tensors) == 8
    assert (inputs['iteration'], inputs['step_seed']) == (5, 6)


def test_the_truth_never_reaches_the_model() -> None:
    dataset = EmojiWeak(num_scenes=5, pipeline=[RoiPixels(4), Tokenize('emoji'), PackVLInputs()])
    for index in range(5):
        packed, raw = dataset[Draw(index, (0,), 0, 1, 2)], dataset.get_sample(index)
        assert set(packed) == {'inputs', 'data_samples'}
        assert set(packed['inputs']) == {
            'image',
            'roi_features',
            'roi_boxes',
            'text_ids',
            'iteration',
            'step_seed',
        }
        sample = packed['data_samples']
        assert isinstance(sample, VLDataSample)
        assert sample.true_relevance == raw['true_relevance']
        assert (sample.image_id, sample.source, sample.texts) == (raw['image_id'], 'weak', raw['texts'])
        assert not {'relevance', 'roi_labels', 'rng', 'image'} & set(sample.metainfo)
    scored = PackVLInputs()({'image_id': 'a', 'source': 'weak', 'relevance': 0.25, 'true_relevance': 0.75})
    assert scored['inputs'] == {'relevance': 0.25}
