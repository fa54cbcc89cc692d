"""The size of an image that a detector sees is known before the image is there."""

import numpy as np
import pytest

from rc3mm.utils.resize import detector_size, resize_for_detector


@pytest.mark.parametrize('keep_ratio', [True, False])
@pytest.mark.parametrize('scale', [None, (128, 64), (64, 128), (333, 200), (40, 40)])
@pytest.mark.parametrize('size', [(50, 100), (101, 67), (64, 64), (1, 1), (480, 12)])
def test_an_image_gets_the_size_that_was_foretold(size, scale, keep_ratio) -> None:
    image = np.zeros((*size, 3), np.uint8)
    assert resize_for_detector(image, scale, keep_ratio).shape[:2] == detector_size(*size, scale, keep_ratio)


@pytest.mark.parametrize('size', [(50, 100), (101, 67), (64, 64)])
def test_neither_bound_is_passed_and_one_is_met(size) -> None:
    height, width = detector_size(*size, (128, 64))
    assert max(height, width) <= 128 and min(height, width) <= 64
    assert max(height, width) == 128 or min(height, width) == 64
    assert abs(height / width - size[0] / size[1]) < 0.02


def test_a_strip_that_would_vanish_has_a_side_of_zero() -> None:
    assert detector_size(480, 3, (40, 40)) == (40, 0)


def test_without_ratio_the_scale_is_width_and_height() -> None:
    assert detector_size(50, 100, (128, 64), keep_ratio=False) == (64, 128)
