"""Arm of weak_pairs.py: strict pairs alone, as many steps of the same size."""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

train_dataloader['sampler']['ratios'] = dict(strict=1.0, weak=0.0)
