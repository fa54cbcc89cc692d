"""RC3 on EmojiScenes: the quickstart.

Command:  python tools/train.py configs/rc3/pretrain_tiny.py
Time:     13 minutes of training on one CPU core beside other work (AVX-512), less on two; 15 seconds of testing.
Result:   zero-shot retrieval among 500 unseen scenes, patches only: R@1 72.7 (text->image) and 70.9 (image->text), mean
          of de fr cs ja zh; after ITM re-ranking 76.0 and 74.0; shortcut accuracy 100 %. The same checkpoint by regions
          and patches (`--form both`): 78.1 and 76.0, re-ranked 80.7 and 79.0; by regions alone (`--form roi`): 86.8
          and 87.0, re-ranked 90.1 and 90.6. On 500 other test scenes (`+test_dataloader.dataset.seed=7`), patches: 71.0
          and 70.7, re-ranked 74.8 and 74.2. One seed.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.emoji_scenes import *
    from .._base_.default_runtime import *
    from .._base_.models.rc3_tiny import *

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from rc3mm.datasets import EmojiTaskTexts
from rc3mm.engine import GroupedOptimWrapperConstructor, RC3TrainLoop, RetrievalLoop
from rc3mm.evaluation import RetrievalMetric, ShortcutAccuracy

max_iters = 2000

# Parallel text with the words of questions and statements, which captions lack: the tasks of `make suite` need them in
# six languages, and are tuned in English.
task_texts = dict(parallel, type=EmojiTaskTexts, seed=4)
train_dataloader['dataset']['sources'].update(task_texts=task_texts)
train_dataloader['sampler'].update(
    batch_size=dict(task_texts=64),
    ratios=dict(strict=0.3, weak=0.5, parallel=0.04, task_texts=0.16),
    run=dict(task_texts=EmojiTaskTexts.run),
)

train_cfg = dict(type=RC3TrainLoop, max_iters=max_iters, val_interval=425)
val_cfg = dict(type=RetrievalLoop)
test_cfg = dict(type=RetrievalLoop, rerank_topk=16, rerank_by='itm+itc', itm_weight=0.25, shortcut=True)
val_evaluator = [dict(type=RetrievalMetric)]
test_evaluator = [dict(type=RetrievalMetric), dict(type=ShortcutAccuracy)]
test_after_train = True

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, fused=True, lr=7e-4, betas=(0.9, 0.98), weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
    constructor=GroupedOptimWrapperConstructor,
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type=CosineAnnealingLR, eta_min=1e-5, by_epoch=False, begin=100, end=max_iters),
]
default_hooks.update(checkpoint=dict(interval=500))
default_hooks['logger'].update(interval=50)
log_processor.update(window_size=50)
