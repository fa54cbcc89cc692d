"""One training step of the base model on synthetic data, as fast as it gets: bfloat16, like lengths, nothing twice.

Command:  python tools/benchmarks/train_step.py configs/benchmarks/step_base.py
Time:     three minutes on 2 CPU cores
Result:   docs/performance.md
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.synthetic_base import *
    from .._base_.default_runtime import *
    from .._base_.models.rc3_base import *
    from .._base_.schedules.adamw_warmup_cosine_200k import *

model['text_encoder'].update(pretrained=None, config=dict(vocab_size=250_002, max_position_embeddings=514))
model['patch_encoder'].update(pretrained=False, checkpoint=None)
