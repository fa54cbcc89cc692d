"""What all datasets of rc3mm have in common."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from rc3mm.datasets.transforms.image import DecodeImage
from rc3mm.datasets.transforms.regions import check_detector_sees_all
from rc3mm.datasets.transforms.text import Tokenize
from rc3mm.registry import TRANSFORMS
from rc3mm.structures import Draw

Transform = Callable[[dict[str, Any]], dict[str, Any] | None]


class Compose:
    """Transforms applied in order.

    Args:
        transforms: Callables, or config dicts built with ``TRANSFORMS``.

    Raises:
        TypeError: If one is neither or its config builds something that cannot be called.
        ValueError: If a detector would see images that `DecodeImage` reads smaller than they are.
    """

    def __init__(self, transforms: Sequence[dict[str, Any] | Transform] = ()) -> None:
        self.transforms: list[Transform] = []
        for transform in transforms:
            built = TRANSFORMS.build(transform) if isinstance(transform, dict) else transform
            if not callable(built):
                raise TypeError(f'a transform must be callable or a config dict, not {type(built).__name__}')
            self.transforms.append(built)
        check_detector_sees_all(self.transforms)

    def __call__(self, sample: dict[str, Any]) -> Any:
        """Apply all transforms.

        Args:
            sample: A raw sample.

        Returns:
            What the last transform returns; the sample itself if there is none.

        Raises:
            ValueError: If a transform returns None: rc3mm's datasets never skip a sample.
        """
        for transform in self.transforms:
            name = type(transform).__name__
            result = transform(sample)
            if result is None:
                raise ValueError(f'the transform {name} returned None for {sample.get("image_id")!r}')
            sample = result
        return sample


class VLDataset(Dataset):
    """A map-style dataset of vision-language samples.

    A subclass gives ``__len__``, ``get_sample`` and ``metainfo``. A sample's content depends on the index
    alone; what transforms draw at random comes from ``sample['rng']``, seeded by the draw.

    Args:
        seed: Seed of the dataset, at least 0.
        pipeline: Transforms, as callables or config dicts.
    """

    def __init__(self, *, seed: int = 0, pipeline: Sequence[dict[str, Any] | Transform] = ()) -> None:
        self.seed = seed
        self.pipeline = Compose(pipeline)

    @property
    @abstractmethod
    def metainfo(self) -> dict[str, Any]:
        """What the dataset is: at least ``dataset_name``, ``split``, ``languages`` and ``num_items``."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index within range(len(self))."""

    def get_image_id(self, index: int) -> str:
        """The `image_id` of a sample; override it where it costs less than the whole sample."""
        return str(self.get_sample(index)['image_id'])

    def get_texts(self, index: int) -> list[tuple[str, str]]:
        """The (language, text) pairs of a sample; override it where they cost less than the whole sample."""
        return self.get_sample(index)['texts']

    def lengths(self, draws: Sequence[Draw]) -> np.ndarray:
        """Length of the longest text of each draw: in tokens of the pipeline's `Tokenize`, else in characters.

        Override it where a draw decides on the texts, or where lengths can be had without the texts.

        Args:
            draws: of this dataset.

        Returns:
            int64 array, shape (len(draws),).
        """
        texts = [[text for _, text in self.get_texts(draw.index)] for draw in draws]
        tokenize = next((step for step in self.pipeline.transforms if isinstance(step, Tokenize)), None)
        flat = [text for item in texts for text in item]
        sizes = iter(map(len, tokenize.encode(flat) if tokenize else flat))
        return np.array([max((next(sizes) for _ in item), default=0) for item in texts], np.int64)

    def get_image(self, index: int) -> np.ndarray:
        """The image of an index for people to look at: uint8 RGB, shape (H, W, 3)."""
        sample = self.get_sample(index)
        return sample['image'] if 'image' in sample else DecodeImage()(sample)['image']

    def __getitem__(self, item: int | Draw) -> Any:
        """A sample after the pipeline.

        Args:
            item: An index, or a draw that also seeds the transforms; an index alone seeds them by
                (dataset seed, index). Negative indices count from the end.

        Returns:
            What the pipeline makes of ``get_sample(index)`` with ``rng`` added.

        Raises:
            IndexError: If the index is out of range.
        """
        index = int(item.index) if isinstance(item, Draw) else int(item)
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f'index {index} is outside a dataset of {len(self)} samples')
        seed = item.seed if isinstance(item, Draw) else (self.seed, index)
        sample = self.get_sample(index)
        sample['rng'] = np.random.default_rng(seed)
        if isinstance(item, Draw) and item.iteration is not None:
            sample['iteration'], sample['step_seed'] = item.iteration, item.step_seed
        return self.pipeline(sample)
