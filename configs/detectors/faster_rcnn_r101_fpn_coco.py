"""ROI extractor: Faster R-CNN, ResNet-101 with FPN, COCO's 80 classes.

Command:  python tools/extract_roi_features.py configs/detectors/faster_rcnn_r101_fpn_coco.py --help
Features: 1024-d, what the box head classifies from, behind its two shared layers; 10 to 100 regions an image, those
          that score above 0.2.
Weights:  `faster_rcnn_r101_fpn_2x_coco_bbox_mAP-0.398_20200504_210455-1d2dac9c.pth` of mmdet's model zoo (its page on
          Faster R-CNN has the link), put into `weights/` or the folder that `RC3MM_WEIGHTS` names.
Result:   box AP 39.8 on COCO val2017, as mmdet reports it; not measured here.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.paths import weights_root

from rc3mm.models.detectors import RoiExtractor

default_scope = 'rc3mm'

roi_extractor = dict(
    type=RoiExtractor,
    detector='mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py',
    checkpoint=f'{weights_root}/faster_rcnn_r101_fpn_2x_coco_bbox_mAP-0.398_20200504_210455-1d2dac9c.pth',
    feature='head',
    min_regions=10,
    max_regions=100,
    score_thr=0.2,
)
