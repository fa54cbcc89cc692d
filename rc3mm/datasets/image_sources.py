"""Where images to be processed come from: a folder, a text list, Parquet shards, or a dataset of rc3mm.

A source says how many images there are, in a fixed order, and gives each as a sample with an `image_id` and
`image_path`, `image_bytes` or `image`; `decode_image` makes pixels of it.
"""

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from mmengine.config import Config
from PIL import Image, UnidentifiedImageError

from rc3mm.datasets.base import VLDataset
from rc3mm.datasets.line_index import LineIndex
from rc3mm.datasets.parquet_images import ParquetImages
from rc3mm.datasets.shards.manifest import MANIFEST, read_json
from rc3mm.datasets.transforms.image import DecodeImage
from rc3mm.registry import DATASETS

__all__ = [
    'BadImageError',
    'DatasetImages',
    'FolderImages',
    'ImageSource',
    'ListedImages',
    'check_ids',
    'decode_image',
    'distinct_images',
    'open_dataset',
    'open_images',
]

SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


class BadImageError(ValueError):
    """An image that cannot be used.

    Args:
        reason: the kind of fault, by which faults are counted.
        detail: what is wrong with this image.
    """

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(f'{reason}: {detail}' if detail else reason)
        self.reason, self.detail = reason, detail


class ImageSource(Protocol):
    """Images in a fixed order, safe to hand to worker processes by fork or by pickling."""

    def __len__(self) -> int:
        """Number of images."""

    def ids(self) -> Iterator[str]:
        """The id of every image, in order."""

    def origin(self, index: int) -> str:
        """Where an image comes from, for messages."""

    def sample(self, index: int) -> dict[str, Any]:
        """`image_id` and one of `image_path`, `image_bytes` and `image` of an index within range(len(self))."""


def decode_image(sample: dict[str, Any], decode: DecodeImage | None = None) -> np.ndarray:
    """The pixels of a sample, uint8 RGB of shape (H, W, 3), as `DecodeImage` gives them.

    Args:
        sample: with `image_path`, `image_bytes` or `image`; it is left as it is.
        decode: another `DecodeImage` than one that keeps the size.

    Raises:
        BadImageError: the file is missing or empty, no image, cut short, or otherwise broken.
    """
    if 'image' not in sample:
        encoded, path = sample.get('image_bytes'), str(sample.get('image_path') or '')
        if encoded is None and not path:
            raise BadImageError('no image', 'the record has neither bytes nor a path')
        if encoded is None and not os.path.isfile(path):
            raise BadImageError('missing file', path)
        if (os.path.getsize(path) if encoded is None else len(encoded)) == 0:
            raise BadImageError('empty file', 'it has 0 bytes')
        try:
            sample = (decode or DecodeImage())(dict(sample))
        except (ValueError, SyntaxError) as error:
            raise _explained(error.__cause__ or error) from error
    image = sample['image']
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 1:
        raise BadImageError('not an RGB image', f'its shape is {image.shape}')
    return image


def _explained(error: BaseException) -> BadImageError:
    """The kind of fault behind an error of Pillow."""
    if isinstance(error, UnidentifiedImageError):
        return BadImageError('not an image', 'it has no format that Pillow knows')
    if isinstance(error, Image.DecompressionBombError):
        return BadImageError('too many pixels', str(error))
    return BadImageError('truncated image' if 'truncated' in str(error) else 'broken image', str(error))


def check_ids(source: ImageSource, limit: int | None = None) -> str:
    """Make sure that no two images have the same id; one pass, 8 bytes an image.

    Args:
        source: the images.
        limit: only the first so many are looked at.

    Returns:
        A fingerprint of the ids and their order, 32 hexadecimal digits.

    Raises:
        ValueError: an id is empty or occurs twice; the message names both places.
    """
    count = len(source) if limit is None else min(limit, len(source))
    whole, hashes = hashlib.blake2b(digest_size=16), np.empty(count, '<u8')
    for index, name in zip(range(count), source.ids(), strict=False):
        encoded = name.encode('utf-8', 'surrogateescape')
        if not encoded:
            raise ValueError(f'{source.origin(index)} has an empty id; every image needs one')
        whole.update(len(encoded).to_bytes(4, 'little') + encoded)
        hashes[index] = int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), 'little')
    ordered = np.sort(hashes)
    if repeated := {int(value) for value in ordered[1:][ordered[1:] == ordered[:-1]]}:
        suspects = [index for index in range(count) if int(hashes[index]) in repeated]
        _refuse_equal(source, suspects)
    return whole.hexdigest()


