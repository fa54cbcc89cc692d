"""Arm of weak_pairs.py: relevance as the target probability of the own pair, in place of the band."""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

model['objectives']['rxvtcl']['regularizer'] = dict(type=SoftTargetRegularizer)
