"""One shard of a store: the regions of consecutive images as flat arrays."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rc3mm.datasets.roi.manifest import Dtype
from rc3mm.datasets.roi.tensor_file import TensorFile, write_tensors
from rc3mm.structures.regions import Regions, RegionsError
from rc3mm.utils.atomic import is_temporary

__all__ = [
    'OPTIONAL',
    'RoiShard',
    'advice',
    'finished_shards',
    'hash_id',
    'id_bytes',
    'missing_shard',
    'shard_path',
    'write_shard',
]

_FORMAT = 'rc3mm.roi.shard'
_REGION_PARTS = ('features', 'boxes', 'scores', 'class_probs', 'attribute_probs')
OPTIONAL = _REGION_PARTS[2:]
_ALWAYS = {'features', 'boxes', 'offsets', 'sizes', 'ids', 'id_offsets', 'hashes', 'hash_rows'}


def hash_id(image_id: str) -> int:
    """64 bits that stand for an id; different ids may share them."""
    return int.from_bytes(hashlib.blake2b(id_bytes(image_id), digest_size=8).digest(), 'little')


def id_bytes(image_id: str) -> bytes:
    """An id in UTF-8; half characters, which no id in a store has, pass, so that any text can be asked for."""
    return image_id.encode(errors='surrogatepass')


def shard_path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f'shard-{number:05d}.safetensors'


def finished_shards(folder: str | Path) -> set[int]:
    """Numbers of the shards that are there; each is whole, since shards are renamed into place."""
    names = [path.name.removeprefix('shard-').partition('.') for path in Path(folder).glob('shard-*.safetensors')]
    return {int(number) for number, _, _ in names if number.isdecimal()}


def write_shard(
    folder: str | Path, number: int, items: Iterable[tuple[str, Regions]], dtype: Dtype = 'float16'
) -> Path:
    """Write one shard, whole or not at all; what a killed run left of the same shard is removed.

    Args:
        folder: of the store.
        number: of the shard; one process at a time may write it.
        items: id and regions of each image. Each optional part (scores, ...) is there for all images or none.
        dtype: type in which features and probabilities are kept.

    Returns:
        The path of the shard.

    Raises:
        RegionsError: the regions of an image cannot be used, differ in kind from those before, or leave the
            range of the dtype.
        ValueError: an id comes twice, or is no valid text.
    """
    path = shard_path(Path(folder), number)
    for other in path.parent.iterdir():
        if is_temporary(other.name, path.name):
            other.unlink(missing_ok=True)
    parts: dict[str, list[np.ndarray]] = {'boxes': [np.zeros((0, 4), np.float32)], 'features': []}
    counts, sizes, rows = [0], [], dict[str, int]()
    for row, (image_id, regions) in enumerate(items):
        where = f'image {image_id!r} (number {row} of {path.name})'
        if any('\ud800' <= character <= '\udfff' for character in image_id):
            raise RegionsError(f'{where}: the id is no valid text (a file name in another encoding?); rename it')
        if image_id in rows:
            raise ValueError(f'{where} comes twice: it is number {rows[image_id]} as well; ids must differ')
        rows[image_id] = row
        for name, values in _kept(regions.check(where), where, dtype).items():
            _append(parts, name, values, row, where)
        absent = [name for name in parts if name != 'boxes' and getattr(regions, name) is None]
        if absent:
            raise RegionsError(f'{where} has no {absent[0]}, but images before it have them')
        counts.append(len(regions))
        sizes.append(regions.image_size)
    parts['features'] = parts['features'] or [np.zeros((0, 0), dtype)]
    ids = [image_id.encode() for image_id in rows]
    hashes = np.array([hash_id(image_id) for image_id in rows], np.uint64)
    order = np.argsort(hashes, kind='stable')
    arrays = {
        **parts,
        'offsets': [np.cumsum(counts, dtype=np.int64)],
        'sizes': [np.array(sizes, np.int32).reshape(-1, 2)],
        'ids': [np.frombuffer(b''.join(ids), np.uint8)],
        'id_offsets': [np.cumsum([0, *map(len, ids)], dtype=np.int64)],
        'hashes': [hashes[order]],
        'hash_rows': [order.astype(np.int32)],
    }
    write_tensors(path, arrays, {'format': _FORMAT, 'number': str(number)})
    return path


def _kept(regions: Regions, where: str, dtype: Dtype) -> dict[str, np.ndarray]:
    """The arrays of one image in the types in which they are kept."""
    kept = {}
    for name in _REGION_PARTS:
        values = getattr(regions, name)
        if values is None:
            continue
        kind = np.float32 if name in ('boxes', 'scores') else np.dtype(dtype)
        with np.errstate(over='ignore'):
            kept[name] = values.astype(kind)
        if not np.isfinite(kept[name]).all():
            raise RegionsError(f'{where}: {name} leave the range of {kind}; write the store with dtype float32')
    return kept


def _append(parts: dict[str, list[np.ndarray]], name: str, values: np.ndarray, row: int, where: str) -> None:
    if name not in parts:
        if row:
            raise RegionsError(f'{where} has {name}, but images before it have none')
        parts[name] = []
    known = parts[name]
    if known and known[0].shape[1:] != values.shape[1:]:
        raise RegionsError(f'{where}: {name} have rows of {values.shape[1:]}, images before it of {known[0].shape[1:]}')
    known.append(values)


def advice(command: str) -> str:
    """What to do about a damaged shard of a store that was made by a command."""
    return f'Remove this file and run {_rerun(command)} again: only this shard is made anew.'


def missing_shard(path: Path, command: str) -> FileNotFoundError:
    """The error to raise about a shard that is not there."""
    return FileNotFoundError(f'there is no shard {path}. Run {_rerun(command)} again: only this shard is made anew.')


def _rerun(command: str) -> str:
    return f'`{command}`' if command else 'the command that made the store'


class RoiShard:
    """A shard as a whole, open for reading through a memory map; `ShardRows` reads images one by one.

    Args:
        path: the file.
        command: that made the store, for messages.

    Raises:
        DamagedFileError: the file is cut short, or is no shard.
        FileNotFoundError: no such file.
    """

    def __init__(self, path: Path, command: str = '') -> None:
        if not path.is_file():
            raise missing_shard(path, command)
        self.file = TensorFile(path, advice(command))
        self.arrays = self.file.arrays
        missing = sorted(_ALWAYS - self.arrays.keys())
        if missing or self.file.metadata.get('format') != _FORMAT:
            raise self.file.damaged(
                f'it is no shard of a store of regions (without {", ".join(missing) or "its mark"})'
            )
        self._check_shapes()

    def __len__(self) -> int:
        """Images."""
        return len(self.arrays['sizes'])

    @property
    def num_regions(self) -> int:
        """Regions of all images."""
        return len(self.arrays['boxes'])

    def _check_shapes(self) -> None:
        arrays, images, regions = self.arrays, len(self), self.num_regions
        parts = [name for name in _REGION_PARTS if name in arrays]
        fits = (
            all(len(arrays[name]) == regions for name in parts)
            and all(len(arrays[name]) == images for name in ('hashes', 'hash_rows'))
            and all(len(arrays[name]) == images + 1 for name in ('offsets', 'id_offsets'))
            and arrays['boxes'].shape[1:] == (4,)
            and int(arrays['offsets'][-1]) == regions
            and int(arrays['id_offsets'][-1]) == len(arrays['ids'])
        )
        if not fits:
            raise self.file.damaged('the shapes of its arrays do not fit each other')

    def id_bytes(self, row: int) -> bytes:
        """An image's id in UTF-8."""
        start, stop = self.arrays['id_offsets'][row : row + 2].tolist()
        return self.arrays['ids'][start:stop].tobytes()

    def ids(self) -> Iterator[str]:
        """The ids of all images, in the order of the inputs."""
        return (self.id_bytes(row).decode() for row in range(len(self)))
