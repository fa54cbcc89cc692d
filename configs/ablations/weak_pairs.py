"""Does the regularised objective make weakly-aligned pairs useful? RC3's claim, on EmojiScenes.

Strictly-aligned data are scarce (1,000 scenes of the first 60 concepts), weakly-aligned data abundant (20,000 scenes of
all 100). Each arm trains one model of the quickstart's kind for the same number of steps of the same size.

Command:  python tools/ablate.py configs/ablations/weak_pairs.py --jobs 2
          (a single run of it: python tools/train.py configs/ablations/weak_pairs.py)
Time:     an hour on 2 CPU cores: thirteen runs, eight minutes each on one core.
Result:   docs/weak_pairs.md: weak pairs help retrieval by far; the regulariser keeps the text in the fused
          representation (probe, proximity), and leaves retrieval as it is.
"""

from mmengine.config import read_base

with read_base():
    from ..rc3.pretrain_tiny import *

from mmengine.optim import CosineAnnealingLR, LinearLR

from rc3mm.datasets import EmojiWeak, KnownRelevance, RoiPixels
from rc3mm.engine import EvaluationSuite, FusedLoop, RC3TrainLoop, RetrievalLoop
from rc3mm.evaluation import MentionProbe, ProximityMetric, RetrievalMetric, ShortcutAccuracy, TextRetrievalMetric
from rc3mm.models import ITC, ITM, BandRegularizer, NoRegularizer, RXVtCL, SoftTargetRegularizer, XVtCL

max_iters = 1200
num_strict, num_weak, known = 1000, 20_000, 60  # concepts from number `known` on occur in weak data alone
batch_size = 64

# -- data: no masked words, since no objective of this ablation reads them; regions are the true boxes' pixels
regions = dict(type=RoiPixels, size=8)
strict.update(num_scenes=num_strict, concept_limit=known, pipeline=[regions, tokenize, pack])
scorer['corpus'].update(num_scenes=num_strict, concept_limit=known)
scorer['weak_corpus'].update(num_scenes=num_weak)
score = dict(type=ScoreRelevance, scorer=scorer)
weak.update(num_scenes=num_weak, pipeline=[regions, tokenize, score, pack])
train_dataloader['dataset']['sources'] = dict(strict=strict, weak=weak)
sampler = train_dataloader['sampler']
sampler.pop('run')
sampler['batch_size'], sampler['ratios'] = dict(strict=batch_size, weak=batch_size), dict(strict=0.4, weak=0.6)

# -- model
model.update(
    roi_extractor=None,
    text_encoder=dict(position_shift=0),
    patch_encoder=dict(patch_size=12),  # 16 patches instead of 36: half the time
    roi_encoder=dict(type=RoiEncoder, feature_dim=192),
    # regions make the objects easy to find, which starts the learning of words early; patches are what is tested
    form_probs=dict(roi=0.2, patch=0.6, both=0.0, split=0.2),
    uniform_negatives=['weak'],
)
model['objectives'] = dict(
    itc=dict(type=ITC, sources=('strict', 'weak'), loss_weight=3.0),
    itm=dict(type=ITM, width=width, sources=('strict', 'weak'), loss_weight=3.0),
    xvtcl=dict(type=XVtCL, sources=('strict',)),
    rxvtcl=dict(
        type=RXVtCL,
        sources=('weak',),
        strict_sources=('strict',),
        loss_weight=0.3,
        regularizer=dict(type=BandRegularizer, band_weight=5.0, delta=0.05),
    ),
)

# -- schedule: nothing is selected, the last weights are tested
train_cfg = dict(type=RC3TrainLoop, max_iters=max_iters)
optim_wrapper['optimizer'].update(lr=1e-3)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type=CosineAnnealingLR, eta_min=1e-5, by_epoch=False, begin=100, end=max_iters),
]
val_dataloader, val_cfg, val_evaluator = None, None, None

