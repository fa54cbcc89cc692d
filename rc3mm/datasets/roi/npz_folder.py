"""Region features from one .npz file an image."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rc3mm.datasets.roi.record import Background, RoiRecordError, as_array, as_size, make_regions
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions

__all__ = ['RoiNpzFolder']

# TypeError: a single array (.npy) under the name of an archive
_UNREADABLE = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
_NEEDED = ('features', 'boxes', 'image_h', 'image_w')
_OPTIONAL = ('scores', 'class_probs')


@DATASETS.register_module()
class RoiNpzFolder:
    """Regions of image `a/b` from `<root>/a/b.npz`.

    Ids never lead out of the root: neither `/a` nor `../a` is one. Links in it are followed, to files and to folders.

    A file holds `features` (R, F), `boxes` (R, 4; x1, y1, x2, y2 in pixels of the image that the detector saw), that
    image's size as `image_h` and `image_w`, and perhaps `scores` (R,) and `class_probs` (R, C + 1).

    Args:
        root: folder of the files.
        feature_dim: what the features' width must be; None for any.
        background: which column of `class_probs` is the background.

    Raises:
        FileNotFoundError: there is no such folder.
    """

    def __init__(self, root: str | Path, *, feature_dim: int | None = None, background: Background = 'last') -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(
                f'there is no folder {self.root} of region features; extract them, or correct `root`'
            )
        self.feature_dim = feature_dim
        self.background = background
        self._example: str | None = None

    def __len__(self) -> int:
        """Images; the folder is searched each time."""
        return sum(1 for _ in self.ids())

    def __contains__(self, image_id: object) -> bool:
        return self._find(image_id) is not None

    def ids(self) -> Iterator[str]:
        """The ids of all images, sorted folder by folder."""
        return _walk(self.root, '', frozenset())

    def _find(self, image_id: object) -> Path | None:
        if not isinstance(image_id, str) or not all(part not in ('', '.', '..') for part in image_id.split('/')):
            return None
        path = self.root / f'{image_id}.npz'
        try:
            return path if path.is_file() else None
        except (OSError, ValueError):  # a name that is too long, or that no file can have
            return None

    def _unknown(self, image_id: object) -> KeyError:
        if self._example is None:  # looked up once, and without listing a folder of millions
            self._example = next(_walk(self.root, '', frozenset(), in_order=False), None)
        return KeyError(
            f'no region features of image {image_id!r} in {self.root}, whose ids look like {self._example!r}: '
            'extract them, correct `root`, or leave the image out'
        )

    def get(self, image_id: str) -> Regions:
        """The regions of an image.

        Raises:
            KeyError: there is no file.
            RoiRecordError: the file cannot be used.
        """
        path = self._find(image_id)
        if path is None:
            raise self._unknown(image_id)
        where = str(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in (*_NEEDED, *_OPTIONAL) if key in file.files or key in _NEEDED}
        except FileNotFoundError as error:
            raise self._unknown(image_id) from error
        except KeyError as error:
            raise RoiRecordError(where, 'a missing entry', f'it needs {", ".join(_NEEDED)} ({error})') from error
        except _UNREADABLE as error:
            raise RoiRecordError(where, 'a file that cannot be read', f'{error}; remove it') from error
        features, boxes, height, width, scores, class_probs = (
            as_array(arrays, (name,), where) for name in (*_NEEDED, *_OPTIONAL)
        )
        assert height is not None and width is not None  # needed, so they are there
        shapes = [None if array is None else array.shape for array in (features, boxes)]
        if features is None or boxes is None or features.ndim != 2 or boxes.shape != (len(features), 4):
            raise RoiRecordError(
                where,
                'shapes that do not agree',
                f'expected features (R, F) and boxes (R, 4), got {shapes[0]} and {shapes[1]}',
            )
        return make_regions(
            where,
            features,
            boxes,
            as_size(height, width, where),
            scores=scores,
            class_probs=class_probs,
            background=self.background,
            feature_dim=self.feature_dim,
        )


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]], in_order: bool = True) -> Iterator[str]:
    """Ids of the files in a folder and below; a link to one of the folders `above` is passed over, it has no end."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda entry: entry.name) if in_order else found:
            # links are looked at by pathlib, which takes those that lead nowhere as they are
            path = Path(entry.path) if entry.is_symlink() else entry
            if path.is_dir():
                yield from _walk(Path(entry.path), f'{prefix}{entry.name}/', above | {here}, in_order)
            elif entry.name.endswith('.npz') and entry.name != '.npz' and path.is_file():
                yield prefix + entry.name.removesuffix('.npz')
