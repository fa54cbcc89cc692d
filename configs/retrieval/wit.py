"""WIT: retrieval of Wikipedia's images by their captions, tuned and selected on English, tested in eleven languages.

Command:  python tools/train.py configs/retrieval/wit.py
          python tools/test.py configs/retrieval/wit.py work_dirs/wit/best_*.pth
Check:    python tools/check_benchmarks.py configs/retrieval/wit.py
Machine:  one GPU of 80 GB. Time: not measured.
Result:   none yet. docs/tasks/retrieval.md has the protocol and the numbers of others.

Each language has a set of images of its own, so each is a part of the test: metrics are called
ja/retrieval/ja/itm_t2i_R@1. Their mean without English is wit/retrieval/mean/itm_t2i_R@1.

    data/
        iglue/wit/annotations/{train,val}_en.jsonl, test_{en,ar,bg,da,el,et,id,ja,ko,tr,vi}.jsonl
        images/wit/wit-test_0.jpg           train, val and test; SVG and TIFF converted to JPEG
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.retrieval import *

from rc3mm.datasets import MixedSources, WITRetrieval
from rc3mm.engine import EvaluationSuite

others = ('ar', 'bg', 'da', 'el', 'et', 'id', 'ja', 'ko', 'tr', 'vi')
languages = ('en', *others)
wit = dict(type=WITRetrieval, ann_root=iglue, image_root=f'{images}/wit', pipeline=pipeline)
english = dict(wit, languages=('en',))
train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(retrieval=dict(english, split='train', pipeline=tune_pipeline))),
    sampler=dict(sampler, batch_size=64),
    **train_loader,
)
val_dataloader = dict(dataset=dict(english, split='val'), **eval_loader)
test_dataloader = {code: dict(dataset=dict(wit, split='test', languages=(code,)), **eval_loader) for code in languages}
rank = dict(test_cfg)
means = dict(wit=others)  # without English
test_cfg = dict(type=EvaluationSuite, parts={code: dict(rank) for code in languages}, means=means, setting=zero_shot)
test_evaluator = {code: [dict(type=RetrievalMetric)] for code in languages}

# 2 epochs of about 500,000 captions in batches of 64: 2 * 500,000 / 64 = 15,625; selected ten times
max_iters, interval = 15_630, 1563
train_cfg.update(max_iters=max_iters, val_interval=interval)
optim_wrapper['optimizer'].update(lr=2e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=interval)

annotations = f'{iglue}/wit/annotations'
train_files = dict(
    path=[f'{annotations}/train_en.jsonl', f'{annotations}/val_en.jsonl'],
    what="WIT's English captions, to tune and to select on",
    get=get_iglue,
    layout='a JSON line a caption: image_url caption_reference_description language wit_ix ...',
    phases=['train'],
)
test_files = dict(
    path=[f'{annotations}/test_{code}.jsonl' for code in languages],
    what='WIT in eleven languages, up to 1,000 captions each',
    get=get_iglue,
    layout='as those of the English part',
    phases=['test'],
)
image_files = dict(
    path=f'{images}/wit',
    what="WIT's images",
    get="the test's: https://sid.erda.dk/sharelink/CwTySJlPdB (IGLUE); others by their image_url, while it is alive",
    layout='wit-test_0.jpg, ...: named by wit_ix; SVG and TIFF converted to JPEG',
)
required_files = [*required_weights, start_file, train_files, test_files, image_files]
