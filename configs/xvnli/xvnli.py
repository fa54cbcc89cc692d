"""XVNLI: does a picture entail a sentence? Tuned and selected on English, tested in ar en es fr ru.

Command:  python tools/train.py configs/xvnli/xvnli.py
          python tools/test.py configs/xvnli/xvnli.py work_dirs/xvnli/best_*.pth
Check:    python tools/check_benchmarks.py configs/xvnli/xvnli.py
Machine:  one GPU of 80 GB; on eight, train_dataloader.sampler.batch_size=16. Time: not measured.
Result:   none yet. docs/tasks/xvnli.md has the protocol and the numbers of others.

    data/
        iglue/XVNLI/annotations/{en/{train,dev,test},{ar,es,fr,ru}/test}.jsonl
        images/flickr30k-images/759822302.jpg
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.answers import *

from rc3mm.datasets import XVNLI, MixedSources

model = dict(type=VLClassifier, num_classes=3, **backbone)

xvnli = dict(type=XVNLI, pipeline=pipeline, **places)
train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(xvnli=dict(xvnli, split='train', languages=('en',)))),
    sampler=dict(sampler, batch_size=128),
    **train_loader,
)
val_dataloader = dict(dataset=dict(xvnli, split='dev', languages=('en',)), **eval_loader)
test_dataloader = dict(dataset=dict(xvnli, split='test', languages=('en', 'ar', 'es', 'fr', 'ru')), **eval_loader)

# 10 epochs of about 541,000 hypotheses in batches of 128: 10 * 541,000 / 128 = 42,266
max_iters, epoch = 42_300, 4230
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=2e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=epoch)

annotations = f'{iglue}/XVNLI/annotations'
train_files = dict(
    path=[f'{annotations}/en/train.jsonl', f'{annotations}/en/dev.jsonl'],
    what="XVNLI's English part, to tune and to select on",
    get=get_iglue,
    layout='a JSON line a hypothesis: gold_label sentence1 sentence2 captionID pairID Flikr30kID',
    phases=['train'],
)
test_files = dict(
    path=[f'{annotations}/{language}/test.jsonl' for language in ('en', 'ar', 'es', 'fr', 'ru')],
    what='XVNLI in five languages, 1,164 hypotheses each',
    get=get_iglue,
    layout='as those of the English part',
    phases=['test'],
)
image_files = dict(
    path=f'{images}/flickr30k-images', what='the images of Flickr30k', get=get_flickr30k, layout='759822302.jpg, ...'
)
required_files = [*required_weights, start_file, train_files, test_files, image_files]
