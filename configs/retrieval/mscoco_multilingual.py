"""MSCOCO, tuned on en, ja and zh together: an upper mark for the zero-shot model, no zero-shot number.

Command:  python tools/train.py configs/retrieval/mscoco_multilingual.py
          python tools/test.py configs/retrieval/mscoco_multilingual.py work_dirs/mscoco_multilingual/best_*.pth
Result:   none yet.

As mscoco.py, and data/mscoco/coco-cn-version1805v1.1/coco-cn_train.txt. Selected on en and ja.
"""

from mmengine.config import read_base

with read_base():
    from .mscoco import *

train_languages = ('en', 'ja')  # on Karpathy's images; Chinese has images of its own
tune = dict(mscoco, split='train', pipeline=tune_pipeline)
train_dataloader['dataset']['sources'] = {
    'retrieval/karpathy': dict(tune, languages=train_languages),
    'retrieval/coco_cn': dict(tune, languages=('zh',)),
}
train_dataloader['sampler'].update(temperature=2.0)  # COCO-CN has a sixth of the images
val_dataloader['dataset'].update(languages=train_languages)
default_hooks['checkpoint'].update(save_best='retrieval/itm_mean_R@1')
setting = 'tuned on en ja zh, selected on en ja'
test_cfg.update(parts={name: dict(rank, setting=setting) for name in parts}, setting=setting)

test_files['path'].append(f'{coco_cn}/coco-cn_train.txt')
test_files.update(phases=['train', 'test'])
required_files = [*required_weights, start_file, split_files, test_files, image_files]
