"""AdamW in bfloat16 for 200,000 iterations of 1,024: 10,000 of warm-up, then a cosine to zero."""

from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import AdamW

from rc3mm.engine import BFloat16OptimWrapper, GroupedOptimWrapperConstructor, RC3TrainLoop

max_iters = 200_000
warmup_iters = 10_000

train_cfg = dict(type=RC3TrainLoop, max_iters=max_iters, val_interval=10_000)
optim_wrapper = dict(
    type=BFloat16OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0),
    constructor=GroupedOptimWrapperConstructor,
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=warmup_iters),
    dict(type=CosineAnnealingLR, eta_min=0.0, by_epoch=False, begin=warmup_iters, end=max_iters),
]
# `--auto-scale-lr` scales the learning rate to other batches; 1,024 = 8 processes x 128.
auto_scale_lr = dict(enable=False, base_batch_size=1024)
