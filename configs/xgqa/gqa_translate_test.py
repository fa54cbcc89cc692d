"""xGQA, translate-test: the English model, asked in English that a machine made of bn de id ko pt ru zh.

Command:  python tools/test.py configs/xgqa/gqa_translate_test.py work_dirs/gqa/best_*.pth
          (tools/train.py with this config trains what gqa.py does)
Result:   none yet.

    data/iglue/xGQA/annotations_machine-translate/few_shot/{bn,de,id,ko,pt,ru,zh}/test_gmt.json
"""

from mmengine.config import read_base

with read_base():
    from .gqa import *

others = ('bn', 'de', 'id', 'ko', 'pt', 'ru', 'zh')
test_dataloader['dataset'].update(languages=others, translate_test=True)
test_cfg.update(setting='translate-test, tuned and selected on English')

test_files.update(
    path=[f'{iglue}/xGQA/annotations_machine-translate/few_shot/{language}/test_gmt.json' for language in others],
    what="xGQA's test sets, translated into English by a machine",
)
required_files = [*required_weights, start_file, label_files, train_files, test_files, image_files]
