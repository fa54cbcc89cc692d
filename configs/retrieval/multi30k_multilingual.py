"""Multi30K, tuned on all four languages together: an upper mark for the zero-shot model, no zero-shot number.

Command:  python tools/train.py configs/retrieval/multi30k_multilingual.py
          python tools/test.py configs/retrieval/multi30k_multilingual.py work_dirs/multi30k_multilingual/best_*.pth
Result:   none yet.

As multi30k.py. A step shows each image with a caption in a language that is drawn evenly. `train_languages` may also be
the target language alone.
"""

from mmengine.config import read_base

with read_base():
    from .multi30k import *

train_languages = ('en', 'de', 'fr', 'cs')
train_dataloader['dataset']['sources']['retrieval'].update(languages=train_languages)
val_dataloader['dataset'].update(languages=train_languages)
default_hooks['checkpoint'].update(save_best='retrieval/itm_mean_R@1')
test_cfg.update(setting=f'tuned and selected on {" ".join(train_languages)}')

train_files.update(
    path=[
        *(f'{raw2}/{split}.{k}.{a}.gz' for split in ('train', 'val') for a in ('en', 'de') for k in (1, 2, 3, 4, 5)),
        *(f'{raw1}/{split}.{code}.gz' for split in ('train', 'val') for code in ('fr', 'cs')),
    ],
    what="Multi30K's captions in four languages, to tune and to select on",
)
required_files = [*required_weights, start_file, train_files, test_files, image_files]
