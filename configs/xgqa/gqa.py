"""xGQA: questions about pictures, answered in English. Tuned and selected on English GQA, tested in eight languages.

Command:  python tools/train.py configs/xgqa/gqa.py
          python tools/test.py configs/xgqa/gqa.py work_dirs/gqa/best_*.pth
          (the whole of testdev, 12,578 questions: --cfg-options test_dataloader.dataset.split=testdev)
Check:    python tools/check_benchmarks.py configs/xgqa/gqa.py
Machine:  one GPU of 80 GB; on eight, train_dataloader.sampler.batch_size=32. Time: not measured.
Result:   none yet. docs/tasks/xgqa.md has the protocol and the numbers of others.

    data/
        iglue/gqa/annotations/{train,valid}.json, trainval_{ans2label,label2ans}.json (or .pkl)
        iglue/xGQA/annotations/few_shot/{en,bn,de,id,ko,pt,ru,zh}/test.json
        images/gqa/images/n161313.jpg
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.answers import *

from rc3mm.datasets import GQA, XGQA, MixedSources

model = dict(type=VLClassifier, num_classes=1842, **backbone)

tokenize.update(max_length=40)  # IGLUE's
places.update(image_root=f'{images}/gqa')
gqa_pipeline = [*visual, tokenize, pack]
gqa = dict(type=GQA, pipeline=gqa_pipeline, **places)
xgqa = dict(type=XGQA, pipeline=gqa_pipeline, **places)
languages = ('en', 'bn', 'de', 'id', 'ko', 'pt', 'ru', 'zh')
train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(gqa=dict(gqa, split='train', languages=('en',)))),
    sampler=dict(sampler, batch_size=256),
    **train_loader,
)
val_dataloader = dict(dataset=dict(gqa, split='valid', languages=('en',)), **eval_loader)
test_dataloader = dict(dataset=dict(xgqa, split='test', languages=languages), **eval_loader)

# 5 epochs of 943,000 questions in batches of 256: 5 * 943,000 / 256 = 18,418
max_iters, epoch = 18_420, 3684
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=4e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=epoch)

gqa_annotations, xgqa_annotations = f'{iglue}/gqa/annotations', f'{iglue}/xGQA/annotations'
label_files = dict(
    path=gqa_annotations,
    what="the 1,842 answers in label order, by which the model's head is numbered",
    get=get_iglue,
    layout='trainval_ans2label.json and trainval_label2ans.json, or both as .pkl',
)
train_files = dict(
    path=[f'{gqa_annotations}/train.json', f'{gqa_annotations}/valid.json'],
    what="GQA's balanced questions in English, to tune and to select on",
    get='https://github.com/airsplay/lxmert (data/gqa), or as IGLUE hands them out; converted files of GQA itself',
    layout='a list of {"img_id": "n161313", "label": {"no": 1.0}, "question_id": "201307251", "sent": "Is it...?"}',
    phases=['train'],
)
test_files = dict(
    path=[f'{xgqa_annotations}/few_shot/{language}/test.json' for language in languages],
    what='xGQA in eight languages, 9,666 questions each',
    get=get_iglue,
    layout='question id -> record with question, imageId, answer',
    phases=['test'],
)
image_files = dict(
    path=f'{images}/gqa/images',
    what='the images of GQA',
    get='https://cs.stanford.edu/people/dorarad/gqa/download.html (images.zip)',
    layout='n161313.jpg, 2370799.jpg, ...',
)
required_files = [*required_weights, start_file, label_files, train_files, test_files, image_files]
