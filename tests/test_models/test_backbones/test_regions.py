"""Regions found while the model runs are those of a store."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rc3mm.datasets import EmojiStrict, LoadRegions, PackVLInputs, RoiStore, Tokenize, vl_collate
from rc3mm.datasets.roi import RoiManifest, begin_store, finish_store, write_shard
from rc3mm.models.backbones.regions import extract_regions
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm

pytest.importorskip('mmdet')
SIZE, SCENES = 48, 12


@pytest.fixture(scope='module')
def extractor_config() -> dict[str, Any]:
    from mmengine.config import Config

    root = Path(__file__).resolve().parents[3]
    return dict(Config.fromfile(root / 'configs/detectors/faster_rcnn_emoji.py').roi_extractor)


@pytest.fixture(scope='module')
def store(extractor_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Regions of the scenes as the extraction tool keeps them, in float16."""
    folder = tmp_path_factory.mktemp('store')
    extractor = MODELS.build(extractor_config)
    dataset = EmojiStrict(num_scenes=SCENES, image_size=SIZE)
    samples = [dataset.get_sample(index) for index in range(SCENES)]
    found = extractor.extract([sample['image'] for sample in samples])
    plan = RoiManifest('emoji', 'head', 256, num_shards=1, shard_size=SCENES, inputs='', num_classes=100)
    begin_store(folder, plan)
    write_shard(folder, 0, [(sample['image_id'], regions) for sample, regions in zip(samples, found, strict=True)])
    finish_store(folder)
    return folder


def test_online_and_cached_tokens_agree(rc3: Any, extractor_config: dict[str, Any], store: Path) -> None:
    model = rc3(
        ['itc', 'itm', 'xvtcl'],
        roi_encoder=dict(type='RoiEncoder', feature_dim=256),
        roi_extractor=extractor_config,
        form_probs=dict(roi=1.0),
        patch_encoder=dict(
            type='PatchEncoder',
            model_name='vit_tiny_patch16_224',
            img_size=SIZE,
            patch_size=8,
            embed_dim=32,
            depth=1,
            num_heads=2,
        ),
    )
    model.train()  # the detector stays in evaluation mode all the same
    tokenize = Tokenize('emoji')
    load = LoadRegions(RoiStore(store, feature_dim=256), 256, class_probs=True, num_classes=101, drop_image=True)
    pipelines = {'online': [tokenize, PackVLInputs()], 'cached': [load, tokenize, PackVLInputs()]}
    tokens, inputs = {}, {}
    for name, pipeline in pipelines.items():
        dataset = EmojiStrict(num_scenes=SCENES, image_size=SIZE, pipeline=pipeline)
        data = model.data_preprocessor(vl_collate([dataset[index] for index in range(SCENES)]), True)
        inputs[name] = data['inputs']
        visual = model.encode_visual(data['inputs'], [VisualForm.ROI])
        tokens[name] = visual.tokens_BVD * visual.mask_BV[..., None]
    assert 'image' not in inputs['cached'] and inputs['online']['roi_missing'] == inputs['cached']['roi_missing']
    assert torch.equal(inputs['online']['roi_mask'], inputs['cached']['roi_mask'])
    assert inputs['online']['roi_mask'].sum() > SCENES
    difference = (tokens['online'] - tokens['cached']).abs().max() / tokens['online'].abs().max()
    assert difference < 1e-3
    probs = [inputs[name]['roi_class_probs'].float() for name in pipelines]
    assert torch.allclose(*probs, atol=1e-3)

    # a whole training step from pixels: the model learns, the detector does not
    dataset = EmojiStrict(num_scenes=SCENES, image_size=SIZE, pipeline=pipelines['online'])
    losses = model(**model.data_preprocessor(vl_collate([dataset[i] for i in range(SCENES)]), True), mode='loss')
    sum(value for name, value in losses.items() if name.startswith('loss_')).backward()
    assert all(p.grad is None for p in model.roi_extractor.parameters())
    assert model.roi_encoder.box[0].weight.grad is not None


def test_scenes_are_recognised(extractor_config: dict[str, Any]) -> None:
    """The weights that ship know the concepts: nearly every region is one that is there."""
    extractor = MODELS.build(extractor_config)
    dataset = EmojiStrict(num_scenes=60, image_size=SIZE, split='test', seed=5)
    samples = [dataset.get_sample(index) for index in range(60)]
    right = [
        set(regions.class_probs[:, :-1].argmax(1).tolist()) == set(sample['roi_labels'].tolist())
        for regions, sample in zip(extractor.extract([s['image'] for s in samples]), samples, strict=True)
    ]
    assert sum(right) >= 54


def test_masked_regions_alone_find_their_regions(rc3: Any, extractor_config: dict[str, Any]) -> None:
    mrm = dict(type='MRM', width=32, feature_dim=256, num_classes=101)
    model = rc3(
        {'mrm': mrm},
        roi_encoder=dict(type='RoiEncoder', feature_dim=256),
        roi_extractor=extractor_config,
        form_probs=dict(roi=1.0),
    )
    dataset = EmojiStrict(num_scenes=4, image_size=SIZE, pipeline=[Tokenize('emoji'), PackVLInputs()])
    data = vl_collate([dataset[index] for index in range(4)])
    assert float(model(**model.data_preprocessor(data, True), mode='loss')['loss_mrm']) > 0
    dataset = EmojiStrict(num_scenes=4, image_size=64, pipeline=[Tokenize('emoji'), PackVLInputs()])
    data = vl_collate([dataset[index] for index in range(4)])
    with pytest.raises(ValueError, match=r'64 x 64 pixels came.*DetectorImage\(scale=\(48, 48\), keep_ratio=True\)'):
        model(**model.data_preprocessor(data, True), mode='loss')


def test_regions_need_images() -> None:
    with pytest.raises(KeyError, match='DetectorImage'):
        extract_regions(None, {})
