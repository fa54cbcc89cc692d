"""MSCOCO retrieval: Karpathy's splits (en), STAIR (ja; Yoshikawa et al. 2017) and COCO-CN (zh; Li et al. 2019)."""

from typing import Any

from rc3mm.datasets.benchmarks.reading import AnnotationError, StrictReport, find_file
from rc3mm.datasets.benchmarks.retrieval import CaptionedRow, RetrievalBenchmark, as_rows
from rc3mm.datasets.corpora.coco_captions import read_coco_captions, read_image_list, read_karpathy_split
from rc3mm.datasets.corpora.retrieval import RetrievalImage
from rc3mm.registry import DATASETS

__all__ = ['MSCOCORetrieval']

_FOLDS, _FOLD = 5, 1000


@DATASETS.register_module()
class MSCOCORetrieval(RetrievalBenchmark):
    """MSCOCO in English and Japanese on Karpathy's splits, or in Chinese on those of COCO-CN.

    Karpathy's split 'train' includes 'restval', as is usual. The test of 5,000 images is reported as a whole (5K) or
    as the mean of five folds of 1,000 images (1K), one dataset each. Chinese has images of its own (18,341, 1,000
    and 1,000), so it needs a dataset of its own.

    Args:
        fold: 0 to 4, a fold of the test split in en and ja; None for the whole.
        **options: see `RetrievalBenchmark`. ::

            ann_root/dataset_coco.json                                                 Karpathy
                     stair_captions_v1.2_{train,val}.json                              or ..._tokenized.json
                     coco-cn-version1805v1.1/coco-cn_{train,val,test}.txt
                                             imageid.human-written-caption.txt
            image_root/{train2014,val2014}/COCO_val2014_000000391895.jpg
    """

    known_languages = ('en', 'ja', 'zh')
    splits = ('train', 'val', 'test')
    official_template = '{name}'

    def __init__(self, *, fold: int | None = None, **options: Any) -> None:
        self.fold = fold
        super().__init__(**options)

    @property
    def metainfo(self) -> dict[str, Any]:
        """As `BenchmarkDataset.metainfo`, and `fold` if there is one."""
        return {**super().metainfo, **({} if self.fold is None else {'fold': self.fold})}

    def pool(self, language: str) -> str:
        """COCO-CN has other images."""
        return 'COCO-CN' if language == 'zh' else 'Karpathy'

    def read_images(self) -> list[CaptionedRow]:
        """See `RetrievalBenchmark`.

        Raises:
            ValueError: there is no such fold.
        """
        in_folds = self.split == 'test' and 'zh' not in self.languages
        if self.fold is not None and (not in_folds or self.fold not in range(_FOLDS)):
            raise ValueError(
                f'{self.dataset_name}: fold must be 0 to {_FOLDS - 1}, of split test in en and ja; got '
                f'fold={self.fold} with split={self.split!r} and {list(self.languages)}'
            )
        rows = as_rows(self._chinese() if 'zh' in self.languages else self._karpathy())
        if self.fold is None:
            return rows
        if len(rows) != _FOLDS * _FOLD:
            raise AnnotationError(
                str(self.ann_root), f'a test split that is told in folds has {_FOLDS * _FOLD} images, not {len(rows)}'
            )
        return rows[self.fold * _FOLD : (self.fold + 1) * _FOLD]

    def _chinese(self) -> list[RetrievalImage]:
        folder, report = self.ann_root / 'coco-cn-version1805v1.1', StrictReport()
        wanted = read_image_list(find_file(folder, f'coco-cn_{self.split}.txt'))
        return read_coco_captions({'zh': find_file(folder, 'imageid.human-written-caption.txt')}, report, wanted)

    def _karpathy(self) -> list[RetrievalImage]:
        report, karpathy = StrictReport(), find_file(self.ann_root, 'dataset_coco.json')
        wanted: dict[int, str] = {}
        for split in ('train', 'restval') if self.split == 'train' else (self.split,):
            wanted |= read_karpathy_split(karpathy, split, report)
        images = {number: RetrievalImage(str(number), name, '') for number, name in wanted.items()}
        for language in self.languages:
            files = [karpathy]
            if language == 'ja':
                stems = [f'stair_captions_v1.2_{part}' for part in ('train', 'val')]
                files = [find_file(self.ann_root, f'{stem}.json', f'{stem}_tokenized.json') for stem in stems]
            for file in files:  # STAIR divides the images in another way, so each file has a part of a split
                for image in read_coco_captions({language: file}, _OfAPart(), wanted):
                    images[int(image.image_id)].texts += image.texts
        return list(images.values())


class _OfAPart(StrictReport):
    """Of a file that need not have all images of a split; that each has its caption is checked for all together."""

    def rule(self, reason: str, where: str = '', detail: str = '', count: int = 1) -> None:
        """Leave it at that."""
