"""Arm of weak_pairs.py: the band with the true relevance, which no real corpus knows: the upper bound."""

from mmengine.config import read_base

with read_base():
    from ..weak_pairs import *

train_dataloader['dataset']['sources']['weak']['pipeline'] = [regions, tokenize, dict(type=KnownRelevance), pack]
