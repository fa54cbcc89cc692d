"""Which visual form? Regions, patches, both, and one checkpoint for all three, on EmojiScenes.

Four models of the quickstart's kind with equal training budgets: three see one visual form only, the fourth draws one
of the three, or `split` views, for each batch, and is tested in each. Regions come from a store, extracted first by the
detector of EmojiScenes.

Command:  python tools/ablate.py configs/ablations/visual_forms.py --jobs 2
          (a single run of it: python tools/train.py configs/ablations/visual_forms.py)
Time:     forty minutes on 2 CPU cores: four arms, three seeds, 800 iterations each.
Result:   docs/roi_features.md
"""

from mmengine.config import read_base

with read_base():
    from ..rc3.pretrain_tiny import *

from mmengine.optim import CosineAnnealingLR, LinearLR

from rc3mm.datasets import LoadRegions, RoiStore
from rc3mm.engine import RC3TrainLoop

max_iters = 800
num_strict, num_weak, num_test = 4000, 12_000, 500
stores = 'data/emoji_regions'

load = dict(type=LoadRegions, feature_dim=256, num_regions=8, class_probs=True, num_classes=101)
train_dataloader['dataset']['sources']['strict'].update(num_scenes=num_strict)
train_dataloader['dataset']['sources']['strict']['pipeline'].insert(
    0, dict(**load, source=dict(type=RoiStore, path=f'{stores}/strict', feature_dim=256))
)
# the words of tasks are not needed here,
train_dataloader['sampler']['ratios'].update(strict=0.35, weak=0.6, parallel=0.05, task_texts=0)
model['objectives'].pop('xlco')  # and captions are aligned by their images
train_dataloader['dataset']['sources']['weak'].update(num_scenes=num_weak)
train_dataloader['dataset']['sources']['weak']['pipeline'].insert(
    0, dict(**load, source=dict(type=RoiStore, path=f'{stores}/weak', feature_dim=256))
)
test_dataloader['dataset'].update(num_scenes=num_test)
test_dataloader['dataset']['pipeline'].insert(
    0, dict(**load, source=dict(type=RoiStore, path=f'{stores}/test', feature_dim=256))
)
val_dataloader, val_cfg, val_evaluator = None, None, None  # nothing is selected

model['objectives']['itm'].update(sources=('strict',), loss_weight=1.0)
model['text_encoder'].update(position_shift=0)
model.update(roi_extractor=None, uniform_negatives=[], form_probs=dict(roi=0.25, patch=0.25, both=0.25, split=0.25))
train_cfg = dict(type=RC3TrainLoop, max_iters=max_iters)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type=CosineAnnealingLR, eta_min=1e-5, by_epoch=False, begin=100, end=max_iters),
]

extract = ['tools/extract_roi_features.py', 'configs/detectors/faster_rcnn_emoji.py', '--batch-size', '32']
scenes = 'configs/rc3/pretrain_tiny.py'
only = 'model.form_probs'
ablation = dict(
    prepare=[
        [
            *extract,
            *('--dataset-config', f'{scenes}:train_dataloader.dataset.sources.strict'),
            *('--limit', str(num_strict), '--out', f'{stores}/strict'),
        ],
        [
            *extract,
            *('--dataset-config', f'{scenes}:train_dataloader.dataset.sources.weak'),
            *('--limit', str(num_weak), '--out', f'{stores}/weak'),
        ],
        [
            *extract,
            *('--dataset-config', f'{scenes}:test_dataloader.dataset'),
            *('--limit', str(num_test), '--out', f'{stores}/test'),
        ],
    ],
    seeds=[0, 1, 2],
    arms=dict(
        roi=dict(
            options=[f'{only}.roi=1.0', f'{only}.patch=0.0', f'{only}.both=0.0', f'{only}.split=0.0'],
            tests=dict(roi=['+test_cfg.form=roi']),
        ),
        patch=dict(
            options=[f'{only}.roi=0.0', f'{only}.patch=1.0', f'{only}.both=0.0', f'{only}.split=0.0'],
            tests=dict(patch=['+test_cfg.form=patch']),
        ),
        both=dict(
            options=[f'{only}.roi=0.0', f'{only}.patch=0.0', f'{only}.both=1.0', f'{only}.split=0.0'],
            tests=dict(both=['+test_cfg.form=both']),
        ),
        sampled=dict(
            tests=dict(
                roi=['+test_cfg.form=roi'],
                patch=['+test_cfg.form=patch'],
                both=['+test_cfg.form=both'],
            ),
        ),
    ),
    metrics={
        't2i R@1': 'retrieval/mean/t2i_R@1',
        'i2t R@1': 'retrieval/mean/i2t_R@1',
        't2i R@1, ITM': 'retrieval/mean/itm_t2i_R@1',
        'i2t R@1, ITM': 'retrieval/mean/itm_i2t_R@1',
        'ITC': 'loss_itc',
        'ITM': 'loss_itm',
        'XVtCL': 'loss_xvtcl',
        'R-XVtCL': 'loss_rxvtcl',
        'VTLM': 'loss_vtlm',
        'MLM': 'loss_mlm',
    },
    chart=['t2i R@1', 'i2t R@1', 'ITM'],
)
