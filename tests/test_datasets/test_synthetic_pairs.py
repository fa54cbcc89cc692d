"""Synthetic pairs have the sizes that are asked for, and are the same each time."""

import numpy as np
import pytest

from rc3mm.datasets.synthetic_pairs import SyntheticPairs
from rc3mm.structures import Draw


def test_sizes() -> None:
    pairs = SyntheticPairs(
        image_size=32, regions=5, feature_dim=7, num_classes=3, caption_lengths=(4, 6), vocab_size=50
    )
    sample, again = pairs.get_sample(3), pairs.get_sample(3)
    assert sample['image'].shape == (32, 32, 3) and sample['image'].dtype == np.uint8
    assert sample['roi_features'].shape == (5, 7) and sample['roi_class_probs'].shape == (5, 3)
    assert (sample['roi_boxes'][:, :2] <= sample['roi_boxes'][:, 2:]).all() and sample['roi_boxes'].max() <= 32
    assert all(len(ids) in (4, 6) and ids.max() < 50 for ids in sample['text_ids'])
    assert all(np.array_equal(a, b) for a, b in zip(sample['text_ids'], again['text_ids'], strict=True))
    assert not np.array_equal(sample['image'], pairs.get_sample(4)['image'])


def test_lengths_are_those_of_the_texts() -> None:
    pairs = SyntheticPairs(image_size=0, source='parallel')
    draws = [Draw(index, (0, index)) for index in range(20)]
    longest = [max(map(len, pairs.get_sample(index)['text_ids'])) for index in range(20)]
    assert pairs.lengths(draws).tolist() == longest
    assert 'image' not in pairs.get_sample(0)


def test_a_text_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match='at least'):
        SyntheticPairs(caption_lengths=(2,))
