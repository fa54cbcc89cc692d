"""MSCOCO: retrieval, tuned and selected on English, tested in en, ja (STAIR) and zh (COCO-CN).

Command:  python tools/train.py configs/retrieval/mscoco.py
          python tools/test.py configs/retrieval/mscoco.py work_dirs/mscoco/best_*.pth
Check:    python tools/check_benchmarks.py configs/retrieval/mscoco.py
Machine:  one GPU of 80 GB. Time: not measured.
Result:   none yet. docs/tasks/retrieval.md has the protocol and the numbers of others.

Parts of the test: `all` (the 5,000 images of Karpathy's split, "5K"), `fold0` to `fold4` (1,000 images each), `coco_cn`
(1,000 images of its own). `folds` is the mean over the folds, "1K": folds/retrieval/ja/itm_t2i_R@1.

    data/
        mscoco/dataset_coco.json                              Karpathy's splits, with English captions
        mscoco/stair_captions_v1.2_{train,val}.json           or ..._tokenized.json
        mscoco/coco-cn-version1805v1.1/{coco-cn_test.txt,imageid.human-written-caption.txt}
        images/{train2014,val2014}/COCO_val2014_000000391895.jpg
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.retrieval import *

from rc3mm.datasets import MixedSources, MSCOCORetrieval
from rc3mm.engine import EvaluationSuite

train_languages = ('en',)
root = f'{data_root}/mscoco'
mscoco = dict(type=MSCOCORetrieval, ann_root=root, image_root=images, pipeline=pipeline)
train_dataloader = dict(
    dataset=dict(
        type=MixedSources,
        sources=dict(retrieval=dict(mscoco, split='train', languages=train_languages, pipeline=tune_pipeline)),
    ),
    sampler=dict(sampler, batch_size=128),
    **train_loader,
)
val_dataloader = dict(dataset=dict(mscoco, split='val', languages=('en',)), **eval_loader)
karpathy = dict(mscoco, split='test', languages=('en', 'ja'))
parts = dict(
    all=karpathy,
    **{f'fold{k}': dict(karpathy, fold=k) for k in range(5)},
    coco_cn=dict(mscoco, split='test', languages=('zh',)),
)
test_dataloader = {name: dict(dataset=dataset, **eval_loader) for name, dataset in parts.items()}
rank = dict(test_cfg, rerank_topk=256)  # CCLM's for COCO
means = dict(folds=[f'fold{k}' for k in range(5)])
test_cfg = dict(type=EvaluationSuite, parts={name: dict(rank) for name in parts}, means=means, setting=zero_shot)
test_evaluator = {name: [dict(type=RetrievalMetric)] for name in parts}

# IGLUE has no MSCOCO; CCLM's batch and rate. 5 epochs of 566,747 pairs in batches of 128: 5 * 566,747 / 128 = 22,139
max_iters, epoch = 22_150, 4430
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=3e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=epoch)

stair = [f'{root}/stair_captions_v1.2_{part}.json' for part in ('train', 'val')]
coco_cn = f'{root}/coco-cn-version1805v1.1'
split_files = dict(
    path=f'{root}/dataset_coco.json',
    what="Karpathy's splits of MSCOCO with the English captions",
    get='https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip',
    layout='dataset_coco.json of the archive',
)
test_files = dict(
    path=[*stair, f'{coco_cn}/coco-cn_test.txt', f'{coco_cn}/imageid.human-written-caption.txt'],
    what='STAIR captions (ja) and COCO-CN (zh)',
    get='https://github.com/STAIR-Lab-CIT/STAIR-captions (v1.2) and https://github.com/li-xirong/coco-cn',
    layout='as these come; STAIR may be the tokenized files, with links by these names',
    phases=['test'],
)
image_files = dict(
    path=[f'{images}/train2014', f'{images}/val2014'],
    what="COCO's images of 2014",
    get=get_coco,
    layout='COCO_val2014_000000391895.jpg, ...',
)
required_files = [*required_weights, start_file, split_files, test_files, image_files]
