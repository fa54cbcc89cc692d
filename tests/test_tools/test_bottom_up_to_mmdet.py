"""The converter fills every weight of the shipped detector once, from either naming, with rows in the right place."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file

from rc3mm.models.detectors.build import build_detector, load_weights

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/model_converters/bottom_up_to_mmdet.py'
CONFIG = ROOT / 'configs/detectors/bottom_up_r101_c4_vg.py'
HEAD = 'roi_head.bbox_head'


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('bottom_up_to_mmdet', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def model() -> Config:
    """The shipped detector, with fewer layers and classes; names and orders are the same."""
    model = Config.fromfile(CONFIG).model
    model.backbone.depth = model.roi_head.shared_head.depth = 50
    model.roi_head.bbox_head.update(num_classes=6, num_attributes=3)
    return model


@pytest.fixture(scope='module')
def config(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('config') / 'small.py'
    Config(dict(model=model.to_dict())).dump(path)
    return path


@pytest.fixture(scope='module')
def target(model) -> dict[str, torch.Tensor]:
    """What a conversion should give: random weights in mmdet's names and order."""
    torch.manual_seed(0)
    state = build_detector(model).state_dict()
    return {
        key: torch.zeros_like(value) if key.endswith('tracked') else torch.rand_like(value) + 0.1
        for key, value in state.items()
    }


# -- the way back, written independently of the tool


