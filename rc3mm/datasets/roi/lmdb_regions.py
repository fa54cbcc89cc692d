"""What the readers of LMDB files of regions have in common."""

from abc import abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar

from rc3mm.datasets.roi.lmdb_file import LmdbFile
from rc3mm.datasets.roi.record import Background
from rc3mm.structures.regions import Regions

__all__ = ['LmdbRegions']


class LmdbRegions:
    """Regions by image id; a subclass says how a value is read.

    Args:
        path: the folder of the LMDB, or its file.
        feature_dim: what the features' width must be; None for any.
        background: which column of the class probabilities is the background; the detectors of these files put it
            first.

    Raises:
        FileNotFoundError: there is no such LMDB.
        ValueError: the file was cut short.
    """

    not_ids: ClassVar[Collection[bytes]]  # keys that are no images

    def __init__(self, path: str | Path, *, feature_dim: int | None = None, background: Background = 'first') -> None:
        self.feature_dim = feature_dim
        self.background = background
        self._file = LmdbFile(path, not_ids=self.not_ids)

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
        data = self._file.get(image_id)
        if data is None:
            raise self._file.unknown(image_id)
        return self._read(data, f'{self._file.path}, key {image_id!r}')

    @abstractmethod
    def _read(self, data: bytes, where: str) -> Regions:
        """The regions that a value holds; `where` names it in messages."""
