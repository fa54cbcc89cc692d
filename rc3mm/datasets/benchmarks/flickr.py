"""Flickr30k (Young et al. 2014) and xFlickr&CO (Bugliarello et al. 2022) in IGLUE's layout."""

from collections.abc import Mapping
from pathlib import Path

from rc3mm.datasets.benchmarks.reading import StrictReport, find_file
from rc3mm.datasets.benchmarks.retrieval import CaptionedRow, RetrievalBenchmark, as_rows, image_folder
from rc3mm.datasets.corpora.flickr30k import read_iglue_captions
from rc3mm.registry import DATASETS

__all__ = ['Flickr30k', 'XFlickrCO', 'read_captions']


def read_captions(files: Mapping[str, Path]) -> list[CaptionedRow]:
    """Images with their captions by language; lines such as `{"sentences": [...], "id": ..., "img_path": ...}`.

    Ids may be texts or numbers (COCO's in xFlickr&CO).

    Args:
        files: language -> file.

    Raises:
        FileNotFoundError: a file is missing.
        AnnotationError: a line is malformed.
    """
    return as_rows(read_iglue_captions(files, StrictReport()))


@DATASETS.register_module()
class Flickr30k(RetrievalBenchmark):
    """Flickr30k in English, five captions an image: what models for `XFlickrCO` are tuned on.

    Arguments: see `RetrievalBenchmark`. ::

        ann_root/flickr30k/annotations/{train,valid,test}_ann.jsonl
        image_root/flickr30k-images/1007129816.jpg
    """

    known_languages = ('en',)
    splits = ('train', 'valid', 'test')
    official_template = 'flickr30k-images/{name}'

    def read_images(self) -> list[CaptionedRow]:
        """See `RetrievalBenchmark`."""
        return read_captions({'en': find_file(self.ann_root / 'flickr30k' / 'annotations', f'{self.split}_ann.jsonl')})


@DATASETS.register_module()
class XFlickrCO(RetrievalBenchmark):
    """xFlickr&CO: 1,000 images of Flickr30k's test and 1,000 of COCO's, a caption each in eight languages.

    The German and the Indonesian test hold one empty caption each: IGLUE keeps it, CCLM drops it (`drop_empty`).
    Few-shot sets exist in all languages but English. Arguments: see `RetrievalBenchmark`. ::

        ann_root/xFlickrCO/annotations/{de,en,es,id,ja,ru,tr,zh}/test.jsonl
                                       {de,es,id,ja,ru,tr,zh}/train_{1,5,10,25,50,100}.jsonl
                           annotations_machine-translate/{l}/test_gmt.jsonl            translate_test
        image_root/flickr30k-images/1007129816.jpg
                   val2014/COCO_val2014_000000369771.jpg
    """

    known_languages = ('de', 'en', 'es', 'id', 'ja', 'ru', 'tr', 'zh')
    splits = ('train', 'test')
    known_shots = (1, 5, 10, 25, 50, 100)
    has_translations = True
    image_fields = ('image_id', 'name', 'folder')
    official_template = '{folder}/{name}'

    def pool(self, language: str) -> str:
        """The few images of a few-shot set are each language's own."""
        return '' if self.shots is None else language

    def read_images(self) -> list[CaptionedRow]:
        """See `RetrievalBenchmark`."""
        return read_captions({language: self._file(language) for language in self.languages})

    def fields(self, row: CaptionedRow) -> dict[str, str]:
        """See `RetrievalBenchmark`."""
        return {**super().fields(row), 'folder': image_folder(row.name)}

    def _file(self, language: str) -> Path:
        folder = 'annotations_machine-translate' if self.translate_test else 'annotations'
        stem = 'test_gmt' if self.translate_test else 'test'
        if self.split == 'train':
            stem = 'train' if self.shots is None else f'train_{self.shots}'
        return find_file(self.ann_root / 'xFlickrCO' / folder / language, f'{stem}.jsonl')
