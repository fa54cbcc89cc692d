"""Region features from one .npz file an image."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rc3mm.datasets.roi.record import Background, RoiRecordError, as_array, make_regions
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

    def __len__(self) -> int:
        """Images; the folder is searched each time."""
        return sum(1 for _ in self.root.rglob('*.npz'))

    def __contains__(self, image_id: object) -> bool:
        return isinstance(image_id, str) and self._path(image_id).is_file()

    def ids(self) -> Iterator[str]:
        """The ids of all images, sorted folder by folder."""
        return _walk(self.root, '')

    def _path(self, image_id: str) -> Path:
        return self.root / f'{image_id}.npz'

    def get(self, image_id: str) -> Regions:
        """The regions of an image.

        Raises:
            KeyError: there is no file.
            RoiRecordError: the file cannot be used.
        """
        path = self._path(image_id)
        where = str(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in (*_NEEDED, *_OPTIONAL) if key in file.files or key in _NEEDED}
        except FileNotFoundError as error:
            raise KeyError(
                f'no region features at {path}: extract them, correct `root`, or leave the image out'
            ) from error
        except KeyError as error:
            raise RoiRecordError(where, 'a missing entry', f'it needs {", ".join(_NEEDED)} ({error})') from error
        except _UNREADABLE as error:
            raise RoiRecordError(where, 'a file that cannot be read', f'{error}; remove it') from error
        sizes = [arrays[key] for key in ('image_h', 'image_w')]
        if any(size.size != 1 or size.dtype.kind not in 'fiu' or not size > 0 for size in sizes):
            shapes = [size.shape for size in sizes]
            raise RoiRecordError(
                where, 'no image size', f'image_h and image_w must be one positive number each, shapes are {shapes}'
            )
        height, width = (int(size.item()) for size in sizes)
        features, boxes, scores, class_probs = (
            as_array(arrays, (name,), where) for name in ('features', 'boxes', *_OPTIONAL)
        )
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
            (height, width),
            scores=scores,
            class_probs=class_probs,
            background=self.background,
            feature_dim=self.feature_dim,
        )


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _walk(path, f'{prefix}{path.name}/')
        elif path.suffix == '.npz':
            yield prefix + path.stem
