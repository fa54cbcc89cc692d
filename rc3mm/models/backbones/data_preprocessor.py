"""Moves a batch to the device and normalises images there; they travel over the bus as uint8."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor

from rc3mm.registry import MODELS

__all__ = ['VLDataPreprocessor']


@MODELS.register_module()
class VLDataPreprocessor(BaseDataPreprocessor):
    """uint8 images -> normalised float images, on the model's device.

    Args:
        mean: per RGB channel, in [0, 255].
        std: per RGB channel, in [0, 255].
        non_blocking: overlap the copy with computation (needs pinned memory).
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """`{'inputs': ..., 'data_samples': ...}` -> the same, on the device, with float images.

        The uint8 images stay at hand as `pixels`, for a detector with a normalisation of its own.
        """
        data = self.cast_data(data)
        if 'image' in data['inputs']:
            data['inputs']['pixels'] = image = data['inputs']['image']
            data['inputs']['image'] = (image.to(self.mean.dtype) - self.mean) / self.std
        return data
