"""xGQA's twin on EmojiScenes, answers ranked: as emoji.py, but a decoder tells how likely each answer is as text.

Command:  python tools/train.py configs/xgqa/emoji_ranking.py
Time:     not measured
Result:   not measured
"""

from mmengine.config import read_base

with read_base():
    from .emoji import *

from rc3mm.datasets.emoji.questions import answer_names
from rc3mm.models import TextDecoder, VLAnswerRanker

work_dir = 'work_dirs/xgqa_emoji_ranking'
model = dict(
    type=VLAnswerRanker,
    decoder=dict(type=TextDecoder, depth=2, heads=4, mlp_ratio=2),  # as the fusion head, whose weights it starts from
    tokenizer=tokenizer,
    answers=dict(type=answer_names, level=world['level'], num_concepts=world['num_concepts']),
    top_k=32,  # of 110
    **backbone,
)
