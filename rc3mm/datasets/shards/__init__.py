"""Image-text shards: Parquet files with texts in many languages, their images and the relevance of their pairs."""

from rc3mm.datasets.shards.drops import DropLimitError, DropReport
from rc3mm.datasets.shards.record import ImageTextRecord, RecordError
from rc3mm.datasets.shards.relevance import RelevanceScores
from rc3mm.datasets.shards.relevance_writer import RelevanceWriter
from rc3mm.datasets.shards.shard_set import ShardSet
from rc3mm.datasets.shards.writer import ShardWriter

__all__ = [
    'DropLimitError',
    'DropReport',
    'ImageTextRecord',
    'RecordError',
    'RelevanceScores',
    'RelevanceWriter',
    'ShardSet',
    'ShardWriter',
]
