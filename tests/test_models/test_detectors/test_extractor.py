"""RoiExtractor on real mmdet detectors: what it selects, what it says, and that it agrees with mmdet itself."""

import dataclasses
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torchvision.ops import box_iou

from rc3mm.models.detectors import RoiExtractor, two_stage
from rc3mm.models.detectors.build import build_detector
from rc3mm.registry import MODELS

ROOT = Path(__file__).parents[3]
LARGE = dict(min_regions=1000, max_regions=1000)


@pytest.fixture
def images(make_image):
    """Images of one size."""
    return [make_image(64, 80, seed) for seed in range(4)]


def to_tensors(images):
    return [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images]


# -- what comes out


@pytest.mark.parametrize(
    'name, feature, width', [('fpn', 'head', 24), ('fpn', 'pooled', 16), ('c4', 'head', 512), ('c4', 'pooled', 512)]
)
def test_shapes_and_properties(make_extractor, images, name, feature, width) -> None:
    extractor = make_extractor(name, feature=feature)
    assert (extractor.feature_dim, extractor.num_classes) == (width, 7)
    assert extractor.num_attributes == (5 if name == 'c4' else 0)
    for regions in extractor.extract(images):
        regions.check('an image')
        assert regions.features.shape == (12, width) and regions.features.dtype == np.float16
        assert regions.image_size == (64, 80)
        assert regions.class_probs.shape == (12, 8)
        np.testing.assert_allclose(regions.class_probs.astype(np.float32).sum(1), 1, atol=2e-3)
        assert (np.diff(regions.scores) <= 0).all()
        assert (regions.boxes >= 0).all() and (regions.boxes[:, [2, 3]] <= [80, 64]).all()
        if name == 'c4':
            sums = regions.attribute_probs.astype(np.float32).sum(1)
            assert regions.attribute_probs.shape == (12, 5) and ((sums > 0) & (sums < 1)).all()
        else:
            assert regions.attribute_probs is None


def test_boxes_refer_to_the_original_image(make_extractor, make_image) -> None:
    image = make_image(50, 100)
    plain, scaled = make_extractor(), make_extractor(scale=(128, 64))
    assert plain.input_scale is None and scaled.input_scale == ((128, 64), True)
    assert plain.resize(image) is image and scaled.resize(image).shape == (64, 128, 3)
    (alone,), (full,) = plain.extract([plain_resized := scaled.resize(image)]), scaled.extract([image])
    assert full.image_size == (50, 100) and alone.image_size == plain_resized.shape[:2]
    np.testing.assert_allclose(full.boxes * np.float32([1.28] * 4), alone.boxes, atol=1e-3)
    np.testing.assert_array_equal(full.features, alone.features)


def test_resize_is_that_of_mmdet(make_extractor, make_image) -> None:
    from mmdet.datasets.transforms import Resize

    for scale in [(128, 64), (333, 200), (40, 40)]:
        for size in [(50, 100), (101, 67), (64, 64)]:
            image = make_image(*size)
            expected = Resize(scale=scale, keep_ratio=True).transform({'img': image})['img']
            extractor = make_extractor(scale=scale)
            np.testing.assert_array_equal(extractor.resize(image), expected)
            assert extractor.expected_size(*size) == expected.shape[:2]
    assert make_extractor().expected_size(50, 100) == (50, 100)


