"""xFlickr&CO, few-shot: the English model, tuned on a few captioned images in another language; selected on English.

Command:  python tools/few_shot.py configs/retrieval/xflickrco_few_shot.py --finetuned work_dirs/xflickrco/best_*.pth
          (all languages, sizes and learning rates; a single run: tools/train.py with this config)
Result:   none yet.

    data/iglue/xFlickrCO/annotations/{de,es,id,ja,ru,tr,zh}/train_{1,5,10,25,50,100}.jsonl
    weights/rc3_base_flickr30k.pth          the English model, unless --finetuned names another
"""

from mmengine.config import read_base

with read_base():
    from .xflickrco import *

language, shots = 'de', 100
load_from = f'{weights_root}/rc3_base_flickr30k.pth'

few = dict(xflickrco, split='train', shots=shots, languages=(language,), pipeline=tune_pipeline)
train_dataloader['dataset']['sources'] = dict(retrieval=few)
train_dataloader['sampler'].update(batch_size=4)
test_dataloader = dict(dataset=dict(xflickrco, languages=(language,)), **eval_loader)
test_cfg = dict(rank, setting='few-shot, from the English model')
test_evaluator = [dict(type=RetrievalMetric)]

# 20 epochs of 100 captioned images in batches of 4: 20 * 25
max_iters, epoch = 500, 25
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=5e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=max_iters)

# what tools/few_shot.py goes through; one image alone has no wrong text, so the smallest set is left out
few_shot = dict(
    source='retrieval',
    languages=['de', 'es', 'id', 'ja', 'ru', 'tr', 'zh'],
    shots=[5, 10, 25, 50, 100],
    epochs=20,
    learning_rates=[1e-4, 5e-5, 1e-5],
    select='retrieval/en/itm_mean_R@1',
    tested=['test_dataloader.dataset'],  # the datasets whose language is that of the shots
    metrics={'IR R@1': 'retrieval/{}/itm_t2i_R@1', 'TR R@1': 'retrieval/{}/itm_i2t_R@1'},
)

start_file.update(
    path=load_from,
    what='RC3 tuned on English Flickr30k',
    get='configs/retrieval/xflickrco.py trains it; --finetuned of tools/few_shot.py names it',
)
targets, sizes = few_shot['languages'], few_shot['shots']
train_files.update(
    path=[
        f'{flickr_annotations}/valid_ann.jsonl',
        *(f'{xflickrco_annotations}/{code}/train_{n}.jsonl' for code in targets for n in sizes),
    ],
    what='Flickr30k in English to select on, and the few-shot sets',
)
test_files.update(path=[f'{xflickrco_annotations}/{code}/test.jsonl' for code in targets], what='xFlickr&CO')
coco_images.update(phases=['train', 'test'])
required_files = [*required_weights, start_file, train_files, test_files, image_files, coco_images]
