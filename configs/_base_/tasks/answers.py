"""Fine-tuning of classifiers: visual questions, entailment, pairs of images; chosen by the English accuracy."""

from mmengine.config import read_base

with read_base():
    from .finetune import *

from rc3mm.datasets import EachImage
from rc3mm.engine import PredictionLoop
from rc3mm.evaluation import ClassificationMetric
from rc3mm.models import VLClassifier

places = dict(ann_root=iglue, image_root=images)
pair_pipeline = [dict(type=EachImage, transforms=visual), tokenize, pack]

val_cfg = dict(type=PredictionLoop, bf16=True)
test_cfg = dict(type=PredictionLoop, bf16=True, setting=zero_shot)
val_evaluator = [dict(type=ClassificationMetric)]
test_evaluator = [dict(type=ClassificationMetric)]
default_hooks['checkpoint'].update(save_best='answers/en/accuracy')
