"""The one way in which images are resized for a detector, online and offline alike."""

import cv2
import numpy as np

__all__ = ['resize_for_detector']


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
    if scale is None:
        return image
    height, width = image.shape[:2]
    if keep_ratio:
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        size = (int(width * factor + 0.5), int(height * factor + 0.5))
    else:
        size = (scale[0], scale[1])
    return image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
