"""MaRVL, few-shot: the English model, tuned on a few concepts in id, tr or zh; selected on English NLVR2.

Command:  python tools/few_shot.py configs/marvl/nlvr2_few_shot.py --finetuned work_dirs/nlvr2/best_*.pth
          (all languages, sizes and learning rates; a single run: tools/train.py with this config)
Result:   none yet.

    data/
        iglue/marvl/few_shot/annotations/marvl-{id,tr,zh}_train{1,2,4,10,10x2}.jsonl
        images/marvl_fewshot/{id,tr,zh}/all/52-n-2.jpg
    weights/rc3_base_nlvr2.pth              the English model, unless --finetuned names another
"""

from mmengine.config import read_base

with read_base():
    from .nlvr2 import *

language, shots = 'zh', 10
load_from = f'{weights_root}/rc3_base_nlvr2.pth'

train_dataloader['dataset']['sources'] = dict(nlvr2=dict(marvl, split='train', shots=shots, languages=(language,)))
train_dataloader['sampler'].update(batch_size=8, length_pool=1)
test_dataloader = dict(dataset=dict(marvl, languages=(language,)), **eval_loader)
test_cfg = dict(predict, setting='few-shot, from the English model')
test_evaluator = [dict(type=ClassificationMetric)]

# 20 epochs of 40 sentences about 10 concepts in batches of 8: 20 * 5
max_iters, epoch = 100, 5
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=5e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=max_iters)

# what tools/few_shot.py goes through
few_shot = dict(
    source='nlvr2',
    languages=['id', 'tr', 'zh'],
    shots=[1, 2, 4, 10, '10x2'],
    epochs=20,
    learning_rates=[1e-4, 5e-5, 1e-5],
    select='answers/en/accuracy',
    tested=['test_dataloader.dataset'],  # the datasets whose language is that of the shots
    metrics={'accuracy': 'answers/{}/accuracy', 'consistency': 'answers/{}/consistency'},
)

start_file.update(
    path=load_from,
    what='RC3 tuned on English NLVR2',
    get='configs/marvl/nlvr2.py trains it; --finetuned of tools/few_shot.py names it',
)
few, targets = f'{iglue}/marvl/few_shot/annotations', few_shot['languages']
train_files.update(
    path=[
        f'{nlvr2_annotations}/dev.jsonl',
        *(f'{few}/marvl-{a}_train{n}.jsonl' for a in targets for n in few_shot['shots']),
    ],
    what='NLVR2 in English to select on, and the few-shot sets of MaRVL',
    layout='see configs/marvl/nlvr2.py; left_img and right_img of few-shot sets carry a folder',
)
test_files.update(path=[f'{marvl_annotations}/marvl-{code}.jsonl' for code in targets], what='MaRVL')
image_files.update(phases=['train'])
few_images = dict(
    path=f'{images}/marvl_fewshot',
    what='the images of the few-shot sets, which are not those of the test',
    get="https://marvl-challenge.github.io/download, or IGLUE's README",
    layout='zh/all/52-n-2.jpg, ...',
    phases=['train'],
)
required_files = [*required_weights, start_file, train_files, test_files, image_files, marvl_images, few_images]
