"""Region features in the LMDB files of VOLTA and IGLUE."""

from rc3mm.datasets.roi.lmdb_regions import LmdbRegions
from rc3mm.datasets.roi.record import RoiRecordError, as_array, as_size, make_regions
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions
from rc3mm.utils.safe_pickle import UnsafePickleError, loads_plain

__all__ = ['VoltaLmdb']


@DATASETS.register_module()
class VoltaLmdb(LmdbRegions):
    """Regions by image id; the value of an id is a pickled dictionary, read without executing anything.

    Both kinds are read: raw arrays (made from HDF5), and arrays as base64 of float32 (made from .npy files). Entries:
    `features`, `boxes` (x1, y1, x2, y2 in pixels), `img_h` and `img_w` (or `image_h`, `image_w`), and, where they are
    there, `obj_conf` (or `objects_conf`) and `cls_prob`. The key `keys` is no image.

    Arguments: see `LmdbRegions`.
    """

    not_ids = frozenset({b'keys'})

    def _read(self, data: bytes, where: str) -> Regions:
        try:
            record = loads_plain(data, where)
        except UnsafePickleError as error:
            raise RoiRecordError(where, 'pickled objects', str(error).removeprefix(f'{where} was refused: ')) from error
        except ValueError as error:
            raise RoiRecordError(where, 'a damaged pickle', str(error).removeprefix(f'{where} ')) from error
        if not isinstance(record, dict):
            raise RoiRecordError(where, 'an entry of another type', f'it is a {type(record).__name__}, no dictionary')
        height, width = (as_array(record, names, where) for names in (('img_h', 'image_h'), ('img_w', 'image_w')))
        if height is None or width is None:
            known = sorted(key for key in record if isinstance(key, str))
            raise RoiRecordError(where, 'a missing entry', f'no img_h and img_w among {known}')
        return make_regions(
            where,
            as_array(record, ('features',), where),
            as_array(record, ('boxes',), where),
            as_size(height, width, where),
            scores=as_array(record, ('obj_conf', 'objects_conf'), where),
            class_probs=as_array(record, ('cls_prob',), where),
            background=self.background,
            feature_dim=self.feature_dim,
        )
