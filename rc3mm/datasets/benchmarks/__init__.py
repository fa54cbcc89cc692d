"""Published benchmarks: readers, datasets, and what a test set is checked for before a number is made of it."""

from rc3mm.datasets.benchmarks.audit import Audit, Finding, UnexpectedDataError, audit, audit_dataset, refuse_unknown
from rc3mm.datasets.benchmarks.base import AnswerBenchmark, BenchmarkDataset
from rc3mm.datasets.benchmarks.flickr import Flickr30k, XFlickrCO
from rc3mm.datasets.benchmarks.gqa import GQA, XGQA
from rc3mm.datasets.benchmarks.known import Expected, expected_counts
from rc3mm.datasets.benchmarks.mscoco import MSCOCORetrieval
from rc3mm.datasets.benchmarks.multi30k import Multi30kRetrieval, Multi30kTranslation
from rc3mm.datasets.benchmarks.nlvr2 import NLVR2, MaRVL
from rc3mm.datasets.benchmarks.pick_caption import PickCaption
from rc3mm.datasets.benchmarks.reading import AnnotationError
from rc3mm.datasets.benchmarks.retrieval import RetrievalBenchmark
from rc3mm.datasets.benchmarks.wit import WITRetrieval
from rc3mm.datasets.benchmarks.xvnli import XVNLI

__all__ = [
    'GQA',
    'NLVR2',
    'XGQA',
    'XVNLI',
    'AnnotationError',
    'AnswerBenchmark',
    'Audit',
    'BenchmarkDataset',
    'Expected',
    'Finding',
    'Flickr30k',
    'MSCOCORetrieval',
    'MaRVL',
    'Multi30kRetrieval',
    'Multi30kTranslation',
    'PickCaption',
    'RetrievalBenchmark',
    'UnexpectedDataError',
    'WITRetrieval',
    'XFlickrCO',
    'audit',
    'audit_dataset',
    'expected_counts',
    'refuse_unknown',
]
