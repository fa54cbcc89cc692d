"""Transforms of images and regions."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rc3mm.registry import TRANSFORMS

__all__ = ['DecodeImage', 'ResizeImage', 'RoiPixels']


@TRANSFORMS.register_module()
class DecodeImage:
    """Encoded bytes or a path -> RGB pixels.

    Required keys: `image_bytes` or `image_path`. Added keys: `image` (uint8, HWC).

    Raises:
        ValueError: the image cannot be decoded; the message names it.
    """

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Decode the sample's image."""
        encoded = sample.pop('image_bytes', None)
        path = sample.get('image_path') if encoded is None else None
        if encoded is None and path is None:
            raise KeyError(f'DecodeImage needs image_bytes or image_path; sample {sample.get("image_id")} has neither')
        try:
            encoded = Path(path).read_bytes() if path is not None else encoded
            with Image.open(BytesIO(encoded)) as image:
                sample['image'] = np.asarray(image.convert('RGB'))
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
            name = sample.get('image_path', sample.get('image_id'))
            raise ValueError(f'image {name} cannot be decoded: {error}') from error
        return sample


@TRANSFORMS.register_module()
class ResizeImage:
    """Resize to a square, as ViTs take it; boxes in pixels are scaled along.

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
            resized = Image.fromarray(sample['image']).resize((self.size, self.size), Image.Resampling.BICUBIC)
            sample['image'] = np.asarray(resized)
            if 'roi_boxes' in sample:
                scale = np.array([self.size / width, self.size / height] * 2, dtype=np.float32)
                sample['roi_boxes'] = sample['roi_boxes'] * scale
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