def test_features_are_those_of_the_final_boxes(make_extractor, images) -> None:
    """Pooling anew, by mmdet's own head, at the boxes that were given gives the very features and probabilities."""
    extractor = make_extractor()
    inputs = to_tensors(images)
    found = extractor(inputs)
    detector = extractor.detector
    batch = detector.data_preprocessor({'inputs': [image.flip(0) for image in inputs], 'data_samples': None}, False)
    rois = torch.cat([torch.cat([torch.full((len(r), 1), n), r.boxes], 1) for n, r in enumerate(found)])
    with torch.no_grad():
        result = detector.roi_head._bbox_forward(detector.extract_feat(batch['inputs']), rois)
        fc1, fc2 = detector.roi_head.bbox_head.shared_fcs
        features = fc2(fc1(result['bbox_feats'].flatten(1)).relu()).relu()
    torch.testing.assert_close(torch.cat([r.class_probs for r in found]), result['cls_score'].softmax(1))
    torch.testing.assert_close(torch.cat([r.features for r in found]), features)
    pooled = make_extractor(feature='pooled')(inputs)
    torch.testing.assert_close(torch.cat([r.features for r in pooled]), result['bbox_feats'].mean((2, 3)))


# -- mmdet says the same


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_detections_are_those_of_inference_detector(make_extractor, make_image, tmp_path, bgr_to_rgb) -> None:
    """With nothing thinned out, every region is among mmdet's detections: same box, class and score."""
    import cv2
    from mmdet.apis import inference_detector

    image = make_image(70, 90)
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), image[..., ::-1])
    extractor = make_extractor(scale=(120, 100), nms_iou=1.0, **LARGE)
    extractor.detector.data_preprocessor._channel_conversion = bgr_to_rgb
    detector = extractor.detector
    detector.roi_head.test_cfg.update(max_per_img=100_000, score_thr=0.0)
    detector.roi_head.test_cfg.nms.iou_threshold = 1.0
    pipeline = [
        dict(type='mmdet.LoadImageFromFile'),
        dict(type='mmdet.Resize', scale=(120, 100), keep_ratio=True),
        dict(type='mmdet.PackDetInputs', meta_keys=('ori_shape', 'img_shape', 'scale_factor')),
    ]
    detector.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    theirs = inference_detector(detector, str(path)).pred_instances
    with torch.no_grad():
        (ours,) = extractor(to_tensors([extractor.resize(image)]), [image.shape[:2]])
    assert len(ours) > 20
    for box, score, label in zip(ours.boxes, ours.scores, ours.labels, strict=True):
        same = theirs[theirs.labels == label]
        distance = (same.bboxes - box).abs().amax(1) + (same.scores - score).abs() * 100
        assert distance.min() < 1e-2


# -- batches


def test_a_batch_of_one_size_gives_what_each_image_gives_alone(make_extractor, images) -> None:
    extractor = make_extractor()
    together = extractor(to_tensors(images))
    for tensor, found in zip(to_tensors(images), together, strict=True):
        (alone,) = extractor([tensor])
        for part in ('boxes', 'scores', 'features', 'class_probs'):
            torch.testing.assert_close(getattr(found, part), getattr(alone, part), rtol=1e-4, atol=1e-4)
        assert found.labels.equal(alone.labels)


def test_images_of_one_padded_size_give_what_each_gives_alone(make_extractor, make_image) -> None:
    images = to_tensors([make_image(height, width) for height, width in [(60, 75), (64, 80), (50, 70)]])
    extractor = make_extractor()
    for tensor, found in zip(images, extractor(images), strict=True):
        (alone,) = extractor([tensor])
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.features, alone.features, rtol=1e-3, atol=1e-3)


def test_padding_is_never_a_region_and_far_from_it_nothing_changes(make_extractor, make_image) -> None:
    small, large = to_tensors([make_image(64, 64), make_image(160, 192)])
    extractor = make_extractor(**LARGE)
    (alone,), (padded, _) = extractor([small]), extractor([small, large])
    assert (padded.boxes <= 64).all()
    inner = alone.boxes[(alone.boxes[:, 2:] < 40).all(1)]
    assert len(inner) >= 3
    assert (box_iou(inner, padded.boxes).amax(1) > 0.9).float().mean() > 0.8


