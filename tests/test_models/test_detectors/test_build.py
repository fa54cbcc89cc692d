"""Detectors are found, built and filled without fetching anything; what does not fit is told."""

import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from rc3mm.models.detectors import RoiExtractor
from rc3mm.models.detectors.build import build_detector, load_weights, read_config
from rc3mm.models.detectors.input_scale import read_input_scale
from rc3mm.registry import MODELS
from rc3mm.utils.checkpoint import UnsafeCheckpointError

ROOT = Path(__file__).parents[3]
CONFIGS = {
    'faster_rcnn_r50_c4_coco': (2048, 80, 0, ((1333, 800), True)),
    'faster_rcnn_r101_fpn_coco': (1024, 80, 0, ((1333, 800), True)),
    'bottom_up_r101_c4_vg': (2048, 1600, 400, ((1000, 600), True)),
}


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_builds_and_says_what_it_gives(name, monkeypatch) -> None:
    monkeypatch.delenv('RC3MM_WEIGHTS', raising=False)
    cfg = Config.fromfile(ROOT / f'configs/detectors/{name}.py')
    assert cfg.roi_extractor.checkpoint.startswith('weights/')
    extractor = MODELS.build({**cfg.roi_extractor, 'checkpoint': None})
    found = (extractor.feature_dim, extractor.num_classes, extractor.num_attributes, extractor.input_scale)
    assert found == CONFIGS[name]
    if name.endswith('coco'):
        assert extractor.class_names[:2] == ('person', 'bicycle')


def test_a_real_c4_detector_gives_2048_numbers_a_region(make_image) -> None:
    cfg = Config.fromfile(ROOT / 'configs/detectors/bottom_up_r101_c4_vg.py')
    cfg.model.test_cfg.rpn.max_per_img = 6  # the last stage on 300 ROIs takes long on a CPU
    extractor = RoiExtractor(cfg.model, feature='pooled', min_regions=4, max_regions=4)
    (regions,) = extractor.extract([make_image(96, 128)])
    assert regions.check('an image').features.shape == (len(regions), 2048) and 1 <= len(regions) <= 4
    assert regions.attribute_probs.shape == (len(regions), 400)


def test_signature_tells_everything_that_changes_features(detector_config, make_extractor, tmp_path) -> None:
    path = tmp_path / 'detector.safetensors'
    save_file(make_extractor().detector.state_dict(), path)
    variants = [
        {},
        {'feature': 'pooled'},
        {'min_regions': 3},
        {'score_thr': 0.3},
        {'nms_iou': 0.1},
        {'autocast': True},
        {'checkpoint': str(path)},
        {'detector': detector_config('fpn', reg_class_agnostic=True)},
    ]
    signatures = [str(RoiExtractor(**{'detector': detector_config(), **variant}).signature) for variant in variants]
    assert len(set(signatures)) == len(variants)
    assert str(RoiExtractor(detector_config()).signature) == signatures[0]


def test_class_names_come_from_the_checkpoint(detector_config, tmp_path) -> None:
    names = tuple('abcdefg')
    weights = build_detector(detector_config()).state_dict()
    path = tmp_path / 'detector.pth'
    torch.save({'state_dict': weights, 'meta': {'dataset_meta': {'classes': names}}}, path)
    assert RoiExtractor(detector_config(), str(path)).class_names == names
    torch.save({'state_dict': weights, 'meta': {'CLASSES': names[:3]}}, path)  # of another number: not ours
    assert RoiExtractor(detector_config(), str(path)).class_names is None


def test_checkpoint_of_another_detector_is_refused(detector_config, tmp_path) -> None:
    path = tmp_path / 'detector.pth'
    torch.save(build_detector(detector_config(num_classes=3)).state_dict(), path)
    with pytest.raises(ValueError, match=r'detector\.pth does not fit the detector FasterRCNN.*fc_cls\.bias \(4,\)'):
        load_weights(build_detector(detector_config()), str(path))
    weights = build_detector(detector_config()).state_dict()
    del weights['rpn_head.rpn_cls.weight']
    torch.save(weights, path)
    with pytest.raises(ValueError, match=r'1 missing: rpn_head\.rpn_cls\.weight'):
        load_weights(build_detector(detector_config()), str(path))


def test_checkpoint_that_would_run_code_is_refused(detector_config, tmp_path) -> None:
    path = tmp_path / 'detector.pth'
    path.write_bytes(pickle.dumps({'state_dict': Path('x')}, protocol=2))
    with pytest.raises(UnsafeCheckpointError, match='was refused'):
        RoiExtractor(detector_config(), str(path))
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at nowhere\.pth'):
        RoiExtractor(detector_config(), 'nowhere.pth')


def test_pretrained_parts_are_not_fetched(detector_config) -> None:
    config = detector_config()
    config['backbone'] = {**config['backbone'], 'init_cfg': dict(type='Pretrained', checkpoint='open-mmlab://nothing')}
    RoiExtractor(config).init_weights()


def test_detectors_of_another_kind_are_refused() -> None:
    for name in ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', 'retinanet/retinanet_r50_fpn_1x_coco.py'):
        with pytest.raises(TypeError, match='cannot give region features: needed are an RPN and a ROI head'):
            RoiExtractor(f'mmdet::{name}')


def test_config_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r'did you mean faster-rcnn_r50_fpn_1x_coco\.py\?'):
        read_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coc.py')
    path = tmp_path / 'empty.py'
    path.write_text('x = 1\n')
    with pytest.raises(ValueError, match=r'empty\.py has no `model`'):
        read_config(str(path))
    with pytest.raises(ValueError, match='`detector` must be the model entry'):
        read_config({'backbone': {}})


@pytest.mark.parametrize(
    'steps, scale',
    [
        ([], None),
        ([dict(type='Resize', scale=(64, 48), keep_ratio=True)], ((64, 48), True)),
        ([dict(type='mmdet.Resize', scale=64)], ((64, 64), False)),
    ],
)
def test_input_scale_is_read(steps, scale) -> None:
    assert read_input_scale([dict(type='LoadImageFromFile'), *steps, dict(type='PackDetInputs')]) == scale


@pytest.mark.parametrize(
    'steps',
    [
        [dict(type='Pad', size=(64, 64))],
        [dict(type='Resize', scale_factor=2.0)],
        [dict(type='Resize', scale=(64, 64), interpolation='nearest')],
        [dict(type='Resize', scale=(64, 64)), dict(type='Pad', size=(64, 64))],
    ],
)
def test_pipelines_that_do_more_are_refused(steps) -> None:
    with pytest.raises(ValueError, match='there may be one Resize with `scale` and `keep_ratio` and nothing else'):
        read_input_scale(steps)


def test_attributes_depend_on_the_class(detector_config) -> None:
    torch.manual_seed(0)
    head = build_detector(detector_config('c4')).roi_head.bbox_head
    features = torch.randn(1, 512).expand(3, -1)
    first, same, other = head.predict_attributes(features, torch.tensor([2, 2, 7]))
    assert first.equal(same) and not first.allclose(other)
