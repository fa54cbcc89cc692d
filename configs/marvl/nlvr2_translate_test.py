"""MaRVL, translate-test: the English model, asked in English that a machine made of id sw ta tr zh.

Command:  python tools/test.py configs/marvl/nlvr2_translate_test.py work_dirs/nlvr2/best_*.pth
          (tools/train.py with this config trains what nlvr2.py does)
Result:   none yet.

    data/iglue/marvl/zero_shot/annotations_machine-translate/marvl-{id,sw,ta,tr,zh}_gmt.jsonl
"""

from mmengine.config import read_base

with read_base():
    from .nlvr2 import *

test_dataloader = dict(dataset=dict(marvl, translate_test=True), **eval_loader)
test_cfg = dict(predict, setting='translate-test, tuned and selected on English')
test_evaluator = [dict(type=ClassificationMetric)]

test_files.update(
    path=[f'{iglue}/marvl/zero_shot/annotations_machine-translate/marvl-{code}_gmt.jsonl' for code in languages],
    what='MaRVL, translated into English by a machine',
)
image_files.update(phases=['train'])
required_files = [*required_weights, start_file, train_files, test_files, image_files, marvl_images]
