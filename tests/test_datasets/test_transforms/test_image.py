"""Pixels, boxes and regions."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from rc3mm.datasets import DecodeImage, EmojiStrict, ResizeImage, RoiPixels


def pixels(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(image: np.ndarray, kind: str = 'PNG', mode: str = 'RGB') -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def test_bytes_and_paths_give_the_same_pixels(tmp_path: Path) -> None:
    image = pixels()
    (tmp_path / 'a.png').write_bytes(encode(image))
    for source in ({'image_bytes': encode(image)}, {'image_path': str(tmp_path / 'a.png')}):
        sample = DecodeImage()({'image_id': 'a', **source})
        assert (sample['image'] == image).all() and sample['image'].dtype == np.uint8
        assert 'image_bytes' not in sample  # encoded bytes travel no further
    assert sample['image_path'] == str(tmp_path / 'a.png')


@pytest.mark.parametrize('mode', ['L', 'LA', 'P', 'RGBA', '1', 'CMYK'])
def test_every_mode_becomes_rgb(mode: str) -> None:
    encoded = encode(pixels(), 'TIFF' if mode == 'CMYK' else 'PNG', mode)
    image = DecodeImage()({'image_bytes': encoded})['image']
    assert image.shape == (20, 30, 3) and image.dtype == np.uint8 and image.std() > 0


def scene(width: int, height: int, kind: str = 'JPEG', mode: str = 'RGB', **options: Any) -> bytes:
    """A picture with smooth parts, edges and texture, encoded."""
    image = EmojiStrict(num_scenes=1, level='hard', image_size=max(width, height)).get_sample(0)['image'][
        :height, :width
    ]
    noise = Image.fromarray(pixels(height, width)).filter(ImageFilter.GaussianBlur(1.5))
    textured = Image.fromarray((image * 0.7 + np.asarray(noise) * 0.3).astype(np.uint8))
    buffer = BytesIO()
    textured.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(encoded: bytes) -> np.ndarray:
    with Image.open(BytesIO(encoded)) as image:
        return np.asarray(image.convert('RGB'))


@pytest.mark.parametrize(
    'options', [{}, {'progressive': True}, {'subsampling': 0, 'quality': 95}, {'mode': 'L'}], ids=str
)
def test_jpeg_pixels_are_those_of_pillow(options: dict[str, Any]) -> None:
    encoded = scene(131, 77, **options)
    assert (DecodeImage()({'image_bytes': encoded})['image'] == by_pillow(encoded)).all()


@pytest.mark.parametrize('keep', [2, 300, -40])
def test_a_jpeg_cut_short_is_refused(keep: int) -> None:
    for at_least in (None, 16):
        with pytest.raises(ValueError, match='image a cannot be decoded'):
            DecodeImage(at_least)({'image_id': 'a', 'image_bytes': scene(64, 48)[:keep]})


@pytest.mark.parametrize(
    ('width', 'height', 'at_least', 'shape'),
    [
        (500, 375, 224, (375, 500)),  # a half would be too low
        (640, 480, 224, (240, 320)),
        (640, 480, 60, (60, 80)),
        (645, 485, 20, (61, 81)),  # an eighth is the least, rounded up
        (640, 480, None, (480, 640)),
    ],
)
def test_jpeg_images_are_read_smaller_but_not_too_small(
    width: int, height: int, at_least: int | None, shape: tuple[int, int]
) -> None:
    encoded = scene(width, height)
    sample = {'image_bytes': encoded, 'roi_boxes': np.array([[0, 0, width, height]], np.float32)}
    sample = DecodeImage(at_least)(sample)
    assert sample['image'].shape[:2] == shape and min(shape) >= (at_least or 0)
    np.testing.assert_allclose(sample['roi_boxes'], [[0, 0, shape[1], shape[0]]], rtol=1e-6)


@pytest.mark.parametrize(('width', 'height'), [(448, 448), (640, 480), (1000, 460)])
def test_what_a_reduced_image_differs_by_is_bounded(width: int, height: int) -> None:
    encoded = scene(width, height, quality=90)
    full, reduced = (
        ResizeImage(224)(DecodeImage(at_least)({'image_bytes': encoded}))['image'].astype(float)
        for at_least in (None, 224)
    )
    assert np.abs(full - reduced).mean() < 2 and (np.abs(full - reduced) < 16).mean() > 0.999
    assert not (full == reduced).all()


@pytest.mark.parametrize('kind', ['PNG', 'WEBP'])
def test_other_formats_keep_their_size(kind: str) -> None:
    encoded = scene(200, 100, kind)
    assert (DecodeImage(10)({'image_bytes': encoded})['image'] == by_pillow(encoded)).all()


def test_a_side_must_be_positive() -> None:
    with pytest.raises(ValueError, match='at_least must be at least 1 pixel'):
        DecodeImage(0)


def with_size(encoded: bytes, width: int) -> bytes:
    """A BMP that claims to be so wide."""
    return encoded[:18] + width.to_bytes(4, 'little') + encoded[22:]


BROKEN = {
    'empty': b'',
    'text': b'<html>404</html>',
    'cut': encode(pixels())[:200],
    'cut header': encode(pixels())[:20],
    'wrong chunk': encode(pixels()).replace(b'IDAT', b'\xff\xff\xff\xff'),
    'short header': encode(pixels()).replace(b'\x00\x00\x00\rIHDR', b'\x00\x00\x00\x05IHDR'),
    'bomb': with_size(encode(pixels(), 'BMP'), 2**30),
}


@pytest.mark.parametrize('content', BROKEN.values(), ids=BROKEN)
def test_a_broken_image_is_a_value_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'broken.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'image .*broken\.png cannot be decoded'):
        DecodeImage()({'image_id': 'a', 'image_path': path})
    with pytest.raises(ValueError, match='image wit-17 cannot be decoded'):
        DecodeImage()({'image_id': 'wit-17', 'image_bytes': content})


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'none\.png cannot be decoded.*No such file'):
        DecodeImage()({'image_path': tmp_path / 'none.png'})
    with pytest.raises(KeyError, match='image_bytes or image_path; sample wit-17'):
        DecodeImage()({'image_id': 'wit-17'})


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.data())
def test_resizing_keeps_boxes_on_their_part_of_the_image(height: int, width: int, size: int, data: Any) -> None:
    shares = np.array(data.draw(st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=3)), np.float32).reshape(-1, 4)
    boxes = shares * np.array([width, height] * 2, np.float32)
    sample = ResizeImage(size)({'image': pixels(height, width), 'roi_boxes': boxes.copy()})
    assert sample['image'].shape == (size, size, 3) and sample['image'].dtype == np.uint8
    assert sample['roi_boxes'].dtype == np.float32
    np.testing.assert_allclose(sample['roi_boxes'] / size, shares, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90))
def test_resizing_is_that_of_pillow_within_two_levels(height: int, width: int, size: int) -> None:
    image = 85 + pixels(height, width) // 3  # what overshoots black or white is cut off at other moments
    expected = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC), np.int16)
    assert np.abs(ResizeImage(size)({'image': image})['image'] - expected).max() <= 2


def test_resizing_takes_any_array() -> None:
    image = pixels(40, 60)
    expected = ResizeImage(32)({'image': image.copy()})['image']
    image.flags.writeable = False
    for same in (image, np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0), np.repeat(image, 2, 0)[::2]):
        assert (ResizeImage(32)({'image': same})['image'] == expected).all()


def test_resizing_moves_pixels_with_their_boxes() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[10:30, 20:40] = 255
    sample = ResizeImage(64)({'image': image, 'roi_boxes': np.array([[20, 10, 40, 30]], np.float32)})
    x1, y1, x2, y2 = sample['roi_boxes'][0].astype(int)
    inside = sample['image'][y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
    assert inside.size and (inside > 240).all()
    outside = np.delete(sample['image'], np.s_[x1 - 3 : x2 + 3], axis=1)
    assert (outside < 15).all()
    same = pixels(64, 64)
    assert (ResizeImage(64)({'image': same.copy()})['image'] == same).all()


def test_regions_are_the_pixels_of_their_boxes() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[10:30, 20:40] = (255, 0, 51)
    boxes = np.array([[20, 10, 40, 30], [50, 0, 80, 40], [20, 0, 40, 40]], np.float32)
    sample = RoiPixels(size=4)({'image': image, 'roi_boxes': boxes.copy()})
    features = sample['roi_features'].reshape(3, 4, 4, 3)
    assert sample['roi_features'].dtype == np.float32
    np.testing.assert_allclose(features[0], np.broadcast_to([1, -1, -0.6], (4, 4, 3)), atol=1e-6)
    assert (features[1] == -1).all()
    assert (features[2, [0, 3]] == -1).all() and (features[2, [1, 2], :, 0] == 1).all()  # rows are rows
    assert (sample['roi_boxes'] == boxes).all()


@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_regions_of_scenes_have_their_shape_and_range(level: str) -> None:
    dataset = EmojiStrict(num_scenes=30, level=level, pipeline=[RoiPixels(6)])
    for index in range(30):
        sample = dataset[index]
        features = sample['roi_features']
        assert features.shape == (len(sample['roi_boxes']), 3 * 6 * 6)
        assert features.min() >= -1 and features.max() <= 1 and (features.std(1) > 0).all()


@given(st.tuples(*[st.floats(-200, 200)] * 4))
def test_boxes_beyond_the_image_are_no_accident(box: tuple[float, ...]) -> None:
    sample = RoiPixels(3)({'image': pixels(), 'roi_boxes': np.array([box], np.float32)})
    assert np.isfinite(sample['roi_features']).all() and np.abs(sample['roi_features']).max() <= 1


@pytest.mark.parametrize('boxes', [np.zeros((0, 4), np.float32), []])
def test_an_image_without_boxes_is_one_region(boxes: Any) -> None:
    image = pixels()
    sample = RoiPixels(5)({'image': image, 'roi_boxes': boxes})
    assert sample['roi_boxes'].tolist() == [[0, 0, 30, 20]]
    whole = RoiPixels(5)({'image': image, 'roi_boxes': np.array([[0, 0, 30, 20]], np.float32)})
    assert (sample['roi_features'] == whole['roi_features']).all() and sample['roi_features'].shape == (1, 75)
