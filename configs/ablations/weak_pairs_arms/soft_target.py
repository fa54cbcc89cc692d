"""Arm of weak_pairs.py: relevance as the target probability of the own pair, in place of the band.

Command:  python tools/train.py configs/ablations/weak_pairs_arms/soft_target.py
          (all arms, tests and the table: python tools/ablate.py configs/ablations/weak_pairs.py --jobs 2)
"""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

model['objectives']['rxvtcl']['regularizer'] = dict(type=SoftTargetRegularizer)
