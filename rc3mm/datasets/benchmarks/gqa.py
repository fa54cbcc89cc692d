"""GQA (Hudson and Manning 2019) and xGQA (Pfeiffer et al. 2022): questions about images, answered in English."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rc3mm.datasets.benchmarks.base import AnswerBenchmark
from rc3mm.datasets.benchmarks.reading import AnnotationError, Entry, find_file, read_json
from rc3mm.registry import DATASETS, FUNCTIONS
from rc3mm.utils.safe_pickle import loads_plain

__all__ = ['GQA', 'XGQA', 'QuestionRow', 'read_answer_labels', 'read_gqa', 'read_xgqa']


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """A question.

    Attributes:
        language: of the question.
        question_id: unique within a language.
        image_id: GQA's id of the image.
        question: the question.
        answer: the gold answer, in English; '' where there is none.
    """

    language: str
    question_id: str
    image_id: str
    question: str
    answer: str


def read_xgqa(path: Path, language: str) -> list[QuestionRow]:
    """The questions of a file in GQA's own layout: question id -> record.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: the file or a record is malformed.
    """
    rows = []
    for question_id, record in Entry(read_json(path), str(path)).values.items():
        entry = Entry(record, f'{path}, question {question_id}')
        image_id, answer = entry.name('imageId'), entry.text('answer')
        rows.append(QuestionRow(language, question_id, image_id, entry.text('question'), answer))
    return rows


def read_gqa(path: Path, language: str = 'en') -> list[QuestionRow]:
    """The questions of a file in LXMERT's layout: a list of `{"img_id", "label", "question_id", "sent"}`.

    Of several answers in `label` the one with the highest score counts, of equal ones the first.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: the file or a record is malformed.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise AnnotationError(str(path), f'expected a list of questions, found a {type(records).__name__}')
    rows = []
    for number, record in enumerate(records):
        entry = Entry(record, f'{path}, item {number}')
        scores = entry.mapping('label')
        if not all(isinstance(score, int | float) for score in scores.values()):
            raise entry.error(f"the key 'label' holds {str(scores)[:80]}, expected answers with scores")
        best = max(scores, key=lambda name: scores[name], default='')
        # the 72,000 images and 1,842 answers of a million questions are kept once
        image_id, answer = sys.intern(entry.name('img_id')), sys.intern(best)
        rows.append(QuestionRow(language, entry.name('question_id'), image_id, entry.text('sent'), answer))
    return rows


@FUNCTIONS.register_module()
def read_answer_labels(folder: str | Path) -> tuple[str, ...]:
    """The answers in label order, from `trainval_label2ans` and `trainval_ans2label`, `.json` or `.pkl`.

    Pickles are read without executing anything.

    Raises:
        FileNotFoundError: a file is missing.
        AnnotationError: the two files do not agree.
    """
    folder = Path(folder)
    answers, labels = (_read_plain(folder, f'trainval_{name}') for name in ('label2ans', 'ans2label'))
    where = str(folder / 'trainval_label2ans')
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise AnnotationError(where, 'expected a list of answers')
    if not isinstance(labels, Mapping) or {answer: label for label, answer in enumerate(answers)} != dict(labels):
        raise AnnotationError(where, f'its {len(answers)} answers are not those of trainval_ans2label, in its order')
    return tuple(answers)


def _read_plain(folder: Path, stem: str) -> Any:
    path = find_file(folder, f'{stem}.json', f'{stem}.pkl')
    return read_json(path) if path.suffix == '.json' else loads_plain(path.read_bytes(), str(path))


class _Questions(AnswerBenchmark[QuestionRow]):
    """Common part of `GQA` and `XGQA`."""

    source = 'gqa'
    official_template = 'images/{image_id}.jpg'

    def read_answers(self) -> None:
        """Read the label maps."""
        self.answers = read_answer_labels(self.ann_root / 'gqa' / 'annotations')
        self._labels = {answer: label for label, answer in enumerate(self.answers)}

    def to_sample(self, row: QuestionRow) -> dict[str, Any]:
        """See `BenchmarkDataset`."""
        return {
            'item_id': f'{row.language}-{row.question_id}',
            'image_id': row.image_id,
            'source': self.source,
            'image_path': self.image_path(image_id=row.image_id),
            'texts': [(row.language, row.question)],
            'label': self._labels.get(row.answer, -1),
            'answer': row.answer,
        }


@DATASETS.register_module()
class GQA(_Questions):
    """GQA's balanced questions in English, as IGLUE and LXMERT store them: what models for `XGQA` are tuned on.

    An answer outside the 1,842 labels has label -1. The English test that belongs to xGQA's is `XGQA` with
    `languages=('en',)`; `testdev_balanced_questions.json`, which lies beside these files and holds 1,944 questions
    only, is not read. Arguments: see `BenchmarkDataset`. ::

        ann_root/gqa/annotations/{train,valid,trainval,testdev}.json
                                 trainval_{ans2label,label2ans}.json                   or .pkl
        image_root/images/n161313.jpg
    """

    known_languages = ('en',)
    splits = ('train', 'valid', 'trainval', 'testdev')

    def read(self) -> list[QuestionRow]:
        """See `BenchmarkDataset`."""
        self.read_answers()
        return read_gqa(find_file(self.ann_root / 'gqa' / 'annotations', f'{self.split}.json'))


@DATASETS.register_module()
class XGQA(_Questions):
    """xGQA in IGLUE's layout: questions in eight languages, the answers in English, 1,842 classes.

    What IGLUE calls zero-shot is scored on split 'test' (few_shot/{l}/test.json, 9,666 questions); split 'testdev' is
    the whole of GQA's testdev (12,578 questions, 'test', 'dev' and 'train' with `shots=48` together). An answer
    outside the labels has label -1. Arguments: see `BenchmarkDataset`. ::

        ann_root/xGQA/annotations/few_shot/{bn,de,en,id,ko,pt,ru,zh}/{test,dev}.json
                                                                     train_{1,5,10,20,25,48}.json
                                  zero_shot/testdev_balanced_questions_{l}.json        split testdev
                      annotations_machine-translate/few_shot/{l}/test_gmt.json         translate_test
                 gqa/annotations/trainval_{ans2label,label2ans}.json                   or .pkl
        image_root/images/n161313.jpg
    """

    known_languages = ('bn', 'de', 'en', 'id', 'ko', 'pt', 'ru', 'zh')
    splits = ('train', 'dev', 'test', 'testdev')
    known_shots = (1, 5, 10, 20, 25, 48)
    has_translations = True

    def read(self) -> list[QuestionRow]:
        """See `BenchmarkDataset`."""
        self.read_answers()
        return [row for language in self.languages for row in read_xgqa(self._file(language), language)]

    def _file(self, language: str) -> Path:
        root = self.ann_root / 'xGQA' / ('annotations_machine-translate' if self.translate_test else 'annotations')
        if self.split == 'testdev':
            return find_file(root / 'zero_shot', f'testdev_balanced_questions_{language}.json')
        stem = self.split if self.shots is None else f'train_{self.shots}'
        return find_file(root / 'few_shot' / language, f'{stem}_gmt.json' if self.translate_test else f'{stem}.json')
