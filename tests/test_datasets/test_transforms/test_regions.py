"""LoadRegions and DetectorImage: boxes that follow the image, images without regions, errors that say what to do."""

from collections import UserDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets import DetectorImage, EmojiStrict, LoadRegions, PackVLInputs, vl_collate
from rc3mm.datasets.roi import RoiNpzFolder
from rc3mm.registry import TRANSFORMS
from rc3mm.structures import Regions
from rc3mm.utils.resize import resize_for_detector

BOXES = np.array([[10, 20, 40, 60], [0, 0, 100, 50]], np.float32)


class Source(UserDict):
    """Regions by id, in memory."""

    def get(self, image_id: str) -> Regions:
        return self[image_id]


def regions(R: int = 2, dim: int = 4, classes: int | None = 3) -> Regions:
    probs = None if classes is None else np.full((R, classes), 1 / classes, np.float16)
    features = np.arange(R * dim, dtype=np.float16).reshape(R, dim)
    return Regions(features, BOXES[:R], (50, 100), class_probs=probs)


def load(**kwargs: Any) -> LoadRegions:
    return LoadRegions(Source(a=regions()), feature_dim=4, **kwargs)


def test_boxes_follow_the_image() -> None:
    sample = load()({'image_id': 'a', 'image': np.zeros((25, 200, 3), np.uint8)})
    assert np.allclose(sample['roi_boxes'], [[20, 10, 80, 25], [0, 0, 200, 25]])  # the first is cut at the border
    assert sample['image_size'] == (25, 200) and sample['roi_features'].dtype == np.float16
    alone = load()({'image_id': 'a'})
    assert np.allclose(alone['roi_boxes'], [[10, 20, 40, 50], [0, 0, 100, 50]]) and alone['image_size'] == (50, 100)
    packed = PackVLInputs()({**alone, 'source': 'strict'})['inputs']
    assert np.allclose(packed['roi_boxes'].numpy(), [[0.1, 0.4, 0.4, 1], [0, 0, 1, 1]])


def test_nothing_is_decoded_where_regions_are_all_that_is_asked_for() -> None:
    found = load(drop_image=True)({'image_id': 'a', 'image_path': 'a.jpg'})
    assert 'image_path' not in found
    missing = load(drop_image=True)({'image_id': 'b', 'image_path': 'b.jpg'})
    assert missing['image_path'] == 'b.jpg' and missing['roi_features'].shape == (0, 4)
    with pytest.raises(ValueError, match='stands before DecodeImage'):
        load()({'image_id': 'a', 'image_path': 'a.jpg'})


def test_an_image_without_regions_keeps_its_place_in_the_batch() -> None:
    transform = load(class_probs=True, num_classes=3, drop_image=True)
    samples = [
        PackVLInputs()(transform({'image_id': name, 'image': np.full((8, 8, 3), k, np.uint8), 'source': 'strict'}))
        for k, name in enumerate(['a', 'b', 'a', 'c'])
    ]
    inputs = vl_collate(samples)['inputs']
    assert inputs['roi_missing'] == [1, 3] and inputs['image_rows'].tolist() == [1, 3]
    assert inputs['image'].shape == (2, 3, 8, 8) and inputs['image'][:, 0, 0, 0].tolist() == [1, 3]
    assert inputs['roi_mask'].tolist() == [[True, True], [False, False]] * 2
    assert inputs['roi_class_probs'].shape == (4, 2, 3) and inputs['roi_features'].shape == (4, 2, 4)


def test_images_that_are_a_makeshift_are_no_choice() -> None:
    """With `drop_image`, whether a batch holds images depends on what is missing; its form must not."""
    from rc3mm.models.backbones.view_forms import ViewForms

    forms = ViewForms(dict(roi=0.5, patch=0.5))
    transform = load(drop_image=True)
    for names in (['a', 'a'], ['a', 'b'], ['b', 'b']):
        samples = [{'image_id': n, 'image': np.zeros((8, 8, 3), np.uint8), 'source': 's'} for n in names]
        inputs = vl_collate([PackVLInputs()(transform(sample)) for sample in samples])['inputs']
        assert inputs['roi_only'] is True
        for seed in range(10):
            assert forms.sample({**inputs, 'step_seed': seed}, 2) == ['roi', 'roi']


