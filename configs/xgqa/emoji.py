"""xGQA's twin on EmojiScenes: questions about scenes, tuned in English, asked in six languages.

Command:  python tools/train.py configs/xgqa/emoji.py
          (all tasks, controls and the table: make suite)
Time:     100 seconds of training on one CPU core
Result:   93.6 in English, 88.0 in the mean of the other languages (one run, test; chance: 27.3)
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.emoji_tasks import *
    from .._base_.default_runtime import *
    from .._base_.models.backbone_tiny_regions import *
    from .._base_.schedules.finetune_emoji import *

from rc3mm.datasets import EmojiVQA, MixedSources
from rc3mm.evaluation import ClassificationMetric
from rc3mm.models import VLClassifier

work_dir = 'work_dirs/xgqa_emoji'  # five tasks have an emoji.py
model = dict(type=VLClassifier, num_classes=2 + 4 + 4 + 100, **backbone)

train = dict(type=EmojiVQA, num_items=40000, languages=('en',), seed=11, pipeline=pipeline, **world)
train_dataloader = dict(dataset=dict(type=MixedSources, sources=dict(gqa=train)), **train_loader)
train_dataloader['sampler'].update(run=4, batch_size=96)  # the questions about one scene share its encoding
train_dataloader['collate_fn'].update(share_images=True)
test_dataloader = dict(
    dataset=dict(type=EmojiVQA, num_items=1200, split='test', pipeline=pipeline, **world), **eval_loader
)
test_dataloader['collate_fn'].update(share_images=True)
test_evaluator = [dict(type=ClassificationMetric)]
