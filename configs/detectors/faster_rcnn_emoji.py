"""Faster R-CNN small enough to learn EmojiScenes (easy level, 100 concepts) from scratch in minutes on two cores.

Command:  make detector, which is
          python tools/dataset_converters/export_emoji_coco.py data/emoji_coco
          python tools/train.py configs/detectors/faster_rcnn_emoji.py
          and tools/model_converters/export_weights.py
Time:     under 8 minutes on 2 CPU cores (461 seconds on one thread of a busy machine).
Result:   500 unseen scenes of the easy level: AP50 1.000, AP 0.863. Its weights ship: `checkpoint='emoji'`.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.default_runtime import *

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from mmengine.runner import IterBasedTrainLoop, TestLoop, ValLoop
from torch.optim import AdamW

from rc3mm.models.detectors import RoiExtractor
from rc3mm.models.detectors.coco import CocoBoxes

default_scope = 'mmdet'

data_root = 'data/emoji_coco'
image_size = 48
num_classes = 100
width = 32  # channels of the first stage
neck = 64
strides = [4, 8, 16]
max_iters = 1500

box_coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=width,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
    ),
    neck=dict(type='FPN', in_channels=[width, 2 * width, 4 * width], out_channels=neck, num_outs=3),
    rpn_head=dict(
        type='RPNHead',
        in_channels=neck,
        feat_channels=neck,
        anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[1.0], strides=strides),
        bbox_coder=dict(**box_coder, target_stds=[1.0] * 4),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=5, sampling_ratio=2),
            out_channels=neck,
            featmap_strides=strides,
        ),
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            in_channels=neck,
            fc_out_channels=256,
            roi_feat_size=5,
            num_classes=num_classes,
            reg_class_agnostic=True,
            bbox_coder=dict(**box_coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.6,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=64, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(nms_pre=200, max_per_img=60, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=2),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=32, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=True),
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=64, max_per_img=16, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=2),
        rcnn=dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.5), max_per_img=50),
    ),
)

resize = dict(type='Resize', scale=(image_size, image_size), keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

coco = dict(type=CocoBoxes, data_root=data_root)
train_dataloader = dict(
    dataset=dict(
        **coco,
        ann_file='annotations/easy_train.json',
        data_prefix=dict(img='easy_train/'),
        pipeline=train_pipeline,
    ),
    sampler=dict(type=InfiniteSampler),
    batch_size=16,
    num_workers=0,
    collate_fn=dict(type='pseudo_collate'),
)
eval_loader = dict(
    sampler=dict(type=DefaultSampler, shuffle=False),
    batch_size=16,
    num_workers=0,
    collate_fn=dict(type='pseudo_collate'),
)
val_dataloader = dict(
    dataset=dict(
        **coco,
        ann_file='annotations/easy_val.json',
        data_prefix=dict(img='easy_val/'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
    **eval_loader,
)
test_dataloader = dict(
    dataset=dict(
        **coco,
        ann_file='annotations/easy_test.json',
        data_prefix=dict(img='easy_test/'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
    **eval_loader,
)
val_evaluator = dict(type='CocoMetric', ann_file=f'{data_root}/annotations/easy_val.json', metric='bbox')
test_evaluator = dict(type='CocoMetric', ann_file=f'{data_root}/annotations/easy_test.json', metric='bbox')

train_cfg = dict(type=IterBasedTrainLoop, max_iters=max_iters, val_interval=500)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)
test_after_train = True

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, fused=True, lr=1e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type=CosineAnnealingLR, eta_min=1e-5, by_epoch=False, begin=100, end=max_iters),
]

# What pre-training uses: the weights that ship, up to eight regions an image, those that score above 0.3.
roi_extractor = dict(
    type=RoiExtractor,
    detector=dict(model=model, test_pipeline=test_pipeline),
    checkpoint='emoji',
    feature='head',
    min_regions=1,
    max_regions=8,
    score_thr=0.3,
)
