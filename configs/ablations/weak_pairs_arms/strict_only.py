"""Arm of weak_pairs.py: strict pairs alone, as many steps of the same size.

Command:  python tools/train.py configs/ablations/weak_pairs_arms/strict_only.py
          (all arms, tests and the table: python tools/ablate.py configs/ablations/weak_pairs.py --jobs 2)
"""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

train_dataloader['sampler']['ratios'] = dict(strict=1.0, weak=0.0)
