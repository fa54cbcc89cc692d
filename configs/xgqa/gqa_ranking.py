"""xGQA, answers ranked: as gqa.py, but a decoder tells how likely each of the 1,842 answers is as text.

Command:  python tools/train.py configs/xgqa/gqa_ranking.py
          python tools/test.py configs/xgqa/gqa_ranking.py work_dirs/gqa_ranking/best_*.pth
          (all answers in full instead of the 128 with the likeliest first token: --cfg-options model.top_k=None)
Machine:  one GPU of 80 GB. Time: not measured.
Result:   not measured. docs/tasks/xgqa.md says what differs from gqa.py, and what it costs.
"""

from mmengine.config import read_base

with read_base():
    from .gqa import *

from rc3mm.datasets.benchmarks.gqa import read_answer_labels
from rc3mm.models import TextDecoder, VLAnswerRanker

model = dict(
    type=VLAnswerRanker,
    decoder=dict(type=TextDecoder, depth=6, heads=12, dropout=0.1),  # as the fusion head, whose weights it starts from
    tokenizer=tokenizer,
    answers=dict(type=read_answer_labels, folder=gqa_annotations),
    top_k=128,  # ALBEF's and CCLM's
    **backbone,
)

label_files.update(what='the 1,842 answers in label order')
required_files = [*required_weights, start_file, label_files, train_files, test_files, image_files]
