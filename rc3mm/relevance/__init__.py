"""Textual relevance: how much two texts of an image say the same."""

from rc3mm.relevance.calibration import Calibration
from rc3mm.relevance.sentence_id import SentenceIDRelevance
from rc3mm.relevance.words import words

__all__ = ['Calibration', 'SentenceIDRelevance', 'words']
