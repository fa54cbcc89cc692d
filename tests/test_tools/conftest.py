"""Fixtures of the tests that extract region features: a detector, images, and the tool."""

import importlib
import io
import logging
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from rc3mm.registry import MODELS
from tests.roi_extraction import CONFIG, ROOT, Extract, pixels


@pytest.fixture(scope='session')
def detector_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose detector sees something everywhere, and its weights."""
    folder = tmp_path_factory.mktemp('detector')
    path = folder / 'tiny.py'
    path.write_text(CONFIG.replace("'{checkpoint}'", 'None'))
    torch.manual_seed(0)
    detector = MODELS.build(Config.fromfile(path).roi_extractor).detector
    for name, parameter in detector.named_parameters():
        if 'fc_reg' in name or 'rpn_reg' in name:  # boxes stay where their anchors are, so they have an area
            torch.nn.init.zeros_(parameter)
    torch.save({'state_dict': detector.state_dict()}, folder / 'weights.pth')
    path.write_text(CONFIG.replace('{checkpoint}', str(folder / 'weights.pth')))
    return path


@pytest.fixture(scope='session')
def noise_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images of three sizes, in two folders."""
    root = tmp_path_factory.mktemp('images')
    for k in range(20):
        path = root / ('a' if k < 12 else 'b') / f'{k:02d}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(k)).save(path)
    return root


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """Ten images, four of them bad in different ways."""
    root = tmp_path / 'spoilt'
    root.mkdir()
    for k in range(10):
        Image.fromarray(pixels(k)).save(root / f'{k}.png')
    buffer = io.BytesIO()
    Image.fromarray(pixels(2)).save(buffer, 'JPEG')
    (root / '2.jpg').write_bytes(buffer.getvalue()[:900])
    (root / '2.png').unlink()
    (root / '4.png').write_bytes(b'')
    (root / '5.png').write_bytes(b'<html>')
    (root / '7.png').unlink()
    (root / '7.png').symlink_to('gone')
    return root


@pytest.fixture
def extract(detector_config: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Extract:
    torch.set_num_threads(1)
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setenv('COLUMNS', '300')
    monkeypatch.setattr(logging, 'raiseExceptions', False)  # the logger writes to the stream of an earlier test
    for name in ('cli', 'roi_reports', 'roi_batches', 'roi_processes', 'extract_roi_features'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return Extract(importlib.import_module('extract_roi_features'), detector_config, capsys, monkeypatch)
