"""Arm of weak_pairs.py: no mismatched texts among the negatives of the fused contrast.

Command:  python tools/train.py configs/ablations/weak_pairs_arms/no_mismatched_texts.py
          (all arms, tests and the table: python tools/ablate.py configs/ablations/weak_pairs.py --jobs 2)
"""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

for name in ('xvtcl', 'rxvtcl'):
    model['objectives'][name].update(mismatched_negatives=False)
