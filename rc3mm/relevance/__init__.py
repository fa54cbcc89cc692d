"""Textual relevance: how much two texts of an image say the same."""

from rc3mm.relevance.base import CalibrationPairs, Pair, RelevanceScorer, Text
from rc3mm.relevance.calibration import Calibration
from rc3mm.relevance.precomputed import PrecomputedRelevance
from rc3mm.relevance.sentence_id import SentenceIDRelevance
from rc3mm.relevance.sentence_transformer import SentenceTransformerRelevance
from rc3mm.relevance.words import words

__all__ = [
    'Calibration',
    'CalibrationPairs',
    'Pair',
    'PrecomputedRelevance',
    'RelevanceScorer',
    'SentenceIDRelevance',
    'SentenceTransformerRelevance',
    'Text',
    'words',
]
