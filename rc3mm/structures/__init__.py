"""What travels between datasets, models and metrics."""

from rc3mm.structures.draw import Draw
from rc3mm.structures.regions import Regions, RegionsError
from rc3mm.structures.visual_form import VisualForm
from rc3mm.structures.visual_tokens import VisualTokens
from rc3mm.structures.vl_data_sample import VLDataSample

__all__ = ['Draw', 'Regions', 'RegionsError', 'VLDataSample', 'VisualForm', 'VisualTokens']
