"""xFlickr&CO: retrieval, tuned and selected on English Flickr30k, tested in eight languages.

Command:  python tools/train.py configs/retrieval/xflickrco.py
          python tools/test.py configs/retrieval/xflickrco.py work_dirs/xflickrco/best_*.pth
Check:    python tools/check_benchmarks.py configs/retrieval/xflickrco.py
Machine:  one GPU of 80 GB. Time: not measured.
Result:   none yet. docs/tasks/retrieval.md has the protocol and the numbers of others.

    data/
        iglue/flickr30k/annotations/{train,valid,test}_ann.jsonl
        iglue/xFlickrCO/annotations/{en,de,es,id,ja,ru,tr,zh}/test.jsonl
        images/flickr30k-images/1007129816.jpg
        images/val2014/COCO_val2014_000000369771.jpg
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.retrieval import *

from rc3mm.datasets import Flickr30k, MixedSources, XFlickrCO
from rc3mm.engine import EvaluationSuite

languages = ('en', 'de', 'es', 'id', 'ja', 'ru', 'tr', 'zh')
places = dict(ann_root=iglue, image_root=images)
flickr30k = dict(type=Flickr30k, pipeline=pipeline, **places)
xflickrco = dict(type=XFlickrCO, split='test', languages=languages, pipeline=pipeline, **places)
train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(retrieval=dict(flickr30k, split='train', pipeline=tune_pipeline))),
    sampler=dict(sampler, batch_size=64),
    **train_loader,
)
val_dataloader = dict(dataset=dict(flickr30k, split='valid'), **eval_loader)
test_dataloader = dict(
    xflickrco=dict(dataset=xflickrco, **eval_loader),
    flickr30k=dict(dataset=dict(flickr30k, split='test'), **eval_loader),
)
rank = dict(test_cfg)
test_cfg = dict(
    type=EvaluationSuite, parts=dict(xflickrco=rank, flickr30k=dict(rank, setting='English')), setting=zero_shot
)
test_evaluator = dict(xflickrco=[dict(type=RetrievalMetric)], flickr30k=[dict(type=RetrievalMetric)])

# 10 epochs of 145,000 pairs (29,000 images with five captions) in batches of 64: 10 * 145,000 / 64 = 22,656
max_iters, epoch = 22_700, 2270
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=2e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=epoch)

flickr_annotations, xflickrco_annotations = f'{iglue}/flickr30k/annotations', f'{iglue}/xFlickrCO/annotations'
caption_lines = 'a JSON line an image: sentences, id, img_path'
train_files = dict(
    path=[f'{flickr_annotations}/train_ann.jsonl', f'{flickr_annotations}/valid_ann.jsonl'],
    what='Flickr30k in English, to tune and to select on',
    get=get_iglue,
    layout=caption_lines,
    phases=['train'],
)
test_files = dict(
    path=[
        f'{flickr_annotations}/test_ann.jsonl',
        *(f'{xflickrco_annotations}/{code}/test.jsonl' for code in languages),
    ],
    what="Flickr30k's test, and xFlickr&CO in eight languages: 2,000 images, a caption each",
    get=get_iglue,
    layout=caption_lines,
    phases=['test'],
)
image_files = dict(
    path=f'{images}/flickr30k-images', what='the images of Flickr30k', get=get_flickr30k, layout='1007129816.jpg, ...'
)
coco_images = dict(
    path=f'{images}/val2014',
    what="COCO's images of val2014",
    get=get_coco,
    layout='COCO_val2014_000000369771.jpg, ...',
    phases=['test'],
)
required_files = [*required_weights, start_file, train_files, test_files, image_files, coco_images]
