"""MaRVL's twin on EmojiScenes: is a sentence true of two pictures? Tuned in English, asked in six languages.

Command:  python tools/train.py configs/marvl/emoji.py      # after configs/xgqa/emoji.py
          (all tasks, controls and the table: make suite)
Time:     three minutes of training on one CPU core
Result:   82.1 in English, 79.0 in the mean of the other languages (one run, test; chance: 50)
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.emoji_tasks import *
    from .._base_.default_runtime import *
    from .._base_.models.backbone_tiny_regions import *
    from .._base_.schedules.finetune_emoji import *

from rc3mm.datasets import EmojiPairs, MixedSources
from rc3mm.evaluation import ClassificationMetric
from rc3mm.models import VLClassifier

work_dir = 'work_dirs/marvl_emoji'  # five tasks have an emoji.py
load_from = 'work_dirs/xgqa_emoji/iter_500.pth'  # who can answer questions has learnt to look
model = dict(type=VLClassifier, num_classes=2, num_images=2, **backbone)

train = dict(type=EmojiPairs, num_items=96000, languages=('en',), seed=11, pipeline=pipeline, **world)
train_dataloader = dict(dataset=dict(type=MixedSources, sources=dict(nlvr2=train)), **train_loader)
train_dataloader['sampler'].update(run=24, batch_size=96)  # half of the sentences on six pairs share their encoding
train_dataloader['collate_fn'].update(share_images=True)
test_dataloader = dict(
    dataset=dict(type=EmojiPairs, num_items=1200, split='test', pipeline=pipeline, **world), **eval_loader
)
test_dataloader['collate_fn'].update(share_images=True)
test_evaluator = [dict(type=ClassificationMetric)]
