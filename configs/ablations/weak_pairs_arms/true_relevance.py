"""Arm of weak_pairs.py: the band with the true relevance, which no real corpus knows: the upper bound.

Command:  python tools/train.py configs/ablations/weak_pairs_arms/true_relevance.py
          (all arms, tests and the table: python tools/ablate.py configs/ablations/weak_pairs.py --jobs 2)
"""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

train_dataloader['dataset']['sources']['weak']['pipeline'] = [regions, tokenize, dict(type=KnownRelevance), pack]
