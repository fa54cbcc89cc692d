"""ROI extractor: bottom-up attention (Anderson et al. 2018), ResNet-101 C4, Visual Genome's 1,600 classes and 400
attributes.

Command:  python tools/model_converters/bottom_up_to_mmdet.py SOURCE weights/bottom_up_r101_c4_vg.safetensors
          python tools/extract_roi_features.py configs/detectors/bottom_up_r101_c4_vg.py --help
Features: 2048-d, the average over each ROI of the last ResNet stage; 36 regions an image. For the adaptive protocol
          set min_regions=10, max_regions=100, score_thr=0.2 (the release's own).
Weights:  the release `resnet101_faster_rcnn_final.caffemodel` of github.com/peteanderson80/bottom-up-attention (dump
          its blobs as the converter's --help says), or a PyTorch file made from it, such as those of
          github.com/MILVLG/bottom-up-attention.pytorch.
Result:   mAP@0.5 10.2 % over the objects of Visual Genome, as its authors report it; not measured here.

What differs from the release, above all: which boxes there are. The release keeps the proposals themselves, unrefined,
and takes the features there; the score of a proposal is its highest over all classes in which it survives
non-maximum suppression. rc3mm refines a proposal for its best class, and takes the features at that final box. So
features extracted here must not be mixed with files of the release in one experiment.
Besides, ROIs are pooled by RoIAlign, so that it runs on CPUs as well (for the release's own pooling on a GPU:
roi_layer=dict(type='RoIPool', output_size=14)), and anchors are up to two pixels (for the largest) other than its
rounded ones. Attribute probabilities are kept in a store with --attributes.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.paths import weights_root

from rc3mm.models.detectors import RoiExtractor

default_scope = 'rc3mm'

norm_cfg = dict(type='BN', requires_grad=False)
# Boxes include their last pixel and anchors lie between pixels, as in the release's code.
box_coder = dict(type='LegacyDeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[1.0] * 4)

model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[102.9801, 115.9465, 122.7717],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='CaffeResNet',
        depth=101,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        frozen_stages=3,
        norm_cfg=norm_cfg,
        norm_eval=True,
    ),
    rpn_head=dict(
        type='RPNHead',
        in_channels=1024,
        feat_channels=512,
        anchor_generator=dict(
            type='LegacyAnchorGenerator',
            scales=[4, 8, 16, 32],
            ratios=[0.5, 1.0, 2.0],
            strides=[16],
            center_offset=0.5,
        ),
        bbox_coder=box_coder,
    ),
    roi_head=dict(
        type='StandardRoIHead',
        # The last stage keeps the 14 x 14 cells of a ROI and is dilated instead.
        shared_head=dict(
            type='ResLayer',
            depth=101,
            stage=3,
            stride=1,
            dilation=2,
            style='caffe',
            norm_cfg=norm_cfg,
            norm_eval=True,
        ),
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0, aligned=False),
            out_channels=1024,
            featmap_strides=[16],
        ),
        bbox_head=dict(
            type='AttributeBBoxHead',
            with_avg_pool=True,
            roi_feat_size=14,
            in_channels=2048,
            num_classes=1600,
            num_attributes=400,
            bbox_coder=box_coder,
        ),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=6000, max_per_img=300, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=16),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.3), max_per_img=100),
    ),
)

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    dict(type='PackDetInputs'),
]

roi_extractor = dict(
    type=RoiExtractor,
    detector=dict(model=model, test_pipeline=test_pipeline),
    checkpoint=f'{weights_root}/bottom_up_r101_c4_vg.safetensors',
    feature='pooled',
    min_regions=36,
    max_regions=36,
)
