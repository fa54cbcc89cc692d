"""The detector of EmojiScenes on its hard level: up to eight overlapping objects, textures, distractors, 96 px.

Command:  python tools/dataset_converters/export_emoji_coco.py data/emoji_coco_hard --level hard --image-size 96
          python tools/train.py configs/detectors/faster_rcnn_emoji_hard.py
Time:     5 minutes 16 seconds on 2 CPU cores.
Result:   500 unseen scenes of the hard level: AP50 0.994, AP 0.755. Its weights do not ship.
"""

from mmengine.config import read_base

with read_base():
    from .faster_rcnn_emoji import *

from mmengine.optim import CosineAnnealingLR, LinearLR

data_root = 'data/emoji_coco_hard'
image_size = 96
max_iters = 1200

model['test_cfg']['rpn'].update(nms_pre=150, max_per_img=40)
train_dataloader['dataset'].update(
    data_root=data_root,
    ann_file='annotations/hard_train.json',
    data_prefix=dict(img='hard_train/'),
)
val_dataloader['dataset'].update(
    data_root=data_root,
    ann_file='annotations/hard_val.json',
    data_prefix=dict(img='hard_val/'),
)
test_dataloader['dataset'].update(
    data_root=data_root,
    ann_file='annotations/hard_test.json',
    data_prefix=dict(img='hard_test/'),
)
train_dataloader['dataset']['pipeline'][2].update(scale=(image_size, image_size))
val_dataloader['dataset']['pipeline'][2].update(scale=(image_size, image_size))
test_dataloader['dataset']['pipeline'][2].update(scale=(image_size, image_size))
val_evaluator.update(ann_file=f'{data_root}/annotations/hard_val.json')
test_evaluator.update(ann_file=f'{data_root}/annotations/hard_test.json')

train_cfg.update(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type=CosineAnnealingLR, eta_min=1e-5, by_epoch=False, begin=100, end=max_iters),
]

roi_extractor.update(
    detector=dict(model=model, test_pipeline=test_dataloader['dataset']['pipeline']),
    checkpoint=f'work_dirs/faster_rcnn_emoji_hard/iter_{max_iters}.pth',
    max_regions=12,
)
