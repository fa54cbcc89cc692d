"""ROI extractor: Faster R-CNN, ResNet-50 C4 (Caffe style), COCO's 80 classes.

Command:  python tools/extract_roi_features.py configs/detectors/faster_rcnn_r50_c4_coco.py --help
Features: 2048-d, the average over each ROI of what enters the box head; 36 regions an image.
Weights:  `faster_rcnn_r50_caffe_c4_mstrain_1x_coco_20220316_150527-db276fed.pth` of mmdet's model zoo (its page on
          Faster R-CNN has the link), put into `weights/` or the folder that `RC3MM_WEIGHTS` names.
Result:   box AP 35.9 on COCO val2017, as mmdet reports it; not measured here.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.paths import weights_root

from rc3mm.models.detectors import RoiExtractor

default_scope = 'rc3mm'

roi_extractor = dict(
    type=RoiExtractor,
    detector='mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py',
    checkpoint=f'{weights_root}/faster_rcnn_r50_caffe_c4_mstrain_1x_coco_20220316_150527-db276fed.pth',
    feature='pooled',
    min_regions=36,
    max_regions=36,
)
