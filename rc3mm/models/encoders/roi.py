"""The ROI encoder: region features of a detector -> visual tokens."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from rc3mm.models.layers import box_geometry
from rc3mm.registry import MODELS

__all__ = ['RoiEncoder']


@MODELS.register_module()
class RoiEncoder(BaseModule):
    """Token of a region = projected feature + embedded 7-d box + form embedding (UNITER, UC2).

    Args:
        feature_dim: F, width of the region features (2048 for C4/C5 detectors, 1024 for FPN heads).
        width: D, of the tokens handed on.
    """

    def __init__(self, feature_dim: int, width: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.feature = nn.Sequential(nn.Linear(feature_dim, width), nn.LayerNorm(width))
        self.box = nn.Sequential(nn.Linear(7, width), nn.LayerNorm(width))
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.form_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.norm = nn.LayerNorm(width)

    def forward(self, features_BRF: Tensor, boxes_BR4: Tensor) -> Tensor:
        """Embed regions.

        Args:
            features_BRF: region features.
            boxes_BR4: x1, y1, x2, y2 as shares of the image's width and height.

        Returns:
            Shape (B, R, D).

        Raises:
            ValueError: the features' width is not `feature_dim`.
        """
        if features_BRF.shape[-1] != self.feature_dim:
            raise ValueError(
                f'ROI features are {features_BRF.shape[-1]}-d but the ROI encoder was built for {self.feature_dim}-d; '
                'set `roi_encoder.feature_dim` to what the detector yields'
            )
        dtype = self.form_embedding.dtype
        x_BRD = self.feature(features_BRF.to(dtype)) + self.box(box_geometry(boxes_BR4.to(dtype)))
        return self.norm(x_BRD + self.mlp(x_BRD) + self.form_embedding)
