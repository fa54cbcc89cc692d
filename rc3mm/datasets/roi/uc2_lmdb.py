"""Region features in the LMDB files of UC2 (and UNITER, from which it has the layout)."""

import io
import zipfile
import zlib
from typing import Any

import numpy as np

from rc3mm.datasets.roi.lmdb_regions import LmdbRegions
from rc3mm.datasets.roi.record import RoiRecordError, as_array, make_regions
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions
from rc3mm.utils.optional import require

__all__ = ['Uc2Lmdb']

_LZ4, _ZIP = b'\x04\x22\x4d\x18', b'PK\x03\x04'  # how a frame of lz4 and an .npz archive begin


@DATASETS.register_module()
class Uc2Lmdb(LmdbRegions):
    """Regions by image id from folders such as `feat_th0.2_max100_min10[_compressed]` or `feat_numbb36`.

    A value is msgpack with NumPy arrays, or an .npz archive, either perhaps compressed by lz4; which, its first bytes
    tell. Entries: `features`, `norm_bb` (x1, y1, x2, y2, w, h as shares of the image), and, where there, `conf`
    and `soft_labels`. The files do not know the images' sizes, so boxes stay shares and `image_size` is (1, 1).

    Ids are the keys as they are, which often end in `.npz`. The keys `keys` and `__keys__` are no images.

    Arguments: see `LmdbRegions`.
    """

    not_ids = frozenset({b'keys', b'__keys__'})

    def _read(self, data: bytes, where: str) -> Regions:
        record = _unpack(data, where)
        boxes = as_array(record, ('norm_bb',), where)
        if boxes is not None and (boxes.ndim != 2 or boxes.shape[1] < 4):
            raise RoiRecordError(
                where, 'shapes that do not agree', f'norm_bb has the shape {boxes.shape}, expected (n, 6)'
            )
        return make_regions(
            where,
            as_array(record, ('features',), where),
            None if boxes is None else boxes[:, :4],
            (1, 1),
            scores=as_array(record, ('conf',), where),
            class_probs=as_array(record, ('soft_labels',), where),
            background=self.background,
            feature_dim=self.feature_dim,
        )


def _unpack(data: bytes, where: str) -> dict[str, Any]:
    if data.startswith(_LZ4):
        frame = require('lz4.frame', f'reading {where}')
        try:
            data = frame.decompress(data)
        except (RuntimeError, EOFError) as error:
            raise RoiRecordError(where, 'broken lz4', str(error)) from error
    if data.startswith(_ZIP):
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise RoiRecordError(where, 'a broken .npz archive', str(error)) from error
    msgpack = require('msgpack', f'reading {where}')
    try:
        record = msgpack.unpackb(data, object_hook=_array, strict_map_key=False)
    except _ObjectsError as error:
        raise RoiRecordError(
            where, 'pickled objects', f'{error}, which are not read since they can run code'
        ) from error
    except Exception as error:  # as many kinds as there are ways to damage it
        raise RoiRecordError(where, 'broken msgpack', f'{type(error).__name__} {error}'.strip()) from error
    if not isinstance(record, dict):
        raise RoiRecordError(where, 'broken msgpack', f'it holds a {type(record).__name__}, no dictionary')
    return record


class _ObjectsError(Exception):
    """An array of Python objects or records."""


def _array(entry: dict[Any, Any]) -> Any:
    """The array or number that a dictionary of the packer of NumPy arrays stands for, or the dictionary itself."""
    fields = {key.decode() if isinstance(key, bytes) else key: value for key, value in entry.items()}
    if 'nd' not in fields:
        return entry
    kind, code = fields.get('kind', b''), fields.get('type')
    code = code.decode() if isinstance(code, bytes) else code
    if kind not in (b'', '') or not isinstance(code, str) or np.dtype(code).hasobject:
        raise _ObjectsError('it holds Python objects or records')
    values = np.frombuffer(fields['data'], np.dtype(code))
    return values.reshape(fields['shape']) if fields['nd'] else values[0]
