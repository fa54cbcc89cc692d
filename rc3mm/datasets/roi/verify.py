"""Whether a shard of a store is what was written, and whether the index finds all of it."""

import numpy as np

from rc3mm.datasets.roi.index import RoiIndex
from rc3mm.datasets.roi.shard import RoiShard, hash_id

__all__ = ['check_shard']

_ROWS = 4096  # regions that are looked at a time


def check_shard(shard: RoiShard, number: int, index: RoiIndex) -> None:
    """Read a whole shard.

    Args:
        shard: the shard.
        number: its number in the store.
        index: of the store.

    Raises:
        DamagedFileError: something is wrong with the shard, or with the index.
    """
    shard.file.check_sum()
    if shard.file.metadata.get('number') != str(number):
        raise shard.file.damaged(f'it was written as shard {shard.file.metadata.get("number")}')
    arrays = shard.arrays
    for name in ('offsets', 'id_offsets'):
        if arrays[name][0] != 0 or (np.diff(arrays[name]) < 0).any():
            raise shard.file.damaged(f'its {name} do not rise from 0')
    for name in arrays.keys() & {'features', 'boxes', 'scores', 'class_probs', 'attribute_probs'}:
        for start in range(0, shard.num_regions, _ROWS):
            if not np.isfinite(arrays[name][start : start + _ROWS]).all():
                raise shard.file.damaged(f'its {name} hold numbers that are not finite')
    boxes = arrays['boxes']
    if not (boxes[:, 2:] > boxes[:, :2]).all() or (arrays['sizes'] < 1).any():
        raise shard.file.damaged('it holds boxes without area or images without size')
    _check_ids(shard, number, index)


def _check_ids(shard: RoiShard, number: int, index: RoiIndex) -> None:
    try:
        ids = list(shard.ids())
    except UnicodeDecodeError as error:
        raise shard.file.damaged(f'its ids are no UTF-8 ({error})') from error
    hashes = np.array([hash_id(image_id) for image_id in ids], np.uint64)
    order = np.argsort(hashes, kind='stable')
    if not (np.array_equal(hashes[order], shard.arrays['hashes']) and np.array_equal(order, shard.arrays['hash_rows'])):
        raise shard.file.damaged('its hashes are not those of its ids')
    lost = [image_id for row, image_id in enumerate(ids) if (number, row) not in index.candidates(image_id)]
    if lost:
        raise index.file.damaged(f'it does not know {len(lost)} images of {shard.file.path.name}, such as {lost[0]!r}')
