"""Arm of weak_pairs.py: no mismatched texts among the negatives of the fused contrast."""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

for name in ('xvtcl', 'rxvtcl'):
    model['objectives'][name].update(mismatched_negatives=False)
