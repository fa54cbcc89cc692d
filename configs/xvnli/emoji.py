"""XVNLI's twin on EmojiScenes: contradicted, not to be told, or entailed by a scene with a curtain.

Command:  python tools/train.py configs/xvnli/emoji.py      # after configs/xgqa/emoji.py
          (all tasks, controls and the table: make suite)
Time:     three minutes of training on one CPU core
Result:   84.8 in English, 78.3 in the mean of the other languages (one run, test; chance: 33.3)
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.emoji_tasks import *
    from .._base_.default_runtime import *
    from .._base_.models.backbone_tiny_regions import *
    from .._base_.schedules.finetune_emoji import *

from rc3mm.datasets import EmojiEntailment, MixedSources
from rc3mm.evaluation import ClassificationMetric
from rc3mm.models import VLClassifier

work_dir = 'work_dirs/xvnli_emoji'  # five tasks have an emoji.py
load_from = 'work_dirs/xgqa_emoji/iter_500.pth'  # who can answer questions has learnt to look
backbone.update(test_form='both')  # no region shows the curtain
model = dict(type=VLClassifier, num_classes=3, **backbone)

train = dict(type=EmojiEntailment, num_items=30000, languages=('en',), seed=11, pipeline=pipeline, **world)
train_dataloader = dict(dataset=dict(type=MixedSources, sources=dict(xvnli=train)), **train_loader)
train_dataloader['sampler'].update(run=3, batch_size=96)  # the hypotheses about one scene share its encoding
train_dataloader['collate_fn'].update(share_images=True)
test_dataloader = dict(
    dataset=dict(type=EmojiEntailment, num_items=1200, split='test', pipeline=pipeline, **world), **eval_loader
)
test_dataloader['collate_fn'].update(share_images=True)
test_evaluator = [dict(type=ClassificationMetric)]
