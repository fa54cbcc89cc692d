"""Region features of two-stage detectors; mmdet and mmcv are imported when a detector is built, not before."""

from rc3mm.models.detectors.extractor import RoiExtractor
from rc3mm.models.detectors.input_scale import InputScale
from rc3mm.models.detectors.region_tensors import RegionTensors

__all__ = ['InputScale', 'RegionTensors', 'RoiExtractor']
