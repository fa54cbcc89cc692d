"""The one way in which images are resized for a detector, online and offline alike."""

import cv2
import numpy as np

__all__ = ['detector_size', 'resize_for_detector']


def detector_size(height: int, width: int, scale: tuple[int, int] | None, keep_ratio: bool = True) -> tuple[int, int]:
    """Height and width of an image after `resize_for_detector`, in pixels; 0 for a side that would vanish.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        scale: as in `resize_for_detector`.
        keep_ratio: as in `resize_for_detector`.
    """
    if scale is None:
        return height, width
    if not keep_ratio:
        return scale[1], scale[0]
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def resize_for_detector(image: np.ndarray, scale: tuple[int, int] | None, keep_ratio: bool = True) -> np.ndarray:
    """Resize as mmdet's `Resize` does (OpenCV, bilinear).

    Args:
        image: uint8, shape (H, W, 3).
        scale: bounds of the longer and the shorter side in pixels if `keep_ratio`, whichever is which; else the new
            width and height. None leaves the image as it is.
        keep_ratio: keep the ratio of the sides.

    Returns:
        uint8, shape (H', W', 3).
    """
    height, width = image.shape[:2]
    size = detector_size(height, width, scale, keep_ratio)
    return image if size == (height, width) else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
