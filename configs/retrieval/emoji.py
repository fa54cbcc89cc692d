"""Retrieval on EmojiScenes: towers and matching head tuned on English captions, tested in six languages.

Command:  python tools/train.py configs/retrieval/emoji.py
          (all tasks, controls and the table: make suite)
Time:     four minutes of training on one CPU core
Result:   R@1 96.5 (text->image) and 95.7 (image->text), mean of de fr cs ja zh; English 97.4 and 97.4 (one
          run, test)
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.emoji_tasks import *
    from .._base_.default_runtime import *
    from .._base_.models.backbone_tiny_regions import *
    from .._base_.schedules.finetune_emoji import *

from rc3mm.datasets import EmojiRetrieval, MixedSources
from rc3mm.engine import RetrievalLoop
from rc3mm.evaluation import RetrievalMetric
from rc3mm.models import ITC, ITM, RC3

source = ('retrieval',)
work_dir = 'work_dirs/retrieval_emoji'  # five tasks have an emoji.py
model = dict(
    type=RC3,
    embed_dim=width,
    objectives=dict(itc=dict(type=ITC, sources=source), itm=dict(type=ITM, width=width, sources=source)),
    **backbone,
)

captions = dict(type=EmojiRetrieval, num_scenes=20_000, languages=('en',), seed=11, pipeline=pipeline, **world)
train_dataloader = dict(dataset=dict(type=MixedSources, sources=dict(retrieval=captions)), **train_loader)
test_dataloader = dict(
    dataset=dict(type=EmojiRetrieval, num_scenes=500, split='test', pipeline=pipeline, **world), **eval_loader
)
test_cfg = dict(type=RetrievalLoop, setting='zero-shot, tuned on English', rerank_topk=16)
test_evaluator = [dict(type=RetrievalMetric)]
