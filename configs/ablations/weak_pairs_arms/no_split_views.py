"""Arm of weak_pairs.py: both texts of an image see it in the same form; regions and patches as often as before.

Command:  python tools/train.py configs/ablations/weak_pairs_arms/no_split_views.py
          (all arms, tests and the table: python tools/ablate.py configs/ablations/weak_pairs.py --jobs 2)
"""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

model.update(form_probs=dict(roi=0.3, patch=0.7, both=0.0, split=0.0))
