"""Fine-tuning for retrieval: ITC and ITM on one caption an image; the towers' best candidates are ranked by ITM.

Chosen by the English mean R@1 of both directions after re-ranking. With `rerank_topk` at least the number of candidates
all pairs are scored by ITM, which is IGLUE's protocol; 128 is CCLM's.
"""

from mmengine.config import read_base

with read_base():
    from .finetune import *

from rc3mm.datasets import PickCaption
from rc3mm.engine import RetrievalLoop
from rc3mm.evaluation import RetrievalMetric
from rc3mm.models import ITC, ITM, RC3

runs_on = ('retrieval',)
model = dict(
    type=RC3,
    embed_dim=256,
    objectives=dict(itc=dict(type=ITC, sources=runs_on), itm=dict(type=ITM, width=width, sources=runs_on)),
    **backbone,
)

# An item is an image with all its captions; PickCaption draws one, so no batch holds an image twice.
tune_pipeline = [*visual, dict(type=PickCaption), tokenize, pack]
sampler.update(length_pool=1)  # which of the captions comes is not known beforehand

val_cfg = dict(type=RetrievalLoop, bf16=True, rerank_topk=16)
test_cfg = dict(type=RetrievalLoop, bf16=True, rerank_topk=128, setting=zero_shot)
val_evaluator = [dict(type=RetrievalMetric)]
test_evaluator = [dict(type=RetrievalMetric)]
default_hooks['checkpoint'].update(save_best='retrieval/en/itm_mean_R@1')
