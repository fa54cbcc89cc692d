"""Region features in the tables of bottom-up attention."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rc3mm.datasets.line_index import LineIndex
from rc3mm.datasets.roi.record import Background, RoiRecordError, as_array, make_regions
from rc3mm.datasets.roi.shard import hash_id
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions

__all__ = ['BottomUpTsv']

_COLUMNS = ('image_id', 'image_w', 'image_h', 'num_boxes', 'boxes', 'features')
_HEAD = 256  # bytes of a line in which its id is looked for first


class _Lines(LineIndex):
    def head(self, index: int, length: int) -> bytes:
        """The first bytes of a line."""
        record = self._record(index)
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        return os.pread(self._descriptor, min(length, int(record['length'])), int(record['offset']))


@DATASETS.register_module()
class BottomUpTsv:
    """Regions by image id; one image a line, arrays as base64 of float32, fields separated by tabs, no header.

    The first reading makes an index of the lines beside the file; the ids take 12 bytes a line of memory. For many
    millions of images convert the file to a store.

    Args:
        path: the file.
        columns: names of the fields in their order. Used are `image_id`, `image_w`, `image_h`, `num_boxes`, `boxes`,
            `features`, and, where they are there, `objects_conf` and `cls_prob`; others are passed over.
        feature_dim: what the features' width must be; None for any.
        background: which column of `cls_prob` is the background; the detectors of these files put it first.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an id comes twice, or `columns` lacks one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        columns: Sequence[str] = _COLUMNS,
        feature_dim: int | None = None,
        background: Background = 'first',
    ) -> None:
        missing = [name for name in _COLUMNS if name not in columns]
        if missing:
            raise ValueError(f'columns of {path} lack {", ".join(missing)}')
        self.columns = tuple(columns)
        self.feature_dim = feature_dim
        self.background = background
        self._lines = _Lines(path)
        self._id_column = self.columns.index('image_id')
        hashes = np.fromiter((hash_id(image_id) for image_id in self.ids()), np.uint64, len(self._lines))
        order = np.argsort(hashes, kind='stable')
        self._hashes, self._order = hashes[order], order.astype(np.uint32)
        self._refuse_duplicates()

    def __len__(self) -> int:
        """Images."""
        return len(self._lines)

    def __contains__(self, image_id: object) -> bool:
        return self._find(image_id) is not None

    def ids(self) -> Iterator[str]:
        """The ids of all images, in the order of the lines."""
        return (self._id(index) for index in range(len(self._lines)))

    def get(self, image_id: str) -> Regions:
        """The regions of an image.

        Raises:
            KeyError: there are none.
            RoiRecordError: the line cannot be used.
        """
        index = self._find(image_id)
        if index is None:
            example = self._id(0) if len(self) else ''
            raise KeyError(
                f'{self._lines.path}: no line of image {image_id!r} among {len(self):,}, whose ids look like '
                f'{example!r}; extract this image too, or see that the data use the ids of the file'
            )
        where = f'{self._lines.path}, line {self._lines.number(index)}, image {image_id!r}'
        fields = self._lines.line(index).split(b'\t')
        if len(fields) != len(self.columns):
            raise RoiRecordError(
                where,
                'a line of another length',
                f'{len(fields)} fields, expected {len(self.columns)} (cut short?): {", ".join(self.columns)}',
            )
        record: dict[str, Any] = dict(zip(self.columns, fields, strict=True))
        height, width, count = (_number(record, name, where) for name in ('image_h', 'image_w', 'num_boxes'))
        boxes = as_array(record, ('boxes',), where)
        if boxes is not None and boxes.size != 4 * count:
            raise RoiRecordError(
                where, 'shapes that do not agree', f'boxes have {boxes.size} numbers, num_boxes says {count}'
            )
        return make_regions(
            where,
            as_array(record, ('features',), where),
            boxes,
            (height, width),
            scores=as_array(record, ('objects_conf',), where),
            class_probs=as_array(record, ('cls_prob',), where),
            background=self.background,
            feature_dim=self.feature_dim,
        )

    def _id(self, index: int) -> str:
        field = self._lines.head(index, _HEAD).split(b'\t')[: self._id_column + 2]
        if len(field) < self._id_column + 2:  # the end of the id was not seen
            field = self._lines.line(index).split(b'\t')
        try:
            return field[self._id_column].decode()
        except (IndexError, UnicodeDecodeError) as error:
            where = f'{self._lines.path}, line {self._lines.number(index)}'
            raise ValueError(f'{where}: it has no image_id; is this a table of regions? Remove the line') from error

    def _find(self, image_id: object) -> int | None:
        if not isinstance(image_id, str):
            return None
        wanted = np.uint64(hash_id(image_id))
        for place in range(int(self._hashes.searchsorted(wanted)), len(self._hashes)):
            if self._hashes[place] != wanted:
                break
            if self._id(int(self._order[place])) == image_id:
                return int(self._order[place])
        return None

    def _refuse_duplicates(self) -> None:
        for place in np.flatnonzero(self._hashes[1:] == self._hashes[:-1]).tolist():
            one, other = (int(self._order[place + step]) for step in (0, 1))
            if self._id(one) == self._id(other):
                raise ValueError(
                    f'{self._lines.path}: image {self._id(one)!r} comes twice, in lines {self._lines.number(one)} and '
                    f'{self._lines.number(other)}; remove one of them'
                )


def _number(record: dict[str, Any], name: str, where: str) -> int:
    try:
        return int(record[name])
    except ValueError as error:
        raise RoiRecordError(
            where,
            'a field that is no number',
            f'{name} is {record[name][:20]!r}; see `columns` for the order of fields',
        ) from error
