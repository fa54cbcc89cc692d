"""WIT, translate-test: the English model, searching by English that a machine made of ten languages.

Command:  python tools/test.py configs/retrieval/wit_translate_test.py work_dirs/wit/best_*.pth
          (tools/train.py with this config trains what wit.py does)
Result:   none yet.

    data/iglue/wit/annotations_machine-translate/test_{ar,bg,da,el,et,id,ja,ko,tr,vi}_gmt.jsonl
"""

from mmengine.config import read_base

with read_base():
    from .wit import *

setting = 'translate-test, tuned and selected on English'
test_dataloader = {
    code: dict(dataset=dict(wit, split='test', languages=(code,), translate_test=True), **eval_loader)
    for code in others
}
parts = {code: dict(rank, setting=setting) for code in others}
test_cfg = dict(type=EvaluationSuite, parts=parts, means=means, setting=setting)
test_evaluator = {code: [dict(type=RetrievalMetric)] for code in others}

test_files.update(
    path=[f'{iglue}/wit/annotations_machine-translate/test_{code}_gmt.jsonl' for code in others],
    what='WIT, translated into English by a machine',
)
required_files = [*required_weights, start_file, train_files, test_files, image_files]
