"""XVNLI, translate-test: the English model, asked in English that a machine made of ar es fr ru.

Command:  python tools/test.py configs/xvnli/xvnli_translate_test.py work_dirs/xvnli/best_*.pth
          (tools/train.py with this config trains what xvnli.py does)
Result:   none yet.

    data/iglue/XVNLI/annotations_machine-translate/{ar,es,fr,ru}/test.jsonl
"""

from mmengine.config import read_base

with read_base():
    from .xvnli import *

others = ('ar', 'es', 'fr', 'ru')
test_dataloader['dataset'].update(languages=others, translate_test=True)
test_cfg.update(setting='translate-test, tuned and selected on English')

test_files.update(
    path=[f'{iglue}/XVNLI/annotations_machine-translate/{language}/test.jsonl' for language in others],
    what="XVNLI's test sets, translated into English by a machine",
)
required_files = [*required_weights, start_file, train_files, test_files, image_files]