def test_precision_does_not_depend_on_the_first_image() -> None:
    wide = Source(a=Regions(np.full((1, 4), 70000.0, np.float32), BOXES[:1], (50, 100)))
    transform = LoadRegions(wide, 4, drop_image=True)
    samples = [{'image_id': n, 'image': np.zeros((8, 8, 3), np.uint8), 'source': 's'} for n in ('b', 'a')]
    inputs = vl_collate([PackVLInputs()(transform(sample)) for sample in samples])['inputs']
    assert float(inputs['roi_features'][1, 0, 0]) == 70000.0


def test_an_image_in_which_nothing_was_found() -> None:
    empty = Regions(np.zeros((0, 0), np.float32), np.zeros((0, 4), np.float32), (50, 100))
    sample = LoadRegions(Source(a=empty), 4, class_probs=True, num_classes=3)(
        {'image_id': 'a', 'image': np.zeros((8, 8, 3), np.uint8)}
    )
    assert sample['roi_features'].shape == (0, 4) and sample['roi_class_probs'].shape == (0, 3)


def test_neither_regions_nor_pixels() -> None:
    with pytest.raises(ValueError, match='image b has neither regions nor pixels'):
        PackVLInputs()({**load()({'image_id': 'b'}), 'source': 's'})


def test_number_of_regions() -> None:
    assert len(load(num_regions=1)({'image_id': 'a'})['roi_boxes']) == 1
    assert len(load(num_regions=36)({'image_id': 'a'})['roi_boxes']) == 2


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match='num_regions must be at least 1'):
        load(num_regions=0)
    with pytest.raises(ValueError, match='class_probs needs num_classes'):
        load(class_probs=True)
    with pytest.raises(ValueError, match=r'regions of a are 4-d, the config says feature_dim=8'):
        LoadRegions(Source(a=regions()), feature_dim=8)({'image_id': 'a'})
    with pytest.raises(ValueError, match=r'regions of a have class distributions over none.*asks for 3'):
        LoadRegions(Source(a=regions(classes=None)), 4, class_probs=True, num_classes=3)({'image_id': 'a'})
    with pytest.raises(ValueError, match=r'over 3 classes.*asks for 1601'):
        load(class_probs=True, num_classes=1601)({'image_id': 'a'})


def test_a_source_by_its_config(tmp_path: Path) -> None:
    np.savez(tmp_path / 'x.npz', features=np.ones((2, 4), np.float32), boxes=BOXES, image_h=60, image_w=100)
    config = dict(type='LoadRegions', source=dict(type=RoiNpzFolder, root=str(tmp_path)), feature_dim=4)
    assert TRANSFORMS.build(config)({'image_id': 'x'})['roi_features'].shape == (2, 4)


def test_the_detectors_image_is_kept_beside_the_resized_one() -> None:
    dataset = EmojiStrict(num_scenes=2, image_size=64, pipeline=[DetectorImage((40, 30)), PackVLInputs()])
    inputs = vl_collate([dataset[0], dataset[1]])['inputs']
    assert [tuple(image.shape) for image in inputs['detector_image']] == [(3, 30, 30)] * 2
    assert inputs['image_size'].tolist() == [[64, 64], [64, 64]] and inputs['image'].shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ('shape', 'scale', 'keep_ratio', 'expected'),
    [
        ((480, 640), (1333, 800), True, (800, 1067)),
        ((640, 480), (1333, 800), True, (1067, 800)),
        ((100, 1000), (1333, 800), True, (133, 1333)),
        ((100, 50), (60, 40), False, (40, 60)),
        ((100, 50), None, True, (100, 50)),
    ],
)
def test_resizing_as_mmdet_does(shape: Any, scale: Any, keep_ratio: bool, expected: Any) -> None:
    pytest.importorskip('mmdet')
    from mmdet.datasets.transforms import Resize

    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    own = resize_for_detector(image, scale, keep_ratio)
    assert own.shape[:2] == expected
    if scale is not None:
        theirs = Resize(scale=scale, keep_ratio=keep_ratio)({'img': image.copy()})['img']
        assert np.array_equal(own, theirs)
