"""The stem of the Caffe ResNets; imports mmdet, so import it only to build."""

from typing import Any

from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS
from torch import nn

__all__ = ['CaffeResNet']


@MODELS.register_module()
class CaffeResNet(ResNet):
    """mmdet's ResNet, but the stem pools without padding and lets the last window stick out, as Caffe does.

    Weights that were trained so give features that are shifted by up to half a cell otherwise.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(style='caffe', **kwargs)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
