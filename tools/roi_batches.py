"""What extract_roi_features.py does with images: read them in worker processes, run the detector, sort out bad ones."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from roi_reports import BadImage
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from rc3mm.datasets.image_sources import BadImageError, ImageSource, decode_image
from rc3mm.structures import Regions, RegionsError
from rc3mm.utils.resize import resize_for_detector

_NO_MEMORY = ('out of memory', 'not enough memory', "can't allocate memory", 'alloc_failed')  # as torch says it
_WINDOW = 8  # batches whose images are sorted by size together


class NotEnoughMemoryError(RuntimeError):
    """A batch of images does not fit into the memory of the device."""


class LoadedImage(NamedTuple):
    """An image as the detector takes it.

    Attributes:
        place: its number in the source.
        image_id: its id.
        pixels: uint8, (3, H, W), resized.
        size: height and width before resizing.
    """

    place: int
    image_id: str
    pixels: Tensor
    size: tuple[int, int]


class _Chunk(NamedTuple):
    """Consecutive images as they travel between processes: one tensor for all pixels, so one open file."""

    heads: list[tuple[int, str, tuple[int, int, int], tuple[int, int]]]
    pixels: Tensor
    bad: list[BadImage]


class _Reader(Dataset):
    """Decodes and resizes; runs in the workers."""

    def __init__(self, source: ImageSource, resize: Callable[[np.ndarray], np.ndarray]) -> None:
        self.source, self.resize = source, resize

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, indices: Sequence[int]) -> _Chunk:
        heads, parts, bad = [], [], []
        for index in indices:
            image_id = ''
            try:
                sample = self._sample(index)
                image_id = sample['image_id']
                _check_name(image_id)
                image = decode_image(sample)
                resized = self._resized(image)
            except BadImageError as error:
                shown = image_id.encode(errors='backslashreplace').decode()
                bad.append(BadImage(shown, error.reason, error.detail, self.source.origin(index)))
                continue
            heads.append((index, image_id, resized.shape, image.shape[:2]))
            parts.append(resized.reshape(-1))
        return _Chunk(heads, torch.from_numpy(np.concatenate([np.zeros(0, np.uint8), *parts])), bad)

    def _sample(self, index: int) -> dict[str, Any]:
        try:
            return self.source.sample(index)
        except ValueError as error:
            raise BadImageError('unreadable record', str(error)) from error

    def _resized(self, image: np.ndarray) -> np.ndarray:
        """(3, H, W); a strip too narrow for the detector's scale would lose its last pixel."""
        try:
            return np.ascontiguousarray(self.resize(image).transpose(2, 0, 1))
        except Exception as error:  # OpenCV's errors are nobody's subclass
            raise BadImageError('cannot be resized', f'{image.shape[1]} x {image.shape[0]} pixels: {error}') from error


def _check_name(image_id: str) -> None:
    try:
        image_id.encode()
    except UnicodeEncodeError as error:
        raise BadImageError('name is not UTF-8', 'rename the file, or give a list with ids') from error


