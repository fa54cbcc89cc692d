"""Regions on the disk: the store, and readers of files that others made."""

from rc3mm.datasets.roi.bottom_up_tsv import BottomUpTsv
from rc3mm.datasets.roi.manifest import RoiManifest
from rc3mm.datasets.roi.npz_folder import RoiNpzFolder
from rc3mm.datasets.roi.record import RoiRecordError
from rc3mm.datasets.roi.shard import finished_shards, write_shard
from rc3mm.datasets.roi.source import RoiSource
from rc3mm.datasets.roi.store import RoiStore
from rc3mm.datasets.roi.uc2_lmdb import Uc2Lmdb
from rc3mm.datasets.roi.volta_lmdb import VoltaLmdb
from rc3mm.datasets.roi.writer import begin_store, finish_store

__all__ = [
    'BottomUpTsv',
    'RoiManifest',
    'RoiNpzFolder',
    'RoiRecordError',
    'RoiSource',
    'RoiStore',
    'Uc2Lmdb',
    'VoltaLmdb',
    'begin_store',
    'finish_store',
    'finished_shards',
    'write_shard',
]
