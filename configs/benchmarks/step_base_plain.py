"""The same step as step_base.py in the plain way: what all that is done for speed is measured against.

Command:  python tools/benchmarks/train_step.py configs/benchmarks/step_base_plain.py
Time:     eight minutes on 2 CPU cores
Result:   docs/performance.md
"""

from mmengine.config import read_base

with read_base():
    from .step_base import *

from mmengine.optim import OptimWrapper

from rc3mm.models import PlainRC3

model.update(type=PlainRC3)  # encoder passes for each objective, words told at all positions
train_dataloader['sampler'].update(length_pool=1)  # shuffled, and padded to the longest
optim_wrapper.update(type=OptimWrapper)  # float32
optim_wrapper['optimizer'].update(fused=False)
