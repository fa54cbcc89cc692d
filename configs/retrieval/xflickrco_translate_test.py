"""xFlickr&CO, translate-test: the English model, searching by English that a machine made of seven languages.

Command:  python tools/test.py configs/retrieval/xflickrco_translate_test.py work_dirs/xflickrco/best_*.pth
          (tools/train.py with this config trains what xflickrco.py does)
Result:   none yet.

    data/iglue/xFlickrCO/annotations_machine-translate/{de,es,id,ja,ru,tr,zh}/test_gmt.jsonl
"""

from mmengine.config import read_base

with read_base():
    from .xflickrco import *

others = ('de', 'es', 'id', 'ja', 'ru', 'tr', 'zh')
test_dataloader = dict(dataset=dict(xflickrco, languages=others, translate_test=True), **eval_loader)
test_cfg = dict(rank, setting='translate-test, tuned and selected on English')
test_evaluator = [dict(type=RetrievalMetric)]

test_files.update(
    path=[f'{iglue}/xFlickrCO/annotations_machine-translate/{code}/test_gmt.jsonl' for code in others],
    what='xFlickr&CO, translated into English by a machine',
)
required_files = [*required_weights, start_file, train_files, test_files, image_files, coco_images]