# -- tests: retrieval on scenes of all concepts and of those that only weak data show, ranked by the towers and by ITM
# alone (all pairs are scored), and z on weak pairs of unseen scenes
split, num_test, num_pairs = 'test', 150, 1200
scenes = dict(test_dataloader['dataset'], num_scenes=num_test, split=split)
pairs = dict(type=EmojiWeak, num_scenes=num_pairs, split=split, seed=5, pipeline=[tokenize, pack], **world)
test_dataloader = dict(
    all=dict(dataset=scenes, **eval_loader),
    new=dict(dataset=dict(scenes, concept_start=known), **eval_loader),
    weak=dict(dataset=pairs, **eval_loader),
)
retrieval = dict(type=RetrievalLoop, rerank_topk=num_test, rerank_by='itm', shortcut=True, text_to_text=True)
probe = dict(
    dataset=dict(pairs, num_scenes=3000, split='train', seed=6, languages=('en',)),
    **eval_loader,
)
test_cfg = dict(
    type=EvaluationSuite,
    parts=dict(all=retrieval, new=retrieval, weak=dict(type=FusedLoop, probe_dataloader=probe)),
)
of_scenes = [dict(type=RetrievalMetric), dict(type=ShortcutAccuracy), dict(type=TextRetrievalMetric)]
test_evaluator = dict(
    all=of_scenes, new=of_scenes, weak=[dict(type=ProximityMetric), dict(type=MentionProbe, num_concepts=100)]
)
test_after_train = False

# -- the ablation
arm_files = 'configs/ablations/weak_pairs_arms'
ablation = dict(
    seeds=[0, 1, 2],
    arms=dict(
        strict_only=dict(config=f'{arm_files}/strict_only.py'),
        weak_as_strict=dict(config=f'{arm_files}/weak_as_strict.py'),
        band=dict(),  # this file
        true_relevance=dict(config=f'{arm_files}/true_relevance.py', seeds=[0]),
        soft_target=dict(config=f'{arm_files}/soft_target.py', seeds=[0]),
        no_split_views=dict(config=f'{arm_files}/no_split_views.py', seeds=[0]),
        no_mismatched_texts=dict(config=f'{arm_files}/no_mismatched_texts.py', seeds=[0]),
    ),
    metrics={
        't2i': 'all/retrieval/mean/t2i_R@1',
        'i2t': 'all/retrieval/mean/i2t_R@1',
        't2i by ITM': 'all/retrieval/mean/itm_t2i_R@1',
        'i2t by ITM': 'all/retrieval/mean/itm_i2t_R@1',
        't2t': 'all/text/mean_R@1',
        'new: t2i': 'new/retrieval/mean/t2i_R@1',
        'new: i2t': 'new/retrieval/mean/i2t_R@1',
        'new: t2i by ITM': 'new/retrieval/mean/itm_t2i_R@1',
        'new: i2t by ITM': 'new/retrieval/mean/itm_i2t_R@1',
        'new: t2t': 'new/text/mean_R@1',
        'probe AUC': 'weak/probe/mean_auc',
        'Spearman': 'weak/proximity/spearman',
        's at r=0': 'weak/proximity/at_0.00',
        's at r=1/3': 'weak/proximity/at_0.33',
        's at r=1/2': 'weak/proximity/at_0.50',
        's at r=2/3': 'weak/proximity/at_0.67',
        's at r=1': 'weak/proximity/at_1.00',
        'shortcut': 'all/shortcut/mean_accuracy',
    },
    by_language={
        't2i R@1': 'all/retrieval/{}/t2i_R@1',
        'i2t R@1': 'all/retrieval/{}/i2t_R@1',
        't2i R@1 by ITM': 'all/retrieval/{}/itm_t2i_R@1',
        't2i R@1, new concepts': 'new/retrieval/{}/t2i_R@1',
        't2i R@1 by ITM, new concepts': 'new/retrieval/{}/itm_t2i_R@1',
        'probe AUC': 'weak/probe/{}/auc',
    },
    chart=['t2i', 't2i by ITM', 'new: t2i by ITM', 'probe AUC'],
    curves=dict(
        proximity=dict(
            arms=['strict_only', 'weak_as_strict', 'band'],
            x='true relevance r',
            y='mean proximity s of the two views',
            points={
                'weak/proximity/at_0.00': 0.0,
                'weak/proximity/at_0.33': 1 / 3,
                'weak/proximity/at_0.50': 0.5,
                'weak/proximity/at_0.67': 2 / 3,
                'weak/proximity/at_1.00': 1.0,
            },
        ),
    ),
)
