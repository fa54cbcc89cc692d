"""xGQA, few-shot: the English model, tuned on the questions about a few images; selected on that language's dev set.

Command:  python tools/few_shot.py configs/xgqa/gqa_few_shot.py --finetuned work_dirs/gqa/best_*.pth
          (all languages, sizes and learning rates; a single run: tools/train.py with this config)
Result:   none yet.

    data/iglue/xGQA/annotations/few_shot/{bn,de,id,ko,pt,ru,zh}/{train_{1,5,10,20,25,48},dev,test}.json
    weights/rc3_base_gqa.pth                the English model, unless --finetuned names another
"""

from mmengine.config import read_base

with read_base():
    from .gqa import *

language, shots = 'de', 48
load_from = f'{weights_root}/rc3_base_gqa.pth'

train_dataloader['dataset']['sources'] = dict(gqa=dict(xgqa, split='train', shots=shots, languages=(language,)))
train_dataloader['sampler'].update(batch_size=16)
val_dataloader['dataset'] = dict(xgqa, split='dev', languages=(language,))
test_dataloader['dataset'].update(languages=(language,))
test_cfg.update(setting='few-shot, from the English model')

# 20 epochs of 1,490 questions about 48 images in batches of 16: 20 * 94
max_iters, epoch = 1880, 94
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=5e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=max_iters, save_best=f'answers/{language}/accuracy')

# what tools/few_shot.py goes through
few_shot = dict(
    source='gqa',
    languages=['bn', 'de', 'id', 'ko', 'pt', 'ru', 'zh'],
    shots=[1, 5, 10, 20, 25, 48],
    epochs=20,
    learning_rates=[1e-4, 5e-5, 1e-5],
    select='answers/{}/accuracy',
    tested=['val_dataloader.dataset', 'test_dataloader.dataset'],  # datasets whose language is that of the shots
    metrics={'accuracy': 'answers/{}/accuracy'},
)

start_file.update(
    path=load_from,
    what='RC3 tuned on English GQA',
    get='configs/xgqa/gqa.py trains it; --finetuned of tools/few_shot.py names it',
)
folder, targets = f'{xgqa_annotations}/few_shot', few_shot['languages']
stems = ['dev', *(f'train_{n}' for n in few_shot['shots'])]
train_files.update(
    path=[f'{folder}/{code}/{stem}.json' for code in targets for stem in stems],
    what='the few-shot sets of xGQA and what is selected on',
    get=get_iglue,
    layout='question id -> record with question, imageId, answer',
)
test_files.update(path=[f'{folder}/{code}/test.json' for code in targets])
required_files = [*required_weights, start_file, label_files, train_files, test_files, image_files]
