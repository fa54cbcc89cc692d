"""COCO-format boxes for training a detector with mmdet."""

import json
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset

from rc3mm.registry import DATASETS

__all__ = ['CocoBoxes']


@DATASETS.register_module()
class CocoBoxes(CocoDataset):
    """mmdet's `CocoDataset`, with the classes that the annotation file itself names.

    Args:
        ann_file: the annotation file, relative to `data_root`.
        data_root: folder of images and annotations.
        kwargs: as `CocoDataset`.

    Raises:
        FileNotFoundError: there is no annotation file.
        ValueError: it is not COCO's format.
    """

    def __init__(self, *, ann_file: str, data_root: str = '', **kwargs: Any) -> None:
        path = Path(data_root) / ann_file
        if not path.is_file():
            raise FileNotFoundError(
                f'no annotations at {path}; for EmojiScenes write them with '
                f'`python tools/dataset_converters/export_emoji_coco.py {data_root or "data/emoji_coco"}`'
            )
        try:
            categories = json.loads(path.read_text())['categories']
            names = tuple(category['name'] for category in sorted(categories, key=lambda c: c['id']))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{path} is not a COCO annotation file with `categories`: {error!r}') from error
        super().__init__(ann_file=ann_file, data_root=data_root, metainfo={'classes': names}, **kwargs)
