"""What fine-tuning on the published benchmarks shares: places, pipelines, loaders, optimiser, selection, weights.

Optimiser and schedule are IGLUE's: AdamW with weight decay 1e-4, warm-up over a tenth of the iterations, then linearly
to 0, gradients clipped at 1.0. Each config sets learning rate, batch and length, and by which metric of the English
validation set the best checkpoint is chosen. Images are seen as patches; docs/tasks/xvnli.md says how regions are used.

Files lie below `data` (or RC3MM_DATA): `iglue` is the folder `datasets` of IGLUE's repository, `images` has the images
of all benchmarks in folders of their own.
"""

from mmengine.config import read_base

with read_base():
    from ..default_runtime import *
    from ..models.backbone_base import *

from mmengine.optim import LinearLR, PolyLR
from torch.optim import AdamW

from rc3mm.datasets import (
    DecodeImage,
    EvalSampler,
    MixedSourceSampler,
    PackVLInputs,
    ResizeImage,
    Tokenize,
    vl_collate,
)
from rc3mm.engine import BFloat16OptimWrapper, GroupedOptimWrapperConstructor, RC3TrainLoop

# -- weights: training starts from the pre-trained model, whatever head is new
pretrained = f'{weights_root}/rc3_base.pth'
load_from = pretrained
start_file = dict(
    path=pretrained,
    what='RC3 in base size, pre-trained',
    get=f'configs/rc3/pretrain_base.py trains it; copy its last checkpoint to {pretrained}, or name\n'
    'another: --cfg-options load_from=... required_files.2.path=...',
    layout='a checkpoint of tools/train.py, or what tools/model_converters/export_weights.py makes of it',
    phases=['train'],
)
backbone.update(test_form='patch')

# -- data
iglue = f'{data_root}/iglue'
images = f'{data_root}/images'
get_iglue = f'git clone https://github.com/e-bug/iglue; copy or link its folder `datasets` to {iglue}'
get_flickr30k = 'https://shannon.cs.illinois.edu/DenotationGraph (asks for a form), or any copy with these names'
get_coco = 'https://cocodataset.org/#download: 2014 train and val images'
image_size = 224
visual = [dict(type=DecodeImage), dict(type=ResizeImage, size=image_size)]
tokenizer = text_weights
tokenize = dict(type=Tokenize, tokenizer=tokenizer, max_length=80)
pack = dict(type=PackVLInputs)
pipeline = [*visual, tokenize, pack]

collate = dict(type=vl_collate, pad_id=1)
# `batch_size` of the sampler is that of one process: divide it by the number of processes
sampler = dict(type=MixedSourceSampler, batch_size=64, length_pool=16, seed=0)
workers = dict(num_workers=8, persistent_workers=True, pin_memory=True, collate_fn=collate)
train_loader = dict(batch_size=None, **workers)  # the sampler decides on whole batches
eval_loader = dict(sampler=dict(type=EvalSampler), batch_size=256, **workers)

# -- optimisation
train_cfg = dict(type=RC3TrainLoop)
optim_wrapper = dict(
    type=BFloat16OptimWrapper,
    optimizer=dict(type=AdamW, lr=2e-5, betas=(0.9, 0.999), weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0),
    constructor=GroupedOptimWrapperConstructor,
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0),
    dict(type=PolyLR, power=1.0, eta_min=0.0, by_epoch=False),
]

# -- selection: the best checkpoint on the validation set is kept as best_<metric>_iter_<n>.pth; that one is tested
default_hooks['checkpoint'].update(max_keep_ckpts=1, rule='greater')
zero_shot = 'zero-shot, tuned and selected on English'
