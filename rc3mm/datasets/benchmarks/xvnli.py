"""XVNLI (Bugliarello et al. 2022): does a picture entail a sentence? SNLI's hypotheses with Flickr30k's images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rc3mm.datasets.benchmarks.base import AnswerBenchmark
from rc3mm.datasets.benchmarks.reading import find_file, read_json_lines
from rc3mm.registry import DATASETS

__all__ = ['ANSWERS', 'XVNLI', 'XvnliRow', 'read_xvnli']

ANSWERS = ('contradiction', 'neutral', 'entailment')  # in the order of IGLUE's labels
NO_GOLD = '-'  # the annotators did not agree


@dataclass(frozen=True, slots=True)
class XvnliRow:
    """A line.

    Attributes:
        language: language code.
        pair_id: unique within a language.
        image_id: Flickr30k's number of the image.
        hypothesis: `sentence2`; the premise is not used, the image stands for it.
        gold: one of `ANSWERS`, or '-' where there is no gold label.
    """

    language: str
    pair_id: str
    image_id: str
    hypothesis: str
    gold: str


def read_xvnli(path: Path, language: str) -> list[XvnliRow]:
    """The lines of a file.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a line is malformed, or its label unknown.
    """
    return [
        XvnliRow(
            language=language,
            pair_id=entry.name('pairID'),
            image_id=entry.name('Flikr30kID'),  # spelled so
            hypothesis=entry.text('sentence2'),
            gold=entry.one_of('gold_label', (*ANSWERS, NO_GOLD)),
        )
        for entry in read_json_lines(path)
    ]


@DATASETS.register_module()
class XVNLI(AnswerBenchmark[XvnliRow]):
    """XVNLI in IGLUE's layout: an image and a hypothesis, answered by contradiction, neutral or entailment.

    The 14 items of the test set whose gold label is "-" stay, with label -1: they are in IGLUE's denominator, and not
    in CCLM's. Arguments: see `BenchmarkDataset`. ::

        ann_root/XVNLI/annotations/{ar,en,es,fr,ru}/test.jsonl
                                                    train_{1,5,10,20,25,48}.jsonl      shots, so many images
                                   en/{train,dev}.jsonl
                       annotations_machine-translate/{ar,es,fr,ru}/test.jsonl          translate_test
        image_root/flickr30k-images/759822302.jpg
    """

    source = 'xvnli'
    known_languages = ('ar', 'en', 'es', 'fr', 'ru')
    splits = ('train', 'dev', 'test')
    known_shots = (1, 5, 10, 20, 25, 48)
    has_translations = True
    official_template = 'flickr30k-images/{image_id}.jpg'
    answers = ANSWERS

    def read(self) -> list[XvnliRow]:
        """See `BenchmarkDataset`."""
        folder = 'annotations_machine-translate' if self.translate_test else 'annotations'
        stem = self.split if self.shots is None else f'train_{self.shots}'
        root = self.ann_root / 'XVNLI' / folder
        return [
            row
            for language in self.languages
            for row in read_xvnli(find_file(root / language, f'{stem}.jsonl'), language)
        ]

    def to_sample(self, row: XvnliRow) -> dict[str, Any]:
        """See `BenchmarkDataset`."""
        return {
            'item_id': f'{row.language}-{row.pair_id}',
            'image_id': row.image_id,
            'source': self.source,
            'image_path': self.image_path(image_id=row.image_id),
            'texts': [(row.language, row.hypothesis)],
            'label': ANSWERS.index(row.gold) if row.gold in ANSWERS else -1,
            'answer': row.gold,
        }
