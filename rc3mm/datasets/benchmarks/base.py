"""What the datasets of published benchmarks have in common: folders, languages, splits, and where images lie."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from rc3mm.datasets.base import Transform, VLDataset
from rc3mm.datasets.transforms.image import DecodeImage

__all__ = ['AnswerBenchmark', 'BenchmarkDataset']

Row = TypeVar('Row')


class BenchmarkDataset(VLDataset, Generic[Row]):
    """A split of a benchmark in some languages, held in memory; the images are opened by the pipeline.

    The items of a language follow those of the one before, each language from a file of its own. Each class says
    how files and images lie; where images lie otherwise, give `image_template`.

    Args:
        ann_root: folder of the annotations.
        image_root: folder that the paths of images start from.
        split: one of the benchmark's splits.
        languages: language codes; None for all that the benchmark has.
        shots: size of a few-shot training set as its file name has it, with split 'train'; None for whole splits.
        translate_test: read the test texts' machine translations into English. Items keep the tag of the language
            that they were translated from, since that is whose score they make. HTML entities in them (`&#39;`) stay.
        image_template: path below `image_root`, a format string such as `'{language}/{image_id}.jpg'`; None for the
            official layout. The fields are those of `image_fields`.
        seed: see `VLDataset`.
        pipeline: see `VLDataset`.

    Raises:
        FileNotFoundError: a file is missing; the message says what its folder has.
        AnnotationError: a file holds something unexpected; file, line and key are named.
        ValueError: the benchmark has no such split, language, shots, translations or field of a path.
    """

    source: ClassVar[str]
    known_languages: ClassVar[tuple[str, ...]]
    splits: ClassVar[tuple[str, ...]]
    known_shots: ClassVar[tuple[int | str, ...]] = ()
    has_translations: ClassVar[bool] = False
    image_fields: ClassVar[tuple[str, ...]] = ('image_id',)

    def __init__(
        self,
        *,
        ann_root: str | Path,
        image_root: str | Path,
        split: str = 'test',
        languages: Sequence[str] | None = None,
        shots: int | str | None = None,
        translate_test: bool = False,
        image_template: str | None = None,
        seed: int = 0,
        pipeline: Sequence[dict[str, Any] | Transform] = (),
    ) -> None:
        super().__init__(seed=seed, pipeline=pipeline)
        self.ann_root, self.image_root = Path(ann_root), str(image_root)
        self.split, self.shots, self.translate_test = split, shots, translate_test
        self.languages = self.known_languages if languages is None else tuple(languages)
        self._check_choices()
        self.image_template = self.official_template if image_template is None else image_template
        self._check_template()
        self.rows: list[Row] = self.read()
        if not self.rows:
            raise ValueError(f'{self.dataset_name}, split {split}: its files in {self.ann_root} hold no item')

    # -- what a subclass gives

    @property
    @abstractmethod
    def official_template(self) -> str:
        """Where the benchmark's own layout has the images, see `image_template`."""

    @abstractmethod
    def read(self) -> list[Row]:
        """The rows of all languages, in order."""

    @abstractmethod
    def to_sample(self, row: Row) -> dict[str, Any]:
        """The raw sample of a row."""

    # -- what they share

    @property
    def dataset_name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def metainfo(self) -> dict[str, Any]:
        """Name, source, split, languages, number of items, and what else tells this set from its likes."""
        special: dict[str, Any] = {'shots': self.shots} if self.shots is not None else {}
        special |= {'translate_test': True} if self.translate_test else {}
        return {
            'dataset_name': self.dataset_name,
            'source': self.source,
            'split': self.split,
            'languages': self.languages,
            'num_items': len(self),
            **special,
        }

    def __len__(self) -> int:
        """Number of items."""
        return len(self.rows)

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index: `item_id`, `image_id`, `source`, `texts`, images, and what the task asks for."""
        return self.to_sample(self.rows[index])

    def get_image(self, index: int) -> np.ndarray:
        """The image of an index for people to look at, uint8 RGB (H, W, 3); those of an item with two side by side."""
        sample = self.get_sample(index)
        if 'images' not in sample:
            return super().get_image(index)
        images = [DecodeImage()(dict(image))['image'] for image in sample['images']]
        height = max(image.shape[0] for image in images)
        padded = [np.pad(i, ((0, height - len(i)), (0, 0), (0, 0)), constant_values=255) for i in images]
        return np.concatenate(padded, axis=1)

    def image_path(self, **fields: str) -> str:
        """The path of an image by the fields of `image_template`."""
        return os.path.join(self.image_root, self.image_template.format(**fields))

    def _check_choices(self) -> None:
        name = self.dataset_name
        if self.split not in self.splits:
            raise ValueError(f'{name} has no split {self.split!r}; it has {", ".join(self.splits)}')
        strange = [language for language in self.languages if language not in self.known_languages]
        if strange or not self.languages or len(set(self.languages)) != len(self.languages):
            raise ValueError(
                f'{name}: languages must be some of {", ".join(self.known_languages)}, each once; got '
                f'{list(self.languages)}'
            )
        if self.shots is not None and (self.shots not in self.known_shots or self.split != 'train'):
            has = f"has few-shot sets of {', '.join(map(str, self.known_shots))}, with split='train'"
            raise ValueError(
                f'{name} {has if self.known_shots else "has no few-shot sets"}; got shots={self.shots!r} with '
                f'split={self.split!r}'
            )
        if self.translate_test and not self.has_translations:
            raise ValueError(f'{name} has no machine-translated test set; leave translate_test out')
        if self.translate_test and (self.split != 'test' or 'en' in self.languages):
            raise ValueError(
                f"{name}: translate_test needs split='test' and languages other than en; got split={self.split!r} and "
                f'{list(self.languages)}'
            )

    def _check_template(self) -> None:
        used = {field for _, field, _, _ in Formatter().parse(self.image_template) if field is not None}
        if not used or not used <= set(self.image_fields):
            raise ValueError(
                f'{self.dataset_name}: image_template {self.image_template!r} must have some of the fields '
                f'{", ".join(f"{{{field}}}" for field in self.image_fields)} and no other'
            )


class AnswerBenchmark(BenchmarkDataset[Row]):
    """A benchmark whose items are answered by one of some classes; `answers` are their names, in label order.

    Arguments: see `BenchmarkDataset`.
    """

    answers: tuple[str, ...]

    @property
    def metainfo(self) -> dict[str, Any]:
        """As `BenchmarkDataset.metainfo`, and `answers`."""
        return {**super().metainfo, 'answers': self.answers}
