"""A tiny detector, images of noise and a way to run tools/extract_roi_features.py on them."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets.roi import RoiStore

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((64, 64), (64, 96), (48, 64))
CONFIG = """
from rc3mm.models.detectors import RoiExtractor
box_coder = dict(type='DeltaXYWHBBoxCoder')
model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, base_channels=8, norm_cfg=dict(type='BN'), style='pytorch'),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5),
    rpn_head=dict(
        type='RPNHead', in_channels=16, feat_channels=16, bbox_coder=box_coder,
        anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]),
    ),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels=16, featmap_strides=[4, 8, 16, 32],
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
        ),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=32, roi_feat_size=7, num_classes=5,
            bbox_coder=box_coder,
        ),
    ),
    train_cfg=None,
    test_cfg=dict(
        rpn=dict(nms_pre=50, max_per_img=20, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20),
    ),
)
roi_extractor = dict(type=RoiExtractor, detector=model, checkpoint='{checkpoint}', min_regions=2, max_regions=4)
"""


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZES[seed % 3], 3), dtype=np.uint8)


class Extract:
    """Runs the tool in this process, as its script does."""

    def __init__(self, module: ModuleType, config: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module, self.config, self.capsys, self.monkeypatch = module, config, capsys, monkeypatch

    def __call__(self, *arguments: object, config: Path | None = None) -> tuple[int, str]:
        command = ['tools/extract_roi_features.py', str(config or self.config), *map(str, arguments)]
        self.monkeypatch.setattr(sys, 'argv', command)
        code = 0
        try:
            self.module.run_main(self.module.main)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = self.capsys.readouterr()
        return code, out + err

    def store(self, *arguments: object, out: Path) -> RoiStore:
        """The finished store."""
        code, output = self('--shard-size', 3, *arguments, '--out', out)
        assert code == 0, output
        return RoiStore(out)


def shards(store: Path) -> dict[str, bytes]:
    """The bytes of every shard and of the index."""
    return {path.name: path.read_bytes() for path in sorted(store.glob('*.safetensors'))}


REASONS = {'2': 'truncated image', '4': 'empty file', '5': 'not an image', '7': 'missing file'}


def bad_list(store: Path) -> dict[str, str]:
    rows = [line.split('\t') for line in (store / 'bad_images.tsv').read_text().splitlines()]
    assert rows[0] == ['id', 'reason', 'detail', 'origin'] and all(len(row) == 4 for row in rows)
    return {row[0]: row[1] for row in rows[1:]}
