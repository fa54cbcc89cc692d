"""Translation with an image: Multi30K's task 1 from English into de, fr and cs, one model, all test sets.

Command:  python tools/train.py configs/mmt/multi30k.py
          python tools/test.py configs/mmt/multi30k.py work_dirs/mmt_multi30k/best_*.pth
Check:    python tools/check_benchmarks.py configs/mmt/multi30k.py
Machine:  one GPU of 80 GB. Time: not measured.
Result:   none yet. docs/tasks/mmt.md has the protocol.

Nothing is zero-shot here: the model is tuned on every language that it writes. For controls: model.image=none (tuned
and tested without images) and, in a test alone, model.image=wrong (each text with the image of another item).

    data/
        multi30k/data/task1/{image_splits/{split}.txt,raw/{split}.{en,de,fr,cs}.gz}
        images/flickr30k-images/1007129816.jpg                     train, val, test_2016_flickr
        images/test_2017-flickr-images/, test_2018-flickr-images/
        images/{train2014,val2014}/COCO_*.jpg                      test_2017_mscoco
    weights/rc3_base.pth
"""

from mmengine.config import read_base

with read_base():
    from .._base_.tasks.finetune import *

from rc3mm.datasets import MixedSources, Multi30kTranslation, TokenizeTarget
from rc3mm.engine import EvaluationSuite, PredictionLoop
from rc3mm.evaluation import TranslationMetric
from rc3mm.models import TextDecoder, VLTranslator

work_dir = 'work_dirs/mmt_multi30k'  # configs/retrieval/ has a multi30k, too
train_languages = ('de', 'fr', 'cs')  # one of them alone: a model for each
model = dict(
    type=VLTranslator,
    decoder=dict(type=TextDecoder, depth=6, heads=12, dropout=0.1),  # as the fusion head, whose weights it starts from
    tokenizer=tokenizer,
    start_tokens=2,  # the start and the language's tag
    search=dict(beams=5, max_length=80),
    image='right',
    **backbone,
)

tokenize_target = dict(type=TokenizeTarget, tokenizer=tokenizer, max_length=80, tags=train_languages)
translate_pipeline = [*visual, tokenize, tokenize_target, pack]
root = f'{data_root}/multi30k'
multi30k = dict(type=Multi30kTranslation, ann_root=root, image_root=images, pipeline=translate_pipeline)
train_dataloader = dict(
    dataset=dict(type=MixedSources, sources=dict(translation=dict(multi30k, split='train', languages=train_languages))),
    sampler=dict(sampler, batch_size=128),
    **train_loader,
)
val_dataloader = dict(dataset=dict(multi30k, split='val', languages=train_languages), **eval_loader)
in_split = dict(
    test_2016_flickr=('de', 'fr', 'cs'),
    test_2017_flickr=('de', 'fr'),
    test_2017_mscoco=('de', 'fr'),
    test_2018_flickr=('de', 'fr', 'cs'),
)
test_dataloader = {
    split: dict(dataset=dict(multi30k, split=split, languages=languages), **eval_loader)
    for split, languages in in_split.items()
}
val_cfg = dict(type=PredictionLoop, bf16=True)
val_evaluator = [dict(type=TranslationMetric)]
predict = dict(type=PredictionLoop, bf16=True, setting='supervised')
test_cfg = dict(type=EvaluationSuite, parts={split: dict(predict) for split in in_split}, setting='supervised')
# METEOR as well, where NLTK is installed: dict(type=TranslationMetric, meteor_languages=('de', 'fr', 'cs'))
test_evaluator = {split: [dict(type=TranslationMetric)] for split in in_split}

# 15 epochs of 3 * 29,000 sentences in batches of 128: 15 * 87,000 / 128 = 10,195. The rate is ours, not IGLUE's.
max_iters, epoch = 10_200, 680
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=5e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=epoch, save_best='translation/mean_bleu')

task1 = f'{root}/data/task1'
written = ('en', *train_languages)
train_files = dict(
    path=[f'{task1}/raw/{split}.{code}.gz' for split in ('train', 'val') for code in written],
    what="Multi30K's task 1, to tune and to select on",
    get=f'git clone https://github.com/multi30k/dataset {root}',
    layout='the repository: data/task1/raw, data/task1/image_splits',
    phases=['train'],
)
test_files = dict(
    path=[f'{task1}/raw/{split}.{code}.gz' for split, languages in in_split.items() for code in ('en', *languages)],
    what="Multi30K's tests of 2016, 2017 and 2018",
    get=f'git clone https://github.com/multi30k/dataset {root}',
    layout='the repository: data/task1/raw, data/task1/image_splits',
    phases=['test'],
)
image_files = dict(
    path=f'{images}/flickr30k-images', what='the images of Flickr30k', get=get_flickr30k, layout='1007129816.jpg, ...'
)
test_images = dict(
    path=[f'{images}/test_2017-flickr-images', f'{images}/test_2018-flickr-images'],
    what='the images of the tests of 2017 and 2018',
    get='the addresses in the README of https://github.com/multi30k/dataset',
    layout='a folder each, named so',
    phases=['test'],
)
coco_images = dict(
    path=[f'{images}/train2014', f'{images}/val2014'],
    what="COCO's images of 2014, for test_2017_mscoco",
    get=get_coco,
    layout='COCO_train2014_000000117071.jpg, ...',
    phases=['test'],
)
required_files = [*required_weights, start_file, train_files, test_files, image_files, test_images, coco_images]
