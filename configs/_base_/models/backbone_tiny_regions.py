"""The tiny backbone with the detector of EmojiScenes, which finds the regions while the model runs.

With a few regions in the place of 36 patches a step is shorter, and tasks that ask what is where are learnt sooner.
"""

from mmengine.config import read_base

with read_base():
    from ...detectors.faster_rcnn_emoji import roi_extractor
    from .backbone_tiny import *

backbone.update(roi_extractor=roi_extractor, test_form='roi')
