"""Real two-stage detectors of mmdet, small enough for tests; weights are random."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rc3mm.models.detectors import RoiExtractor

_CODER = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])
_NORM = dict(type='BN', requires_grad=True)
_BACKBONE = dict(
    type='ResNet', depth=18, base_channels=8, norm_cfg=_NORM, norm_eval=False, style='pytorch', zero_init_residual=False
)
_PREPROCESSOR = dict(
    type='DetDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=16,
)
_TEST_CFG = dict(
    rpn=dict(nms_pre=200, max_per_img=60, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
    rcnn=dict(score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=50),
)


def fpn(num_classes: int = 7, **head: Any) -> dict[str, Any]:
    """Faster R-CNN with FPN on three levels: 'head' is 24-d, 'pooled' 16-d."""
    strides = [4, 8, 16]
    return dict(
        type='FasterRCNN',
        data_preprocessor=_PREPROCESSOR,
        backbone=dict(**_BACKBONE, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 1, 2)),
        neck=dict(type='FPN', in_channels=[8, 16, 32], out_channels=16, num_outs=3),
        rpn_head=dict(
            type='RPNHead',
            in_channels=16,
            feat_channels=16,
            anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0, 2.0], strides=strides),
            bbox_coder=_CODER,
        ),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=5, sampling_ratio=2),
                out_channels=16,
                featmap_strides=strides,
                finest_scale=14,
            ),
            bbox_head=dict(
                type='Shared2FCBBoxHead',
                in_channels=16,
                fc_out_channels=24,
                roi_feat_size=5,
                num_classes=num_classes,
                bbox_coder=_CODER,
                **head,
            ),
        ),
        test_cfg=_TEST_CFG,
    )


def c4(num_classes: int = 7, num_attributes: int = 5) -> dict[str, Any]:
    """Faster R-CNN C4 with an attribute head and the real last stage of ResNet-18: features are 512-d."""
    return dict(
        type='FasterRCNN',
        data_preprocessor=_PREPROCESSOR,
        backbone=dict(
            type='ResNet',
            depth=18,
            num_stages=3,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(2,),
            norm_cfg=_NORM,
            zero_init_residual=False,
        ),
        rpn_head=dict(
            type='RPNHead',
            in_channels=256,
            feat_channels=16,
            anchor_generator=dict(type='AnchorGenerator', scales=[1, 2], ratios=[0.5, 1.0, 2.0], strides=[16]),
            bbox_coder=_CODER,
        ),
        roi_head=dict(
            type='StandardRoIHead',
            shared_head=dict(type='ResLayer', depth=18, stage=3, stride=2, norm_cfg=_NORM),
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=6, sampling_ratio=2),
                out_channels=256,
                featmap_strides=[16],
            ),
            bbox_head=dict(
                type='AttributeBBoxHead',
                with_avg_pool=True,
                roi_feat_size=3,
                in_channels=512,
                num_classes=num_classes,
                num_attributes=num_attributes,
                embedding_dim=4,
                hidden_dim=8,
                bbox_coder=_CODER,
            ),
        ),
        test_cfg=_TEST_CFG,
    )


DETECTORS: dict[str, Callable[..., dict[str, Any]]] = {'fpn': fpn, 'c4': c4}


@pytest.fixture(scope='session')
def detector_config() -> Callable[..., dict[str, Any]]:
    """The model entry of a tiny detector, by name: `fpn`, or `c4` with attributes."""
    return lambda name='fpn', **kwargs: DETECTORS[name](**kwargs)


@pytest.fixture(scope='session')
def make_extractor() -> Callable[..., RoiExtractor]:
    """Build an extractor around a tiny detector, always with the same weights."""

    def make(name: str = 'fpn', scale: tuple[int, int] | None = None, **kwargs: Any) -> RoiExtractor:
        torch.manual_seed(0)
        pipeline = [dict(type='LoadImageFromFile'), dict(type='PackDetInputs')]
        if scale:
            pipeline.insert(1, dict(type='Resize', scale=scale, keep_ratio=True))
        detector = dict(model=DETECTORS[name](), test_pipeline=pipeline)
        extractor = RoiExtractor(detector, **{'min_regions': 12, 'max_regions': 12, **kwargs})
        for layer in extractor.modules():  # statistics as after training, so that evaluation mode is not trivial
            if isinstance(layer, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(layer.running_mean, -0.1, 0.1)
                torch.nn.init.uniform_(layer.bias, -0.1, 0.1)
        with torch.no_grad():  # scores that differ from region to region
            extractor.detector.roi_head.bbox_head.fc_cls.weight.mul_(20)
        return extractor

    return make


@pytest.fixture(scope='session')
def make_image() -> Callable[..., np.ndarray]:
    """A picture with a few rectangles on noise, uint8 RGB."""

    def make(height: int, width: int, seed: int = 0) -> np.ndarray:
        draw = np.random.default_rng(seed)
        image = draw.integers(0, 64, (height, width, 3), dtype=np.uint8)
        for _ in range(4):
            top, left = draw.integers(0, height * 3 // 4), draw.integers(0, width * 3 // 4)
            image[top : top + height // 3, left : left + width // 3] = draw.integers(0, 256, 3)
        return image

    return make
