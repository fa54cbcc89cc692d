"""Multi30K (Elliott et al. 2016, 2017; Barrault et al. 2018): retrieval, and translation with an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rc3mm.datasets.benchmarks.base import BenchmarkDataset
from rc3mm.datasets.benchmarks.reading import AnnotationError, StrictReport
from rc3mm.datasets.benchmarks.retrieval import CaptionedRow, RetrievalBenchmark, as_rows, image_folder
from rc3mm.datasets.corpora.multi30k import read_multi30k
from rc3mm.registry import DATASETS

__all__ = ['Multi30kRetrieval', 'Multi30kTranslation', 'TranslationRow', 'read_translations']

LANGUAGES = ('en', 'de', 'fr', 'cs')
SPLITS = ('train', 'val', 'test_2016_flickr', 'test_2017_flickr', 'test_2017_mscoco', 'test_2018_flickr')
# The images of these tests are new; all others are Flickr30k's or COCO's.
_OWN_FOLDERS = {'test_2017_flickr': 'test_2017-flickr-images', 'test_2018_flickr': 'test_2018-flickr-images'}


@dataclass(frozen=True, slots=True)
class TranslationRow:
    """A caption and its translation.

    Attributes:
        number: of the line, from 1.
        image_id: name of the image without its ending; in test_2017_mscoco several lines may have the same.
        name: file name of the image.
        source: (language, text).
        target: (language, text).
    """

    number: int
    image_id: str
    name: str
    source: tuple[str, str]
    target: tuple[str, str]


def read_translations(root: Path, split: str, source: str, targets: Sequence[str]) -> list[TranslationRow]:
    """A split of task 1, the lines of one target language after those of another.

    Args:
        root: the repository, or its `data` folder.
        split: see `SPLITS`.
        source: the source language.
        targets: the target languages.

    Raises:
        FileNotFoundError: a file is missing; those that are there are named.
        AnnotationError: a line cannot be read.
        ValueError: a file has another number of lines than there are images.
    """
    images = read_multi30k(root, split, (source, *targets), StrictReport())
    return [
        TranslationRow(number, image.image_id, image.name, image.texts[0], image.texts[place])
        for place in range(1, len(targets) + 1)
        for number, image in enumerate(images, start=1)
    ]


def _folder(name: str, split: str) -> str:
    return _OWN_FOLDERS.get(split) or image_folder(name)


@DATASETS.register_module()
class Multi30kRetrieval(RetrievalBenchmark):
    """Multi30K as retrieval benchmark: five independent captions an image in en and de, one translation in fr and cs.

    Args:
        five_captions: take en and de from task 2, as papers on retrieval do; False for one caption an image.
        **options: see `RetrievalBenchmark`; `split` is called as the files of task 1 are. ::

            ann_root/data/task1/image_splits/{train,val,test_2016_flickr,...}.txt
                                raw/{split}.{en,de,fr,cs}.gz
                          task2/image_splits/{train,val,test_2016}_images.txt
                                raw/{train,val,test_2016}.{1,2,3,4,5}.{en,de}.gz
            image_root/flickr30k-images/1007129816.jpg          train, val, test_2016_flickr
                       test_2017-flickr-images/*.jpg            test_2017_flickr; test_2018_flickr likewise
                       {train2014,val2014}/COCO_*.jpg           test_2017_mscoco
    """

    known_languages = LANGUAGES
    splits = SPLITS
    image_fields = ('image_id', 'name', 'folder')
    official_template = '{folder}/{name}'

    def __init__(self, *, five_captions: bool = True, split: str = 'test_2016_flickr', **options: Any) -> None:
        self.five_captions = five_captions
        super().__init__(split=split, **options)

    def read_images(self) -> list[CaptionedRow]:
        """See `RetrievalBenchmark`."""
        images = read_multi30k(self.ann_root, self.split, self.languages, StrictReport(), self.five_captions)
        return as_rows(images)

    def fields(self, row: CaptionedRow) -> dict[str, str]:
        """See `RetrievalBenchmark`."""
        return {**super().fields(row), 'folder': _folder(row.name, self.split)}


@DATASETS.register_module()
class Multi30kTranslation(BenchmarkDataset[TranslationRow]):
    """Multi30K's task 1, translation of a caption with its image: `texts` is the source, `target` the reference.

    Args:
        languages: target languages; None for de, fr and cs (test_2017_* have no cs).
        source_language: what is translated from.
        **options: see `BenchmarkDataset`; files as in `Multi30kRetrieval`, task 1.
    """

    source = 'translation'
    known_languages = LANGUAGES
    splits = SPLITS
    image_fields = ('image_id', 'name', 'folder')
    official_template = '{folder}/{name}'

    def __init__(
        self,
        *,
        languages: Sequence[str] | None = None,
        source_language: str = 'en',
        split: str = 'test_2016_flickr',
        **options: Any,
    ) -> None:
        self.source_language = source_language
        targets = [code for code in LANGUAGES if code != source_language] if languages is None else languages
        if source_language not in LANGUAGES or source_language in targets:
            raise ValueError(
                f'{self.dataset_name}: source_language must be one of {", ".join(LANGUAGES)} and none of the target '
                f'languages; got {source_language!r} with targets {list(targets)}'
            )
        super().__init__(languages=targets, split=split, **options)

    @property
    def metainfo(self) -> dict[str, Any]:
        """As `BenchmarkDataset.metainfo`, and `source_language`."""
        return {**super().metainfo, 'source_language': self.source_language}

    def read(self) -> list[TranslationRow]:
        """See `BenchmarkDataset`."""
        rows = read_translations(self.ann_root, self.split, self.source_language, self.languages)
        if empty := next((row for row in rows if not row.target[1].strip()), None):
            where = f'{self.dataset_name}, split {self.split}, line {empty.number}'
            raise AnnotationError(where, f'the reference in {empty.target[0]} is empty')
        return rows

    def to_sample(self, row: TranslationRow) -> dict[str, Any]:
        """See `BenchmarkDataset`."""
        folder = _folder(row.name, self.split)
        return {
            'item_id': f'{row.target[0]}-{row.number:05d}-{row.image_id}',
            'image_id': row.image_id,
            'source': self.source,
            'image_path': self.image_path(image_id=row.image_id, name=row.name, folder=folder),
            'texts': [row.source],
            'target': row.target,
        }
