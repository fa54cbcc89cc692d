"""Retrieval benchmarks: images with all their captions, in all languages asked for."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from rc3mm.datasets.benchmarks.base import BenchmarkDataset
from rc3mm.datasets.benchmarks.reading import AnnotationError
from rc3mm.datasets.corpora.retrieval import RetrievalImage

__all__ = ['CaptionedRow', 'RetrievalBenchmark', 'as_rows', 'image_folder']


@dataclass(frozen=True, slots=True)
class CaptionedRow:
    """An image with its captions.

    Attributes:
        image_id: as the benchmark calls it.
        name: path or name of the image, as the benchmark gives it.
        captions: (language, caption) pairs.
    """

    image_id: str
    name: str
    captions: tuple[tuple[str, str], ...]


def as_rows(images: Iterable[RetrievalImage]) -> list[CaptionedRow]:
    """What readers of corpora give, as rows; an image that comes twice becomes one with all its captions."""
    found: dict[str, CaptionedRow] = {}
    for image in images:
        before = found.get(image.image_id)
        captions = (before.captions if before else ()) + tuple(image.texts)
        found[image.image_id] = CaptionedRow(image.image_id, before.name if before else image.name, captions)
    return list(found.values())


def image_folder(name: str) -> str:
    """Where an image of Flickr30k or COCO lies by its file name: 'flickr30k-images', 'val2014' or 'train2014'."""
    return name.split('_')[1] if name.startswith('COCO_') else 'flickr30k-images'


class RetrievalBenchmark(BenchmarkDataset[CaptionedRow]):
    """A sample is an image with all its captions in all languages, so that an image is encoded once.

    Each image has a caption in each language of a dataset, so that all are candidates in all languages; languages with
    sets of images of their own are therefore refused together: give each a dataset. To train on one caption an image,
    put `PickCaption` into the pipeline: then no batch holds an image twice, as it might if each caption were an item.

    Args:
        drop_empty: leave out captions without any character but spaces, as CCLM does, and images that have no other;
            by default they stay, as in IGLUE.
        **options: see `BenchmarkDataset`.
    """

    source = 'retrieval'
    image_fields: ClassVar[tuple[str, ...]] = ('image_id', 'name')

    def __init__(self, *, drop_empty: bool = False, **options: Any) -> None:
        self.drop_empty = drop_empty
        super().__init__(**options)

    def pool(self, language: str) -> str:
        """Names the set of images that the captions of a language belong to."""
        return ''

    @abstractmethod
    def read_images(self) -> list[CaptionedRow]:
        """The images with all captions."""

    def read(self) -> list[CaptionedRow]:
        """See `BenchmarkDataset`.

        Raises:
            ValueError: the languages have different images.
            AnnotationError: an image lacks a caption in a language.
        """
        if len({self.pool(language) for language in self.languages}) > 1:
            raise ValueError(
                f'{self.dataset_name}: the languages {", ".join(self.languages)} have different images, and all images '
                'of a dataset are candidates in all its languages; give each of them a dataset of its own'
            )
        rows = self.read_images()
        for row in rows:
            if lacking := [code for code in self.languages if all(code != language for language, _ in row.captions)]:
                where = f'{self.dataset_name}, split {self.split}, image {row.image_id}'
                raise AnnotationError(where, f'there is no caption in {", ".join(lacking)}')
        if not self.drop_empty:
            return rows
        kept = [
            CaptionedRow(row.image_id, row.name, tuple((code, text) for code, text in row.captions if text.strip()))
            for row in rows
        ]
        return [row for row in kept if row.captions]

    def fields(self, row: CaptionedRow) -> dict[str, str]:
        """The fields of `image_template`."""
        return {'image_id': row.image_id, 'name': row.name}

    def to_sample(self, row: CaptionedRow) -> dict[str, Any]:
        """See `BenchmarkDataset`."""
        return {
            'item_id': row.image_id,
            'image_id': row.image_id,
            'source': self.source,
            'image_path': self.image_path(**self.fields(row)),
            'texts': list(row.captions),
        }