def to_caffe(target: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Blobs as the Caffe release has them."""
    rows = to_caffe_rows(target)
    plain = {
        'rpn_head.rpn_conv': 'rpn_conv/3x3',
        'rpn_head.rpn_cls': 'rpn_cls_score',
        'rpn_head.rpn_reg': 'rpn_bbox_pred',
        f'{HEAD}.fc_cls': 'cls_score',
        f'{HEAD}.fc_reg': 'bbox_pred',
        'backbone.conv1': 'conv1',
    }
    blobs: dict[str, np.ndarray] = {}
    for key, value in rows.items():
        layer, _, part = key.rpartition('.')
        if part == 'num_batches_tracked':
            continue
        if layer in plain or layer.startswith(HEAD):
            blobs[f'{plain.get(layer, layer.rpartition(".")[2])}.{["weight", "bias"].index(part)}'] = value.numpy()
            continue
        name = '_conv1'
        kind = 'bn'
        if layer != 'backbone.bn1':
            stage, block, inner = re.search(r'layer(\d)\.(\d+)\.(.+)$', layer).groups()
            letter = 'abc'[int(block)] if stage in '14' or int(block) == 0 else f'b{block}'
            number = inner[-1]
            branch = '1' if inner.startswith('down') else f'2{"abc"[int(number) - 1]}'
            kind = 'bn' if 'bn' in inner or inner == 'downsample.1' else 'res'
            name = f'{int(stage) + 1}{letter}_branch{branch}'
        if kind == 'res':
            blobs[f'res{name}.0'] = value.numpy()
        elif part in ('weight', 'bias'):
            blobs[f'scale{name}.{["weight", "bias"].index(part)}'] = value.numpy()
        else:
            blobs[f'bn{name}.{["running_mean", "running_var"].index(part)}'] = value.numpy() * 4
            blobs[f'bn{name}.2'] = np.float32([4])
    return blobs


def to_caffe_rows(target: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """mmdet's names, Caffe's order of rows."""
    rows = dict(target)
    for layer in ('fc_cls', 'cls_embedding', 'attr_score'):
        for part in ('weight', 'bias'):
            if f'{HEAD}.{layer}.{part}' in rows:
                value = rows[f'{HEAD}.{layer}.{part}']
                rows[f'{HEAD}.{layer}.{part}'] = torch.cat([value[-1:], value[:-1]])
    for part in ('weight', 'bias'):
        value = rows[f'{HEAD}.fc_reg.{part}']
        rows[f'{HEAD}.fc_reg.{part}'] = torch.cat([torch.full_like(value[:4], 99), value])
        score = rows[f'rpn_head.rpn_cls.{part}']
        background = torch.rand_like(score)
        rows[f'rpn_head.rpn_cls.{part}'] = torch.cat([background, score + background])
    return rows


def to_detectron2(rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """detectron2's names; the order stays."""
    renamed = {}
    for key, value in rows.items():
        key = key.replace('backbone.conv1.', 'backbone.stem.conv1.').replace(
            'backbone.bn1.', 'backbone.stem.conv1.norm.'
        )
        key = re.sub(r'backbone\.layer(\d)', lambda m: f'backbone.res{int(m[1]) + 1}', key)
        key = key.replace('roi_head.shared_head.layer4', 'roi_heads.res5')
        key = re.sub(r'\.bn(\d)\.', r'.conv\1.norm.', key)
        key = key.replace('downsample.0', 'shortcut').replace('downsample.1', 'shortcut.norm')
        for ours, theirs in [('rpn_conv', 'conv'), ('rpn_cls', 'objectness_logits'), ('rpn_reg', 'anchor_deltas')]:
            key = key.replace(f'rpn_head.{ours}', f'proposal_generator.rpn_head.{theirs}')
        for ours, theirs in [
            ('fc_cls', 'cls_score'),
            ('fc_reg', 'bbox_pred'),
            ('cls_embedding', 'cls_embed'),
            ('fc_attr', 'attr_linear1'),
            ('attr_score', 'attr_linear2'),
        ]:
            key = key.replace(f'{HEAD}.{ours}', f'roi_heads.box_predictor.{theirs}')
        renamed[key] = value
    return renamed


def convert(tool, monkeypatch, *args) -> None:
    monkeypatch.setattr(sys, 'argv', ['bottom_up_to_mmdet.py', *map(str, args)])
    tool.main()


def assert_same(path: Path, target: dict[str, torch.Tensor]) -> None:
    written = load_file(path)
    assert set(written) == set(target)
    for key, value in target.items():
        torch.testing.assert_close(written[key], value, msg=lambda text, key=key: f'{key}: {text}')


# -- laws


def test_caffe_blobs_land_in_their_places(tool, monkeypatch, target, config, model, tmp_path) -> None:
    np.savez(tmp_path / 'blobs.npz', **to_caffe(target))
    out = tmp_path / 'out.safetensors'
    convert(tool, monkeypatch, tmp_path / 'blobs.npz', out, '--config', config)
    assert_same(out, target)
    load_weights(build_detector(model), str(out))


def test_detectron2_names_with_caffe_order(tool, monkeypatch, target, config, tmp_path) -> None:
    """Files made from the Caffe release have detectron2's names, but two scores an anchor and the background first."""
    torch.save({'model': to_detectron2(to_caffe_rows(target))}, tmp_path / 'caffe.pth')
    convert(tool, monkeypatch, tmp_path / 'caffe.pth', tmp_path / 'out.safetensors', '--config', config)
    assert_same(tmp_path / 'out.safetensors', target)


def test_detectron2_names_with_detectron2_order(tool, monkeypatch, target, config, tmp_path) -> None:
    """Background last, sizes before ratios (4 sizes, 3 ratios), corrections of boxes multiplied by 10 and 5."""
    rows = dict(target)
    for part in ('weight', 'bias'):
        for layer, each in (('rpn_cls', 1), ('rpn_reg', 4)):
            value = rows[f'rpn_head.{layer}.{part}']
            order = [(ratio * 4 + size) * each + k for size in range(4) for ratio in range(3) for k in range(each)]
            rows[f'rpn_head.{layer}.{part}'] = value[order]
        value = rows[f'{HEAD}.fc_reg.{part}']
        weights = torch.tensor([10.0, 10, 5, 5]).repeat(6)
        rows[f'{HEAD}.fc_reg.{part}'] = value * (weights[:, None] if value.ndim == 2 else weights)
    torch.save(to_detectron2(rows), tmp_path / 'd2.pth')
    out = tmp_path / 'out.safetensors'
    convert(tool, monkeypatch, tmp_path / 'd2.pth', out, '--config', config, '--box-weights', 10, 10, 5, 5)
    assert_same(out, target)


def test_every_weight_of_the_shipped_detector_has_a_caffe_blob(tool) -> None:
    """By name and number of rows; values are tested on the smaller one."""
    with torch.device('meta'):
        shipped = build_detector(Config.fromfile(CONFIG).model).state_dict()
    found, unmapped = tool.rename({key: torch.zeros(1) for key in to_caffe_names(shipped)})
    assert not unmapped
    assert set(found) == {key for key in shipped if not key.endswith('num_batches_tracked')}


def to_caffe_names(state: dict[str, torch.Tensor]) -> list[str]:
    small = {key: torch.ones(12 if 'rpn_cls' in key else 8) for key in state}
    return list(to_caffe(small))


# -- what is wrong, in words


def test_missing_and_unknown_keys_are_told(tool, monkeypatch, target, config, tmp_path, capsys) -> None:
    blobs = to_caffe(target)
    del blobs['res3b2_branch2a.0']
    np.savez(tmp_path / 'blobs.npz', **blobs, **{'strange.0': np.zeros(3, np.float32)})
    out = tmp_path / 'out.safetensors'
    with pytest.raises(tool.ConversionError, match=r'1 missing and 0 of another shape.*layer2\.2\.conv1.*nothing was'):
        convert(tool, monkeypatch, tmp_path / 'blobs.npz', out, '--config', config)
    assert not out.exists() and 'strange.0' in capsys.readouterr().err


def test_weights_of_another_size_are_told(tool, monkeypatch, target, config, tmp_path) -> None:
    blobs = to_caffe(target)
    blobs['attr_score.0'] = blobs['attr_score.0'][:2]
    np.savez(tmp_path / 'blobs.npz', **blobs)
    with pytest.raises(tool.ConversionError, match=r'attr_score\.weight: \(2, 512\), expected \(4, 512\)'):
        convert(tool, monkeypatch, tmp_path / 'blobs.npz', tmp_path / 'out.safetensors', '--config', config)


def test_two_keys_for_one_weight_are_told(tool) -> None:
    ones = torch.ones(3)
    with pytest.raises(tool.ConversionError, match=r'cls_score\.1 and roi_heads.*both mean'):
        tool.rename({'cls_score.1': ones, 'roi_heads.box_predictor.cls_score.bias': ones})


def test_files_that_cannot_be_read_safely_are_told(tool, tmp_path) -> None:
    with pytest.raises(tool.ConversionError, match='there is no file'):
        tool.read_source(tmp_path / 'nothing.npz')
    np.savez(tmp_path / 'objects.npz', a=np.array([{}], dtype=object))
    with pytest.raises(tool.ConversionError, match=r'objects\.npz is not an \.npz archive of plain arrays'):
        tool.read_source(tmp_path / 'objects.npz')
    torch.save({'model': {'a': Path('x')}}, tmp_path / 'objects.pth')
    with pytest.raises(tool.ConversionError, match=r'objects\.pth was refused'):
        tool.read_source(tmp_path / 'objects.pth')


def test_output_of_another_kind_is_refused(tool, monkeypatch, tmp_path) -> None:
    with pytest.raises(tool.ConversionError, match=r'the result is a \.safetensors file'):
        convert(tool, monkeypatch, 'x.npz', tmp_path / 'out.pth')
