"""Region features in the LMDB files of VOLTA and IGLUE."""

from collections.abc import Iterator
from pathlib import Path

from rc3mm.datasets.roi.lmdb_file import LmdbFile
from rc3mm.datasets.roi.record import Background, RoiRecordError, as_array, as_size, make_regions
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions
from rc3mm.utils.safe_pickle import UnsafePickleError, loads_plain

__all__ = ['VoltaLmdb']


@DATASETS.register_module()
class VoltaLmdb:
    """Regions by image id; the value of an id is a pickled dictionary, read without executing anything.

    Both kinds are read: raw arrays (made from HDF5), and arrays as base64 of float32 (made from .npy files). Entries:
    `features`, `boxes` (x1, y1, x2, y2 in pixels), `img_h` and `img_w` (or `image_h`, `image_w`), and, where they are
    there, `obj_conf` (or `objects_conf`) and `cls_prob`. The key `keys` is no image.

    Args:
        path: the folder of the LMDB, or its file.
        feature_dim: what the features' width must be; None for any.
        background: which column of `cls_prob` is the background; the detectors of these files put it first.

    Raises:
        FileNotFoundError: there is no such LMDB.
        ValueError: the file was cut short.
    """

    def __init__(self, path: str | Path, *, feature_dim: int | None = None, background: Background = 'first') -> None:
        self.feature_dim = feature_dim
        self.background = background
        self._file = LmdbFile(path, not_ids={b'keys'})

    def __len__(self) -> int:
        """Images."""
        return len(self._file)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._file

    def ids(self) -> Iterator[str]:
        """All ids, in the order of their bytes."""
        return self._file.ids()

    def get(self, image_id: str) -> Regions:
        """The regions of an image.

        Raises:
            KeyError: there are none.
            RoiRecordError: the record cannot be used.
        """
        where = f'{self._file.path}, key {image_id!r}'
        data = self._file.get(image_id)
        if data is None:
            raise self._file.unknown(image_id)
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
