"""Arm of weak_pairs.py: weak pairs taken for strict ones."""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

model['objectives']['rxvtcl']['regularizer'] = dict(type=NoRegularizer)
