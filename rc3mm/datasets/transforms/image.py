"""Transforms of images and regions."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg

from rc3mm.registry import TRANSFORMS

__all__ = ['DecodeImage', 'ResizeImage', 'RoiPixels']

_NO_FRAME = (0xC4, 0xC8, 0xCC)  # markers of JPEG that lie among those of frames: tables, and what is reserved


@TRANSFORMS.register_module()
class DecodeImage:
    """Encoded bytes or a path -> RGB pixels.

    Required keys: `image_bytes` or `image_path`. Added keys: `image` (uint8, HWC). Modified keys: `roi_boxes` if
    present, scaled along where an image is read smaller.

    Args:
        at_least: JPEG images are read at a half, a quarter or an eighth of their size, as far as no side falls below so
            many pixels; None for the size that they have. Name the side that `ResizeImage` makes. Before a random crop
            name more: a crop of a share s of the area, with sides in a ratio of up to r, has sides of at least
            `at_least` * sqrt(s / r). A detector (`DetectorImage`) needs images as they are.

    Raises:
        ValueError: the image cannot be decoded; the message names it. Or `at_least` is below 1.
    """

    def __init__(self, at_least: int | None = None) -> None:
        if at_least is not None and at_least < 1:
            raise ValueError(
                f'at_least must be at least 1 pixel, or None for the size that images have, got {at_least}'
            )
        self.at_least = at_least

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Decode the sample's image."""
        encoded = sample.pop('image_bytes', None)
        path = sample.get('image_path') if encoded is None else None
        if encoded is None and path is None:
            raise KeyError(f'DecodeImage needs image_bytes or image_path; sample {sample.get("image_id")} has neither')
        try:
            encoded = Path(path).read_bytes() if path is not None else encoded
            sample['image'], (width, height) = _decode(encoded, self.at_least)
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
            name = sample.get('image_path', sample.get('image_id'))
            raise ValueError(f'image {name} cannot be decoded: {error}') from error
        _scale_boxes(sample, height, width)
        return sample


def _decode(encoded: bytes, at_least: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """Pixels, uint8 (H, W, 3), and the width and height that the image really has."""
    size = _size_of_jpeg(encoded)
    if size is not None and (at_least is None or min(size) < 2 * at_least):
        # The same library and the same pixels as Pillow's, in two thirds of the time.
        try:
            data = torch.frombuffer(bytearray(encoded), dtype=torch.uint8)
            return decode_jpeg(data, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy(), size
        except RuntimeError:
            pass  # Pillow knows more variants, and says what is wrong
    with Image.open(BytesIO(encoded)) as image:
        size = image.size
        if at_least is not None and image.format == 'JPEG':
            image.draft(None, (at_least, at_least))
        return np.array(image.convert('RGB')), size


def _size_of_jpeg(encoded: bytes) -> tuple[int, int] | None:
    """Width and height of a grey or colour JPEG image that is not suspiciously large; None for all else."""
    place = 2 if encoded[:2] == b'\xff\xd8' else len(encoded)
    while place + 10 <= len(encoded) and encoded[place] == 0xFF:
        marker = encoded[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = (int.from_bytes(encoded[place + k : place + k + 2], 'big') for k in (5, 7))
            usual = encoded[place + 4] == 8 and encoded[place + 9] in (1, 3) and 0 < height * width
            return (width, height) if usual and height * width <= (Image.MAX_IMAGE_PIXELS or np.inf) else None
        place += 2 + int.from_bytes(encoded[place + 2 : place + 4], 'big')
    return None


def _scale_boxes(sample: dict[str, Any], height: int, width: int) -> None:
    """Turn boxes in pixels of an image of such a size into those of the sample's image, in place."""
    new_height, new_width = sample['image'].shape[:2]
    if 'roi_boxes' in sample and (new_height, new_width) != (height, width):
        scale = np.array([new_width / width, new_height / height] * 2, dtype=np.float32)
        sample['roi_boxes'] = sample['roi_boxes'] * scale


@TRANSFORMS.register_module()
class ResizeImage:
    """Resize to a square, as ViTs take it (bicubic, antialiased); boxes in pixels are scaled along.

    Required keys: `image`. Modified keys: `image`, `roi_boxes` if present.

    Args:
        size: side in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Resize the sample's image."""
        height, width = sample['image'].shape[:2]
        if (height, width) != (self.size, self.size):
            # PyTorch's kernel is within two levels of Pillow's (bar overshoots) in a fourth of the time, and writes
            # channels first, as the model takes them.
            pixels = torch.from_numpy(np.require(sample['image'], requirements=['C', 'W'])).permute(2, 0, 1)
            resized = interpolate(pixels[None], (self.size, self.size), mode='bicubic', antialias=True)
            sample['image'] = resized[0].permute(1, 2, 0).numpy()
            _scale_boxes(sample, height, width)
        return sample


@TRANSFORMS.register_module()
class RoiPixels:
    """Region features without a detector: each box, shrunk to a few pixels.

    For worlds whose boxes are known (EmojiScenes) and for tests; a real detector's features take the same
    place. An image without boxes gets one that covers it.

    Required keys: `image`, `roi_boxes` (float, (R, 4), x1, y1, x2, y2 in pixels).
    Added keys: `roi_features` (float32, (R, 3 * size * size), in [-1, 1]). Modified keys: `roi_boxes`.

    Args:
        size: side of the shrunk region in pixels.
    """

    def __init__(self, size: int = 8) -> None:
        self.size = size

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Describe the sample's regions."""
        image = sample['image']
        height, width = image.shape[:2]
        if len(sample['roi_boxes']) == 0:
            sample['roi_boxes'] = np.array([[0, 0, width, height]], dtype=np.float32)
        boxes = np.asarray(sample['roi_boxes'], dtype=np.float64)
        grid = (np.arange(self.size) + 0.5) / self.size
        # A grid of points is a hundred times cheaper than resampling, and enough for emoji-sized regions.
        xs = np.clip(boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * grid, 0, width - 1).astype(np.int64)
        ys = np.clip(boxes[:, 1:2] + (boxes[:, 3:] - boxes[:, 1:2]) * grid, 0, height - 1).astype(np.int64)
        pixels = image[ys[:, :, None], xs[:, None, :]]
        sample['roi_features'] = pixels.reshape(len(boxes), -1).astype(np.float32) / 127.5 - 1
        return sample
