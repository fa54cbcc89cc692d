"""Region features from one .npz file an image."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rc3mm.registry import TRANSFORMS

__all__ = ['LoadRoiNpz']

# TypeError: a single array (.npy) under the name of an archive
_UNREADABLE = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
_KEYS = ('features', 'boxes', 'image_h', 'image_w')


@TRANSFORMS.register_module()
class LoadRoiNpz:
    """Load `<root>/<image_id>.npz`, which holds `features`, `boxes`, `image_h` and `image_w`.

    `features` is (R, F); `boxes` is (R, 4), x1, y1, x2, y2 in pixels of the image that the detector saw,
    whose size the other two tell. If `image` is there in another size, the boxes are scaled to it. Boxes
    are clipped to the image.

    Required keys: `image_id`; `image` optional. Added keys: `roi_features` (float32, (R, F)), `roi_boxes`
    (float32, (R, 4)), `image_size` (height, width that the boxes refer to).

    Args:
        root: folder of the files.
        num_regions: the first so many regions of each image are used.

    Raises:
        FileNotFoundError: there is no file for an image.
        ValueError: a file cannot be read, or an array is missing, has another shape or a number that is not
            finite.
    """

    def __init__(self, root: str | Path, num_regions: int = 36) -> None:
        if num_regions < 1:
            raise ValueError(f'num_regions must be at least 1, got {num_regions}')
        self.root = Path(root)
        self.num_regions = num_regions

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Add the sample's regions."""
        path = self.root / f'{sample["image_id"]}.npz'
        arrays = self._read(path)
        height, width = (int(arrays[key]) for key in ('image_h', 'image_w'))
        boxes = arrays['boxes'][: self.num_regions].astype(np.float32)
        if 'image' in sample:
            shown_height, shown_width = sample['image'].shape[:2]
            boxes *= np.array([shown_width / width, shown_height / height] * 2, dtype=np.float32)
            height, width = shown_height, shown_width
        sample['roi_boxes'] = np.clip(boxes, 0, np.array([width, height] * 2, dtype=np.float32))
        sample['roi_features'] = arrays['features'][: self.num_regions].astype(np.float32)
        sample['image_size'] = (height, width)
        return sample

    @staticmethod
    def _read(path: Path) -> dict[str, np.ndarray]:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in _KEYS}
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'no region features at {path}: extract them, correct `root` of LoadRoiNpz, '
                'or take LoadRoiNpz out of the pipeline and use the visual form `patch`'
            ) from error
        except KeyError as error:
            raise ValueError(f'{path} lacks an array: it needs {", ".join(_KEYS)} ({error})') from error
        except _UNREADABLE as error:
            raise ValueError(f'{path} cannot be read ({error}): remove it and extract its features anew') from error
        _check(path, arrays)
        return arrays


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Raise a ValueError that says what is wrong with the arrays."""
    features, boxes = arrays['features'], arrays['boxes']
    shapes = {key: arrays[key].shape for key in _KEYS}
    if features.ndim != 2 or len(features) == 0 or boxes.shape != (len(features), 4):
        raise ValueError(f'{path}: expected features (R, F) and boxes (R, 4) with R > 0, got {shapes}')
    if any(arrays[key].size != 1 or not arrays[key] > 0 for key in ('image_h', 'image_w')):
        raise ValueError(f'{path}: image_h and image_w must be one positive number each, got {shapes}')
    if not (np.isfinite(features).all() and np.isfinite(boxes).all()):
        raise ValueError(f'{path} holds numbers that are not finite: remove it and extract its features anew')
