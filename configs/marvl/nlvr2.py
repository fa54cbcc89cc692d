"""MaRVL: is a sentence true of two pictures? Tuned and selected on English NLVR2, tested in id sw ta tr zh.

Command:  python tools/train.py configs/marvl/nlvr2.py
          python tools/test.py configs/marvl/nlvr2.py work_dirs/nlvr2/best_*.pth
Check:    python tools/check_benchmarks.py configs/marvl/nlvr2.py
Machine:  one GPU of 80 GB; on eight, train_dataloader.sampler.batch_size=8. Time: not measured.
Result:   none yet. docs/tasks/marvl.md has the protocol and the numbers of others.

What tables call MaRVL's English is NLVR2's test-P: the part `nlvr2` of the test.

    data/
        iglue/nlvr2/annotations/{train,dev,test}.jsonl
        iglue/marvl/zero_shot/annotations/marvl-{id,sw,ta,tr,zh}.jsonl
        images/nlvr2/images/{train/0..99,dev,test1}/dev-850-0-img0.png
        images/marvl-images/{id,sw,ta,tr,zh}/images/82-铅笔/82-6.jpg
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.answers import *

from rc3mm.datasets import NLVR2, MaRVL, MixedSources
from rc3mm.engine import EvaluationSuite

model = dict(type=VLClassifier, num_classes=2, num_images=2, **backbone)

nlvr2 = dict(type=NLVR2, ann_root=iglue, image_root=f'{images}/nlvr2', languages=('en',), pipeline=pair_pipeline)
languages = ('id', 'sw', 'ta', 'tr', 'zh')
marvl = dict(type=MaRVL, split='test', languages=languages, pipeline=pair_pipeline, **places)
train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(nlvr2=dict(nlvr2, split='train'))),
    sampler=dict(sampler, batch_size=64),
    **train_loader,
)
val_dataloader = dict(dataset=dict(nlvr2, split='dev'), **eval_loader)
test_dataloader = dict(
    marvl=dict(dataset=marvl, **eval_loader), nlvr2=dict(dataset=dict(nlvr2, split='test'), **eval_loader)
)
predict = dict(type=PredictionLoop, bf16=True, setting=zero_shot)
test_cfg = dict(
    type=EvaluationSuite, parts=dict(marvl=predict, nlvr2=dict(predict, setting='English')), setting=zero_shot
)
test_evaluator = dict(marvl=[dict(type=ClassificationMetric)], nlvr2=[dict(type=ClassificationMetric)])

# 20 epochs of 86,373 sentences in batches of 64: 20 * 86,373 / 64 = 26,992
max_iters, epoch = 27_000, 1350
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=1e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=epoch)

nlvr2_annotations, marvl_annotations = f'{iglue}/nlvr2/annotations', f'{iglue}/marvl/zero_shot/annotations'
nlvr2_lines = 'a JSON line a sentence and pair of images: identifier, sentence, label ("True" or "False")'
train_files = dict(
    path=[f'{nlvr2_annotations}/train.jsonl', f'{nlvr2_annotations}/dev.jsonl'],
    what='NLVR2 in English, to tune and to select on',
    get=f'{get_iglue}, or\nhttps://github.com/lil-lab/nlvr: nlvr2/data, test1.json as test.jsonl',
    layout=nlvr2_lines,
    phases=['train'],
)
test_files = dict(
    path=[f'{nlvr2_annotations}/test.jsonl', *(f'{marvl_annotations}/marvl-{code}.jsonl' for code in languages)],
    what="NLVR2's test-P and MaRVL in five languages",
    get=get_iglue,
    layout=f'{nlvr2_lines};\nof MaRVL: concept language caption left_img right_img ... id label (true or false)',
    phases=['test'],
)
image_files = dict(
    path=f'{images}/nlvr2/images',
    what='the images of NLVR2',
    get='https://github.com/lil-lab/nlvr/tree/master/nlvr2#direct-image-download',
    layout='train/0 ... train/99, dev, test1',
)
marvl_images = dict(
    path=f'{images}/marvl-images',
    what='the images of MaRVL',
    get='https://marvl-challenge.github.io/download',
    layout='zh/images/82-铅笔/82-6.jpg, ...',
    phases=['test'],
)
required_files = [*required_weights, start_file, train_files, test_files, image_files, marvl_images]