class _Chunks(Sampler[list[int]]):
    """Batch sampler: the images of some shards, in chunks that never span two shards."""

    def __init__(self, shards: Sequence[range], size: int) -> None:
        self.shards, self.size = shards, size

    def __iter__(self) -> Iterator[list[int]]:
        for shard in self.shards:
            yield from (list(shard[start : start + self.size]) for start in range(0, len(shard), self.size))

    def __len__(self) -> int:
        return sum(-(-len(shard) // self.size) for shard in self.shards)


class Shard(NamedTuple):
    """What became of the images of a shard.

    Attributes:
        number: of the shard.
        items: id and regions of each good image, in the order of the inputs.
        bad: the others.
    """

    number: int
    items: list[tuple[str, Regions]]
    bad: list[BadImage]


class ShardMaker:
    """Runs a detector over shards of images.

    Args:
        extractor: a `RoiExtractor`.
        source: the images.
        batch_size: images a pass.
        dtype: of features and probabilities.
        class_probs: whether to keep class probabilities.
        attributes: whether to keep attribute probabilities.
        workers: processes that decode and resize.
        on_progress: called with the shard's bad images so far and how many images more are done, again and again.
    """

    def __init__(
        self,
        extractor: Any,
        source: ImageSource,
        *,
        batch_size: int,
        dtype: str,
        class_probs: bool,
        attributes: bool,
        workers: int,
        on_progress: Callable[[list[BadImage], int], None],
    ) -> None:
        self.extractor, self.source = extractor, source
        self.batch_size, self.dtype = batch_size, np.dtype(dtype).type
        kept = {'class_probs': class_probs, 'attribute_probs': attributes}
        self.dropped: dict[str, Any] = {name: None for name, wanted in kept.items() if not wanted}
        self.workers, self.on_progress = workers, on_progress

    def run(self, shards: Sequence[tuple[int, range]]) -> Iterator[Shard]:
        """One shard after the other.

        Args:
            shards: number and images of each.

        Raises:
            NotEnoughMemoryError: a batch is too large for the device.
        """
        chunks = _Chunks([images for _, images in shards], self.batch_size)
        loader = DataLoader(
            _Reader(self.source, self._resize()),
            batch_sampler=chunks,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            prefetch_factor=4 if self.workers else None,
        )
        loaded: Iterator[_Chunk] = iter(loader)
        for number, images in shards:
            yield self._shard(number, islice(loaded, len(_Chunks([images], self.batch_size))))

    def _shard(self, number: int, chunks: Iterable[_Chunk]) -> Shard:
        found: dict[int, tuple[str, Regions]] = {}
        bad: list[BadImage] = []
        waiting: list[LoadedImage] = []
        for chunk in chunks:
            bad += chunk.bad
            self.on_progress(bad, len(chunk.bad))
            waiting += _unpacked(chunk)
            if len(waiting) >= _WINDOW * self.batch_size:
                self._detect(waiting, found, bad)
                waiting = []
        self._detect(waiting, found, bad)
        return Shard(number, [found[index] for index in sorted(found)], bad)

    def _detect(self, images: list[LoadedImage], found: dict[int, tuple[str, Regions]], bad: list[BadImage]) -> None:
        """Run the detector, images of like size together: padding costs time, and is seen near borders."""
        images = sorted(images, key=lambda image: (*image.pixels.shape, image.place))
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            for image, result in zip(batch, self._regions(batch), strict=True):
                try:
                    regions = result.numpy(self.dtype).check(image.image_id)
                except (RegionsError, ValueError) as error:
                    origin = self.source.origin(image.place)
                    bad.append(BadImage(image.image_id, 'unusable features', str(error), origin))
                    continue
                found[image.place] = (image.image_id, dataclasses.replace(regions, **self.dropped))
            self.on_progress(bad, len(batch))

    def _regions(self, batch: list[LoadedImage]) -> list[Any]:
        try:
            with torch.no_grad():
                return self.extractor([image.pixels for image in batch], [image.size for image in batch])
        except RuntimeError as error:  # of CUDA's allocator a subclass, of the CPU's not
            reason = str(error)
            if any(words in reason.lower() for words in _NO_MEMORY):
                raise NotEnoughMemoryError(reason.splitlines()[0][:200]) from error
            raise

    def _resize(self) -> Callable[[np.ndarray], np.ndarray]:
        """What the extractor does to the size of an image, without the extractor: workers need no detector."""
        scale = self.extractor.input_scale
        if scale is None:
            return partial(resize_for_detector, scale=None)
        return partial(resize_for_detector, scale=tuple(scale.scale), keep_ratio=scale.keep_ratio)


def _as_it_is(chunk: Any) -> Any:
    return chunk


def _unpacked(chunk: _Chunk) -> list[LoadedImage]:
    sizes = [int(np.prod(shape)) for _, _, shape, _ in chunk.heads]
    return [
        LoadedImage(index, image_id, pixels.reshape(shape), size)
        for (index, image_id, shape, size), pixels in zip(chunk.heads, chunk.pixels.split(sizes), strict=True)
    ]
