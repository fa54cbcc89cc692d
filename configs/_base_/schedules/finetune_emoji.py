"""Fine-tuning of the quickstart's checkpoint in a minute or two: nothing is selected, the last weights are tested."""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from rc3mm.engine import GroupedOptimWrapperConstructor, PredictionLoop, RC3TrainLoop

max_iters = 500

load_from = 'work_dirs/pretrain_tiny/iter_2000.pth'  # what `make quickstart` leaves

train_cfg = dict(type=RC3TrainLoop, max_iters=max_iters)
val_cfg, val_dataloader, val_evaluator = None, None, None
test_cfg = dict(type=PredictionLoop, setting='zero-shot, tuned on English')
test_after_train = True

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, fused=True, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
    constructor=GroupedOptimWrapperConstructor,
    # frozen: what the text encoder knows of other languages is not to be forgotten over English
    paramwise_cfg=dict(lr_mult=dict(text_encoder=0.0)),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type=CosineAnnealingLR, eta_min=1e-5, by_epoch=False, begin=50, end=max_iters),
]