def _refuse_equal(source: ImageSource, suspects: list[int]) -> None:
    """Raise a ValueError if two of the images with equal hashes really have equal ids."""
    wanted, seen = set(suspects), dict[str, int]()
    for index, name in zip(range(max(suspects) + 1), source.ids(), strict=False):
        if index not in wanted:
            continue
        if name in seen:
            raise ValueError(
                f'two images have the id {name!r}: {source.origin(seen[name])} and {source.origin(index)}. Ids must '
                'be unique, for features are looked up by them: rename one, or give a list with lines `id<TAB>path`'
            )
        seen[name] = index


class FolderImages:
    """The images below a folder, by their paths' order; the id is the path from there without extension.

    Links are followed. Files with other extensions than those of images are left aside.

    Args:
        root: the folder.

    Raises:
        ValueError: there is no image below it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._paths = _PackedStrings(sorted(_walk(self.root)))
        if not len(self):
            raise ValueError(f'there is no image below the folder {root} (looked for {" ".join(SUFFIXES)})')

    def __len__(self) -> int:
        """Number of images."""
        return len(self._paths)

    def ids(self) -> Iterator[str]:
        """Every id, in order."""
        return (_without_suffix(self._paths[index]) for index in range(len(self)))

    def origin(self, index: int) -> str:
        """The file."""
        return os.path.join(self.root, self._paths[index])

    def sample(self, index: int) -> dict[str, Any]:
        """`image_id` and `image_path`."""
        return {'image_id': _without_suffix(self._paths[index]), 'image_path': self.origin(index)}


def _walk(root: Path) -> Iterator[str]:
    """Paths of images from `root` on, with forward slashes; a folder that links lead back to is entered once."""
    entered = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith('.'):
                yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, '/')


def _without_suffix(path: str) -> str:
    return os.path.splitext(path)[0]


class _PackedStrings:
    """Many strings as one array: a tenth of a list's memory, and nothing that worker processes would copy."""

    def __init__(self, strings: Iterable[str]) -> None:
        encoded = [string.encode('utf-8', 'surrogateescape') for string in strings]
        self._ends = np.cumsum([0, *map(len, encoded)])
        self._bytes = np.frombuffer(b''.join(encoded), np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return self._bytes[self._ends[index] : self._ends[index + 1]].tobytes().decode('utf-8', 'surrogateescape')


class ListedImages:
    """The images of a text file: a path a line, or an id, a tab and a path.

    Relative paths start from the file's folder. Without an id, the path as it is written, less its extension, is the
    id. Memory does not grow with the file.

    Args:
        path: the text file, UTF-8.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no line.
    """

    def __init__(self, path: str | Path) -> None:
        self.lines = LineIndex(path)
        self.root = Path(path).parent
        if not len(self.lines):
            raise ValueError(f'{path} is empty: it should have a path, or an id, a tab and a path, on every line')

    def __len__(self) -> int:
        """Number of lines that are not blank."""
        return len(self.lines)

    def ids(self) -> Iterator[str]:
        """Every id, in order."""
        return (self._split(index)[0] for index in range(len(self)))

    def origin(self, index: int) -> str:
        """File and line."""
        return f'{self.lines.path}, line {self.lines.number(index)}'

    def sample(self, index: int) -> dict[str, Any]:
        """`image_id` and `image_path`."""
        name, path = self._split(index)
        return {'image_id': name, 'image_path': os.path.join(self.root, path)}

    def _split(self, index: int) -> tuple[str, str]:
        try:
            line = self.lines.line(index).decode('utf-8').strip('\r\n')
        except UnicodeDecodeError as error:
            raise ValueError(f'{self.origin(index)} is not UTF-8: a list of images is a text file') from error
        name, tab, path = line.partition('\t')
        return (name, path.strip()) if tab else (_without_suffix(line.strip()), line.strip())


def distinct_images(dataset: VLDataset, name: str, limit: int | None = None) -> np.ndarray:
    """The samples of a dataset that count as images: of those with the same `image_id` the first.

    Args:
        dataset: any dataset with images.
        name: of the dataset, for messages.
        limit: only the first so many samples are looked at.

    Returns:
        Their indices, int64, ascending.

    Raises:
        ValueError: the samples have no images.
    """
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if not count or not {'image', 'image_path', 'image_bytes'} & dataset.get_sample(0).keys():
        raise ValueError(f'{name} has no images; name a source with images, such as `strict`')
    first: dict[str, int] = {}
    for index in range(count):
        first.setdefault(dataset.get_image_id(index), index)
    return np.fromiter(first.values(), np.int64, len(first))


class DatasetImages:
    """The images of a dataset of rc3mm.

    Args:
        dataset: any `VLDataset` with images.
        name: of the dataset, for messages.
        indices: the samples that count, see `distinct_images`.
    """

    def __init__(self, dataset: VLDataset, name: str, indices: np.ndarray) -> None:
        self.dataset, self.name, self._indices = dataset, name, indices

    def __len__(self) -> int:
        """Number of different images."""
        return len(self._indices)

    def ids(self) -> Iterator[str]:
        """Every id, in order."""
        return (self.dataset.get_image_id(int(index)) for index in self._indices)

    def origin(self, index: int) -> str:
        """Dataset and index."""
        return f'{self.name}, sample {self._indices[index]}'

    def sample(self, index: int) -> dict[str, Any]:
        """The dataset's sample."""
        sample = self.dataset.get_sample(int(self._indices[index]))
        return {**sample, 'image_id': str(sample['image_id'])}


def open_images(place: str, image_column: str = 'image', id_column: str = 'image_id') -> ImageSource:
    """Images by where they are.

    Relative paths in Parquet files start from the file's folder; in those of a shard set, where its manifest says.

    Args:
        place: a folder of images, a text list, a shard set, or Parquet files: one, a folder of them, or a pattern such
            as `data/*.parquet`.
        image_column: of Parquet files.
        id_column: of Parquet files.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: what is there has no images, or a manifest beside it cannot be read.
    """
    path = Path(place)
    files = [path] if path.suffix == '.parquet' else sorted(path.glob('*.parquet')) if path.is_dir() else []
    if not path.exists():
        files = [Path(found) for found in sorted(glob.glob(place, recursive=True))]
        if not files:
            raise FileNotFoundError(f'there is no folder, list or Parquet file {place}')
    if files:
        roots = {folder: _image_root(folder) for folder in {file.parent for file in files}}
        return ParquetImages(files, image_column, id_column, [roots[file.parent] for file in files])
    return FolderImages(path) if path.is_dir() else ListedImages(path)


def _image_root(folder: Path) -> Path:
    """Where relative paths in the Parquet files of a folder start: a shard set has its own root."""
    manifest = folder / MANIFEST
    return folder / str(read_json(manifest).get('image_root') or '') if manifest.is_file() else folder


def open_dataset(place: str) -> VLDataset:
    """A dataset that a config describes; its pipeline is left out.

    Args:
        place: `config.py:key.path`, such as `configs/rc3/pretrain_tiny.py:test_dataloader.dataset`.

    Raises:
        FileNotFoundError: there is no such config.
        ValueError: the config has no such key, or no dataset stands there.
    """
    file, _, keys = place.rpartition(':')
    if not file or not keys:
        raise ValueError(f'{place!r} is not of the form config.py:key.path, such as x.py:test_dataloader.dataset')
    if not Path(file).is_file():
        raise FileNotFoundError(f'there is no config file {file}')
    node: Any = Config.fromfile(file)
    for key in keys.split('.'):
        try:
            node = node[int(key)] if isinstance(node, list | tuple) else node[key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            known = ', '.join(map(str, node)) if isinstance(node, dict) else f'{type(node).__name__}'
            raise ValueError(f'{place}: there is no {key!r}, only {known[:200]}') from error
    if not isinstance(node, dict) or 'type' not in node:
        raise ValueError(f'{place} is no dataset: a dict(type=..., ...) is expected there')
    if 'sources' in node:
        raise ValueError(f'{place} mixes several sources; name one: {place}.sources.{next(iter(node["sources"]))}')
    dataset = DATASETS.build({key: value for key, value in node.items() if key != 'pipeline'})
    if not isinstance(dataset, VLDataset):
        raise ValueError(f'{place} is a {type(dataset).__name__}, expected a dataset of rc3mm (a VLDataset)')
    return dataset
