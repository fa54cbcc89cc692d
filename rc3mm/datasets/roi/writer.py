"""Beginning and finishing a store; its shards are written by `write_shard` in between, by any number of processes."""

import dataclasses
from pathlib import Path

from rc3mm.datasets.roi.index import INDEX, build_index
from rc3mm.datasets.roi.manifest import MANIFEST, PLAN, RoiManifest, read_manifest, write_manifest
from rc3mm.datasets.roi.shard import RoiShard, finished_shards, shard_path
from rc3mm.utils.atomic import is_temporary

__all__ = ['begin_store', 'finish_store']


def begin_store(folder: str | Path, plan: RoiManifest) -> set[int]:
    """Begin a store, or go on with it; several processes may do so at once with the same plan.

    Args:
        folder: of the store; made if it is not there.
        plan: the manifest, without the counts.

    Returns:
        Numbers of the shards that are there already and need not be made.

    Raises:
        ValueError: the folder was begun with other settings or inputs, or holds shards of unknown origin.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    finished = finished_shards(folder)
    if (folder / PLAN).is_file():
        plan.check_continues(folder, read_manifest(folder, PLAN))
    elif finished:
        raise ValueError(
            f'{folder} holds {len(finished)} shards but no {PLAN}, so nobody knows what they were made with. '
            'Write to another folder, or remove the shards'
        )
    else:
        write_manifest(folder, plan, PLAN)
    if len(finished) < plan.num_shards:  # a store that lost a shard is not whole until that is made anew
        (folder / MANIFEST).unlink(missing_ok=True)
        (folder / INDEX).unlink(missing_ok=True)
    return finished


def finish_store(folder: str | Path) -> RoiManifest:
    """Write the index and the manifest of a store whose shards are all there; one process does it.

    Returns:
        The manifest: the plan with the counts.

    Raises:
        FileNotFoundError: the store was never begun.
        ValueError: shards are missing or do not fit the plan, or two images have the same id.
    """
    folder = Path(folder)
    plan = read_manifest(folder, PLAN)
    finished = finished_shards(folder)
    if finished != set(range(plan.num_shards)):
        missing = sorted(set(range(plan.num_shards)) - finished)
        surplus = sorted(finished - set(range(plan.num_shards)))
        raise ValueError(
            f'{folder} cannot be finished: {len(missing)} of {plan.num_shards} shards are missing {missing[:5]}, '
            f'{len(surplus)} are there that the plan does not know {surplus[:5]}'
        )
    for path in folder.iterdir():  # every shard is whole, so nobody writes any more
        if is_temporary(path.name):
            path.unlink(missing_ok=True)
    num_images = num_regions = 0
    for number in range(plan.num_shards):
        shard = RoiShard(shard_path(folder, number), plan.command)
        _check_fits(shard, plan)
        num_images += len(shard)
        num_regions += shard.num_regions
    build_index(folder, plan.num_shards, num_images)
    manifest = dataclasses.replace(plan, num_images=num_images, num_regions=num_regions)
    write_manifest(folder, manifest)
    return manifest


def _check_fits(shard: RoiShard, plan: RoiManifest) -> None:
    if not len(shard):
        return  # all its images were skipped
    arrays = shard.arrays
    widths = {
        'features': plan.feature_dim,
        'class_probs': None if plan.num_classes is None else plan.num_classes + 1,
        'attribute_probs': plan.num_attributes,
    }
    for name, width in widths.items():
        own = arrays[name].shape[1] if name in arrays else None
        if own != width:
            raise ValueError(f'{shard.file.path}: rows of {name} have {own} numbers, but the plan says {width}')
    if arrays['features'].dtype.name != plan.dtype:
        raise ValueError(f'{shard.file.path}: features are {arrays["features"].dtype}, but the plan says {plan.dtype}')
