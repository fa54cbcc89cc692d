"""Augmentation: a function of the item's seed, in which boxes stay on their part of the picture."""

from typing import Any

import numpy as np
import pytest
import torch

from rc3mm.datasets import Augment, EmojiStrict, PackVLInputs

CROP = dict(type='RandomResizedCrop', size=48, scale=(0.3, 1.0))
FLIP = dict(type='RandomHorizontalFlip')


def sample(seed: int = 0, **more: Any) -> dict[str, Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    return {'image_id': 'a', 'image': pixels, 'rng': np.random.default_rng(seed), **more}


def test_an_item_depends_on_its_seed_alone() -> None:
    augment = Augment([CROP, FLIP, dict(type='RandAugment')])
    torch.manual_seed(1)
    first = [augment(sample(seed))['image'] for seed in range(8)]
    torch.manual_seed(2)
    again = [augment(sample(seed))['image'] for seed in reversed(range(8))][::-1]
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    assert len({image.tobytes() for image in first}) == 8


def test_the_generator_is_left_as_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Augment([CROP, FLIP])(sample())
    assert torch.equal(torch.rand(4), expected)


def test_the_image_stays_uint8_and_can_be_packed() -> None:
    changed = Augment([CROP])(sample(source='strict'))
    assert changed['image'].shape == (48, 48, 3) and changed['image'].dtype == np.uint8
    packed = PackVLInputs()(changed)['inputs']['image']
    assert packed.shape == (3, 48, 48) and packed.is_contiguous()


def test_boxes_move_with_their_pixels() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    image[20:40, 30:60] = 255
    boxes = np.array([[30, 20, 60, 40]], np.float32)
    for seed in range(20):
        changed = Augment([dict(CROP, antialias=False), FLIP])(
            {'image': image.copy(), 'rng': np.random.default_rng(seed), 'roi_boxes': boxes.copy()}
        )
        white = changed['image'][..., 0] > 127
        assert len(changed['roi_boxes']) == white.any()
        for x1, y1, x2, y2 in changed['roi_boxes']:
            rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
            np.testing.assert_allclose([x1, y1, x2, y2], [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=2)


def test_regions_that_leave_the_picture_are_dropped() -> None:
    boxes = np.array([[0, 0, 30, 60], [40, 0, 90, 60], [60, 0, 90, 60]], np.float32)
    regions = {'roi_boxes': boxes, 'roi_features': np.arange(3)[:, None], 'roi_class_probs': np.arange(6).reshape(3, 2)}
    changed = Augment([dict(type='Identity')])(sample(**regions))
    assert changed['roi_features'].ravel().tolist() == [0, 1, 2] and (changed['roi_boxes'] == boxes).all()
    seen = set()
    for seed in range(30):
        changed = Augment([dict(type='RandomCrop', size=(60, 35))])(sample(seed, **regions))
        kept = changed['roi_features'].ravel().tolist()
        assert changed['roi_class_probs'][:, 0].tolist() == [2 * number for number in kept]
        assert len(changed['roi_boxes']) == len(kept) and (changed['roi_boxes'][:, 2] <= 35).all()
        seen.add(tuple(kept))
    assert {(0,), (0, 1)} & seen and {(1, 2), (1,)} & seen


def test_a_dataset_augments_by_its_draws() -> None:
    dataset = EmojiStrict(num_scenes=3, pipeline=[dict(type='Augment', transforms=[dict(CROP, size=32)])])
    assert all((dataset[index]['image'] == dataset[index]['image']).all() for index in range(3))
    assert dataset[0]['image'].shape == (32, 32, 3)


@pytest.mark.parametrize(
    ('transforms', 'message'),
    [
        ([], 'at least one transform'),
        ([dict(type='RandomNonsense')], "no transform 'RandomNonsense'"),
        ([dict(type='functional')], "no transform 'functional'"),
    ],
)
def test_what_cannot_be_built_is_refused(transforms: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augment(transforms)


@pytest.mark.parametrize('step', [dict(type='Grayscale'), dict(type='ToDtype', dtype=torch.float32)])
def test_images_must_stay_what_they_are(step: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='images stay uint8 up to the device'):
        Augment([step])(sample())
