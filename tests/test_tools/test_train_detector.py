"""The detector of EmojiScenes is trained by mmdet through tools/train.py and judged by pycocotools."""

import json
from pathlib import Path

import pytest

from tests.conftest import WarmLauncher

pytest.importorskip('mmdet')


@pytest.mark.slow
def test_train_and_test(warm: WarmLauncher, tmp_path: Path) -> None:
    data = tmp_path / 'coco'
    done = warm('dataset_converters/export_emoji_coco.py', data, '--train', 24, '--val', 6, '--test', 40)
    assert done.code == 0, done.output
    paths = [f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val', 'test')]
    paths += [f'{split}_evaluator.ann_file={data}/annotations/easy_{split}.json' for split in ('val', 'test')]
    config = 'configs/detectors/faster_rcnn_emoji.py'
    short = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=4']
    short += ['default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1']
    done = warm('train.py', config, '--work-dir', tmp_path / 'w', '--cfg-options', *paths, *short)
    assert done.code == 0, done.output[-3000:]
    assert (tmp_path / 'w/iter_2.pth').is_file() and 'loss_rpn_bbox' in done.output
    assert 'coco/bbox_mAP_50' in json.loads((tmp_path / 'w/results.json').read_text())['metrics']

    # the weights that ship, on scenes that were never trained on
    weights = 'rc3mm/models/detectors/weights/faster_rcnn_emoji.safetensors'
    done = warm('test.py', config, weights, '--work-dir', tmp_path / 't', '--cfg-options', *paths)
    assert done.code == 0, done.output[-3000:]
    assert json.loads((tmp_path / 't/results.json').read_text())['metrics']['coco/bbox_mAP_50'] >= 0.97


def test_missing_annotations_are_explained(tmp_path: Path) -> None:
    from rc3mm.models.detectors.coco import CocoBoxes

    with pytest.raises(FileNotFoundError, match=r'export_emoji_coco\.py'):
        CocoBoxes(ann_file='a.json', data_root=str(tmp_path))
    (tmp_path / 'a.json').write_text('[]')
    with pytest.raises(ValueError, match=r'a\.json is not a COCO annotation file'):
        CocoBoxes(ann_file='a.json', data_root=str(tmp_path))
