"""NLVR2 (Suhr et al. 2019) and MaRVL (Liu et al. 2021): is a sentence about two images true?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rc3mm.datasets.benchmarks.base import AnswerBenchmark
from rc3mm.datasets.benchmarks.reading import find_file, read_json_lines
from rc3mm.registry import DATASETS

__all__ = ['ANSWERS', 'NLVR2', 'MaRVL', 'MarvlRow', 'Nlvr2Row', 'read_marvl', 'read_nlvr2']

ANSWERS = ('False', 'True')
_SHOTS = (1, 2, 4, 10, '10x2')


@dataclass(frozen=True, slots=True)
class Nlvr2Row:
    """A line of NLVR2.

    Attributes:
        item_id: `identifier`: split, set of images, pair of images and sentence, such as 'dev-850-0-0'.
        sentence: the sentence.
        truth: whether it is true.
        folder: below which the images lie: 'dev', 'test1', or 'train/79', the training images being in a hundred.
    """

    item_id: str
    sentence: str
    truth: bool
    folder: str

    @property
    def image_ids(self) -> tuple[str, str]:
        """The left and the right image: 'dev-850-0-img0' and 'dev-850-0-img1'."""
        pair = self.item_id.rpartition('-')[0]
        return f'{pair}-img0', f'{pair}-img1'

    @property
    def group(self) -> str:
        """The same for all pairs of images that a sentence was written for."""
        split, images, _, sentence = self.item_id.split('-')
        return f'{split}-{images}-{sentence}'


@dataclass(frozen=True, slots=True)
class MarvlRow:
    """A line of MaRVL.

    Attributes:
        language: language code.
        item_id: unique within a language and file, such as 'zh-0'.
        concept: the concept that the images show, such as '82-铅笔'; names their folder.
        sentence: the sentence.
        truth: whether it is true.
        image_names: file names of the left and the right image, without a folder.
        group: the first item with the same sentence and concept.
    """

    language: str
    item_id: str
    concept: str
    sentence: str
    truth: bool
    image_names: tuple[str, str]
    group: str


def read_nlvr2(path: Path) -> list[Nlvr2Row]:
    """The lines of a file; labels are the texts "True" and "False".

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a line is malformed, or its label unknown.
    """
    rows = []
    for entry in read_json_lines(path):
        item_id, folder = entry.name('identifier'), ''
        parts = item_id.split('-')
        if len(parts) != 4 or not all(parts):
            raise entry.error(f"the key 'identifier' holds {item_id[:60]!r}, expected four parts such as dev-850-0-0")
        if 'directory' in entry.values:
            folder = f'/{entry.name("directory")}'
        truth = entry.one_of('label', ANSWERS) == 'True'
        rows.append(Nlvr2Row(item_id, entry.text('sentence'), truth, parts[0] + folder))
    return rows


def read_marvl(path: Path, language: str) -> list[MarvlRow]:
    """The lines of a file; labels are true and false, and in few-shot files the images' names carry a folder.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a line is malformed, or of another language.
    """
    rows: list[MarvlRow] = []
    groups: dict[tuple[str, str], str] = {}
    for entry in read_json_lines(path):
        entry.one_of('language', (language,))
        item_id, concept, sentence = entry.name('id'), entry.name('concept'), entry.text('caption')
        left, right = (entry.name(key).rpartition('/')[2] for key in ('left_img', 'right_img'))
        group = groups.setdefault((concept, sentence), item_id)
        rows.append(MarvlRow(language, item_id, concept, sentence, entry.flag('label'), (left, right), group))
    return rows


@DATASETS.register_module()
class NLVR2(AnswerBenchmark[Nlvr2Row]):
    """NLVR2 in IGLUE's layout: a sentence about two images, True or False; split 'test' is test-P.

    `group` joins the items of one sentence, for consistency. Arguments: see `BenchmarkDataset`. ::

        ann_root/nlvr2/annotations/{train,dev,test}.jsonl
        image_root/images/dev/dev-850-0-img0.png
                          test1/test1-0-0-img0.png
                          train/79/train-10171-0-img0.png       `directory` of the line
    """

    source = 'nlvr2'
    known_languages = ('en',)
    splits = ('train', 'dev', 'test')
    image_fields = ('image_id', 'folder')
    official_template = 'images/{folder}/{image_id}.png'
    answers = ANSWERS

    def read(self) -> list[Nlvr2Row]:
        """See `BenchmarkDataset`."""
        return read_nlvr2(find_file(self.ann_root / 'nlvr2' / 'annotations', f'{self.split}.jsonl'))

    def to_sample(self, row: Nlvr2Row) -> dict[str, Any]:
        """See `BenchmarkDataset`."""
        paths = (self.image_path(image_id=image_id, folder=row.folder) for image_id in row.image_ids)
        return {
            'item_id': f'en-{row.item_id}',
            'image_id': '+'.join(row.image_ids),
            'source': self.source,
            'images': _images(row.image_ids, tuple(paths)),
            'texts': [('en', row.sentence)],
            'label': int(row.truth),
            'answer': ANSWERS[row.truth],
            'group': row.group,
        }


@DATASETS.register_module()
class MaRVL(AnswerBenchmark[MarvlRow]):
    """MaRVL in IGLUE's layout: a sentence about two images, True or False; models for it are tuned on `NLVR2`.

    Few-shot sets exist in id, tr and zh, of 1, 2, 4, 10 and 10x2 concepts (4 to 80 lines). Their images were gathered
    anew, so their ids are not those of the test. `group` joins the items of one sentence, for consistency. Arguments:
    see `BenchmarkDataset`. ::

        ann_root/marvl/zero_shot/annotations/marvl-{id,sw,ta,tr,zh}.jsonl
                                 annotations_machine-translate/marvl-{l}_gmt.jsonl     translate_test
                       few_shot/annotations/marvl-{id,tr,zh}_train{1,2,4,10,10x2}.jsonl
        image_root/marvl-images/zh/images/82-铅笔/82-6.jpg
                   marvl_fewshot/zh/all/52-n-2.jpg                                     shots
    """

    source = 'nlvr2'
    known_languages = ('id', 'sw', 'ta', 'tr', 'zh')
    splits = ('train', 'test')
    known_shots = _SHOTS
    has_translations = True
    image_fields = ('language', 'concept', 'name')
    answers = ANSWERS

    @property
    def official_template(self) -> str:
        """See `BenchmarkDataset`."""
        test = 'marvl-images/{language}/images/{concept}/{name}'
        return test if self.shots is None else 'marvl_fewshot/{language}/all/{name}'

    def read(self) -> list[MarvlRow]:
        """See `BenchmarkDataset`."""
        return [row for language in self.languages for row in read_marvl(self._file(language), language)]

    def to_sample(self, row: MarvlRow) -> dict[str, Any]:
        """See `BenchmarkDataset`."""
        prefix = row.language if self.shots is None else f'{row.language}-few'
        ids = tuple(f'{prefix}-{name.rpartition(".")[0]}' for name in row.image_names)
        paths = (self.image_path(language=row.language, concept=row.concept, name=name) for name in row.image_names)
        return {
            'item_id': row.item_id,
            'image_id': '+'.join(ids),
            'source': self.source,
            'images': _images(ids, tuple(paths)),
            'texts': [(row.language, row.sentence)],
            'label': int(row.truth),
            'answer': ANSWERS[row.truth],
            'group': row.group,
        }

    def _file(self, language: str) -> Path:
        root = self.ann_root / 'marvl'
        if self.split == 'train':
            shots = '' if self.shots is None else str(self.shots)
            return find_file(root / 'few_shot' / 'annotations', f'marvl-{language}_train{shots}.jsonl')
        if self.translate_test:
            return find_file(root / 'zero_shot' / 'annotations_machine-translate', f'marvl-{language}_gmt.jsonl')
        return find_file(root / 'zero_shot' / 'annotations', f'marvl-{language}.jsonl')


def _images(ids: tuple[str, ...], paths: tuple[str, ...]) -> list[dict[str, str]]:
    return [{'image_id': image_id, 'image_path': path} for image_id, path in zip(ids, paths, strict=True)]
