"""XVNLI, few-shot: the English model, tuned on a few images in another language; selected on English.

Command:  python tools/few_shot.py configs/xvnli/xvnli_few_shot.py --finetuned work_dirs/xvnli/best_*.pth
          (all languages, sizes and learning rates; a single run: tools/train.py with this config)
Result:   none yet.

    data/iglue/XVNLI/annotations/{ar,es,fr,ru}/train_{1,5,10,20,25,48}.jsonl
    weights/rc3_base_xvnli.pth              the English model, unless --finetuned names another
"""

from mmengine.config import read_base

with read_base():
    from .xvnli import *

language, shots = 'fr', 5
load_from = f'{weights_root}/rc3_base_xvnli.pth'

train_dataloader['dataset']['sources']['xvnli'].update(shots=shots, languages=(language,))
train_dataloader['sampler'].update(batch_size=16, length_pool=1)
test_dataloader['dataset'].update(languages=(language,))
test_cfg.update(setting='few-shot, from the English model')

# 20 epochs of 18 hypotheses about 5 images in batches of 16: 20 * 2
max_iters, epoch = 40, 2
train_cfg.update(max_iters=max_iters, val_interval=epoch)
optim_wrapper['optimizer'].update(lr=5e-5)
param_scheduler[0].update(end=max_iters // 10)
param_scheduler[1].update(begin=max_iters // 10, end=max_iters)
default_hooks['checkpoint'].update(interval=max_iters)

# what tools/few_shot.py goes through
few_shot = dict(
    source='xvnli',
    languages=['ar', 'es', 'fr', 'ru'],
    shots=[1, 5, 10, 20, 25, 48],
    epochs=20,
    learning_rates=[1e-4, 5e-5, 1e-5],
    select='answers/en/accuracy',
    tested=['test_dataloader.dataset'],  # the datasets whose language is that of the shots
    metrics={'accuracy': 'answers/{}/accuracy', 'accuracy (labelled)': 'answers/{}/accuracy_labelled'},
)

start_file.update(
    path=load_from,
    what='RC3 tuned on English XVNLI',
    get='configs/xvnli/xvnli.py trains it; --finetuned of tools/few_shot.py names it',
)
languages, sizes = few_shot['languages'], few_shot['shots']
train_files.update(
    path=[f'{annotations}/en/dev.jsonl', *(f'{annotations}/{a}/train_{n}.jsonl' for a in languages for n in sizes)],
    what="XVNLI's English part to select on, and the few-shot sets",
)
test_files.update(path=[f'{annotations}/{code}/test.jsonl' for code in languages])
required_files = [*required_weights, start_file, train_files, test_files, image_files]