@pytest.mark.parametrize('name', ['fpn', 'c4'])
@pytest.mark.parametrize('budget', [1, 50_000])
def test_few_rois_at_a_time_give_what_all_at_once_give(make_extractor, images, monkeypatch, name, budget) -> None:
    """At most so many bytes of ROI features at a time: one ROI at 1 byte, a few at 50,000."""
    extractor = make_extractor(name)
    whole, sizes = extractor(to_tensors(images)), []
    monkeypatch.setattr(two_stage, '_BYTES_AT_ONCE', budget)
    pooling = extractor.detector.roi_head.bbox_roi_extractor
    pooling.register_forward_hook(lambda module, inputs, output: sizes.append((len(output), output.nbytes)))
    for one, other in zip(whole, extractor(to_tensors(images)), strict=True):
        assert one.labels.equal(other.labels)
        for part in ('features', 'boxes', 'scores', 'class_probs'):
            torch.testing.assert_close(getattr(one, part), getattr(other, part), rtol=1e-4, atol=1e-4)
    assert sum(count for count, _ in sizes) > 100
    assert all(size <= max(budget, size // count) for count, size in sizes)


def test_an_empty_batch_is_an_empty_list(make_extractor) -> None:
    assert make_extractor()([]) == [] and make_extractor().extract([]) == []


# -- selection


def test_regions_of_a_class_do_not_overlap(make_extractor, images) -> None:
    extractor = make_extractor(nms_iou=0.3, **LARGE)
    for found in extractor(to_tensors(images)):
        overlap = box_iou(found.boxes, found.boxes).triu(1)
        assert (overlap[found.labels[:, None] == found.labels] <= 0.3 + 1e-4).all()


def test_adaptive_protocol_keeps_what_scores_within_its_bounds(make_extractor, images) -> None:
    everything = make_extractor(**LARGE)(to_tensors(images))
    threshold = float(torch.cat([found.scores for found in everything]).median())
    adaptive = make_extractor(min_regions=3, max_regions=20, score_thr=threshold)(to_tensors(images))
    for full, kept in zip(everything, adaptive, strict=True):
        expected = min(max(int((full.scores > threshold).sum()), 3), 20)
        assert len(kept) == expected
        torch.testing.assert_close(kept.scores, full.scores[:expected])


def test_an_image_without_detection_has_no_regions(make_extractor, images) -> None:
    extractor = make_extractor('c4')
    extractor.detector.rpn_head.test_cfg.min_bbox_size = 10_000
    for regions in extractor.extract(images[:2]):
        assert len(regions) == 0
        assert regions.features.shape == (0, 512) and regions.class_probs.shape == (0, 8)
        assert regions.attribute_probs.shape == (0, 5)
        regions.check('an empty image')


def test_one_empty_image_does_not_disturb_its_neighbour(make_extractor, images) -> None:
    extractor = make_extractor()
    both = to_tensors([images[0], np.zeros((64, 2, 3), np.uint8)])
    extractor.detector.rpn_head.test_cfg.min_bbox_size = 3
    first, second = extractor(both)
    assert len(first) == 12 and len(second) == 0


# -- modes


def test_frozen_extractor_neither_learns_nor_moves(make_extractor, images) -> None:
    extractor = make_extractor()
    around = torch.nn.ModuleList([extractor]).train()
    assert not any(module.training for module in extractor.modules()) and around.training
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    before = {key: value.clone() for key, value in extractor.state_dict().items()}
    features = extractor(to_tensors(images))[0].features
    assert not features.requires_grad and not features.is_inference()
    assert all(value.equal(before[key]) for key, value in extractor.state_dict().items())


def test_trainable_extractor_gets_gradients_down_to_the_backbone(make_extractor, images) -> None:
    extractor = make_extractor(frozen=False)
    assert extractor.training and extractor.detector.training
    sum(found.features.square().sum() for found in extractor(to_tensors(images))).backward()
    for part in (extractor.detector.backbone.conv1, extractor.detector.roi_head.bbox_head.shared_fcs[1]):
        assert part.weight.grad.abs().sum() > 0


def test_loaded_weights_survive_the_initialisation_of_the_model_around(make_extractor, tmp_path) -> None:
    torch.save(make_extractor().detector.state_dict(), tmp_path / 'detector.pth')
    extractor = make_extractor(checkpoint=str(tmp_path / 'detector.pth'))
    before = extractor.detector.backbone.conv1.weight.clone()
    extractor.init_weights()
    assert extractor.detector.backbone.conv1.weight.equal(before)


def test_a_surrounding_autocast_changes_nothing(make_extractor, images) -> None:
    for extractor in (make_extractor(), make_extractor('c4', autocast=True), make_extractor(frozen=False)):
        extractor.eval()
        alone = extractor(to_tensors(images))
        with torch.autocast('cpu', dtype=torch.bfloat16):
            within = extractor(to_tensors(images))
            assert torch.is_autocast_enabled('cpu')
        for one, other in zip(alone, within, strict=True):
            for part in ('features', 'boxes', 'scores', 'labels', 'class_probs'):
                assert getattr(one, part).equal(getattr(other, part)), part


def test_bfloat16_finds_nearly_the_same(make_extractor, images) -> None:
    extractor = make_extractor(**LARGE)
    full = extractor(to_tensors(images))
    extractor.autocast = True
    half = extractor(to_tensors(images))
    assert not any(one.features.equal(other.features) for one, other in zip(full, half, strict=True))
    for exact, rough in zip(full, half, strict=True):
        assert rough.boxes.dtype == torch.float32 and rough.features.dtype == torch.float32
        assert (box_iou(exact.boxes[:10], rough.boxes).amax(1) > 0.8).float().mean() > 0.7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda_gives_what_the_cpu_gives(make_extractor, images) -> None:
    extractor = make_extractor()
    on_cpu = extractor.extract(images)
    for ours, theirs in zip(extractor.cuda().extract(images), on_cpu, strict=True):
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-1)


# -- wrong input, in words


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(feature='neck'), 'feature must be one of head, pooled'),
        (dict(min_regions=40, max_regions=36), '0 <= min_regions <= max_regions, got 40 and 36'),
    ],
)
def test_senseless_options_are_refused(make_extractor, kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_extractor(**kwargs)


def test_images_of_a_wrong_kind_are_refused(make_extractor) -> None:
    extractor = make_extractor()
    with pytest.raises(ValueError, match=r'image 1 is float64 of shape \(8, 8, 3\); expected uint8 RGB'):
        extractor.extract([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3))])
    with pytest.raises(ValueError, match=r'image 0 is torch.uint8 of shape \(8, 8, 3\); expected uint8 RGB, \(3, H'):
        extractor([torch.zeros(8, 8, 3, dtype=torch.uint8)])
    with pytest.raises(ValueError, match='1 images but 2 original sizes'):
        extractor([torch.zeros(3, 8, 8, dtype=torch.uint8)], [(8, 8), (8, 8)])


def test_features_that_overflow_float16_are_told(make_extractor, images) -> None:
    found = make_extractor()(to_tensors(images))[0]
    found = dataclasses.replace(found, features=found.features + 1e5)
    with pytest.raises(ValueError, match='do not fit into float16; keep them as float32'):
        found.numpy()
    assert found.numpy(np.float32).check('an image').features.min() > 6e4


def test_without_mmdet_the_error_says_what_to_install() -> None:
    code = """
        import sys
        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition('.')[0] in ('mmcv', 'mmdet'):
                    raise ModuleNotFoundError(f'{name} is blocked', name=name)
        sys.meta_path.insert(0, Blocker())
        from rc3mm.models.detectors import RoiExtractor
        try:
            RoiExtractor('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT)
    assert "pip install 'rc3mm[detector]'" in done.stdout, done.stderr


def test_it_is_registered() -> None:
    assert MODELS.get('RoiExtractor') is RoiExtractor and callable(build_detector)
