"""Arm of weak_pairs.py: weak pairs taken for strict ones.

Command:  python tools/train.py configs/ablations/weak_pairs_arms/weak_as_strict.py
          (all arms, tests and the table: python tools/ablate.py configs/ablations/weak_pairs.py --jobs 2)
"""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

model['objectives']['rxvtcl']['regularizer'] = dict(type=NoRegularizer)
