"""Multi30K: retrieval, tuned and selected on its English captions, tested in en de fr cs.

Command:  python tools/train.py configs/retrieval/multi30k.py
          python tools/test.py configs/retrieval/multi30k.py work_dirs/multi30k/best_*.pth
Check:    python tools/check_benchmarks.py configs/retrieval/multi30k.py
Machine:  one GPU of 80 GB. Time: not measured.
Result:   none yet. docs/tasks/retrieval.md has the protocol and the numbers of others.

Five captions an image in en and de (task 2), one in fr and cs (task 1), as papers on retrieval do.

    data/
        multi30k/data/task1/{image_splits,raw}, task2/{image_splits,raw}
        images/flickr30k-images/1007129816.jpg
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.retrieval import *

from rc3mm.datasets import MixedSources, Multi30kRetrieval

train_languages = ('en',)
root = f'{data_root}/multi30k'
multi30k = dict(type=Multi30kRetrieval, ann_root=root, image_root=images, pipeline=pipeline)
train_dataloader = dict(
    dataset=dict(
        type=MixedSources,
        sources=dict(retrieval=dict(multi30k, split='train', languages=train_languages, pipeline=tune_pipeline)),
    ),
    sampler=dict(sampler, batch_size=64),
    **train_loader,
)
val_dataloader = dict(dataset=dict(multi30k, split='val', languages=('en',)), **eval_loader)
test_dataloader = dict(
    dataset=dict(multi30k, split='test_2016_flickr', languages=('en', 'de', 'fr', 'cs')), **eval_loader
)

# 10 epochs of 145,000 pairs (29,000 images with five captions) in batches of 64: 10 * 145,000 / 64 = 22,656
max_iters, epoch = 22_700, 2270
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=2e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=epoch)

raw1, raw2 = f'{root}/data/task1/raw', f'{root}/data/task2/raw'
train_files = dict(
    path=[f'{raw2}/{split}.{k}.en.gz' for split in ('train', 'val') for k in (1, 2, 3, 4, 5)],
    what="Multi30K's five English captions, to tune and to select on",
    get=f'git clone https://github.com/multi30k/dataset {root}',
    layout='the repository: data/task1, data/task2',
    phases=['train'],
)
test_files = dict(
    path=[
        *(f'{raw2}/test_2016.{k}.{code}.gz' for code in ('en', 'de') for k in (1, 2, 3, 4, 5)),
        *(f'{raw1}/test_2016_flickr.{code}.gz' for code in ('fr', 'cs')),
    ],
    what="Multi30K's test of 2016 in four languages, 1,000 images",
    get=f'git clone https://github.com/multi30k/dataset {root}',
    layout='the repository: data/task1, data/task2',
    phases=['test'],
)
image_files = dict(
    path=f'{images}/flickr30k-images', what='the images of Flickr30k', get=get_flickr30k, layout='1007129816.jpg, ...'
)
required_files = [*required_weights, start_file, train_files, test_files, image_files]
