"""WikiMatrix: parallel sentences mined from Wikipedia (Schwenk et al. 2021)."""

import logging
import re
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from rc3mm.datasets.base import Transform, VLDataset
from rc3mm.datasets.line_index import LineIndex
from rc3mm.registry import DATASETS

__all__ = ['WikiMatrix']

_NAME = re.compile(r'WikiMatrix\.([^-.]+)-([^-.]+)\.tsv')
_TEXT_STREAM = 0x7E87  # tells the random stream of the texts from that of the transforms


@DATASETS.register_module()
class WikiMatrix(VLDataset):
    """Pairs of sentences that translate each other, from `WikiMatrix.{aa-bb}.tsv` files.

    A row is a margin score, a sentence in aa and one in bb, separated by tabs. Only rows whose margin reaches
    the threshold count; rows of another form are left out and, when the index is made, counted and warned
    of. A sample holds the two sentences in an order that depends on (seed, index).

    Args:
        files: the files, decompressed; their names tell the languages.
        threshold: least margin score; 1.04 is what the authors recommend.
        split: name of the split, for tables.
        cache_dir: see `LineIndex`.
        seed: chooses the order within the pairs.
        pipeline: transforms, as callables or config dicts.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is compressed, has another name or no row above the threshold; or there is no file.
    """

    source = 'parallel'

    def __init__(
        self,
        *,
        files: Sequence[str | Path],
        threshold: float = 1.04,
        split: str = 'train',
        cache_dir: str | Path | None = None,
        seed: int = 0,
        pipeline: Sequence[dict[str, Any] | Transform] = (),
    ) -> None:
        super().__init__(seed=seed, pipeline=pipeline)
        if not files:
            raise ValueError('WikiMatrix needs at least one file')
        self.threshold, self.split = threshold, split
        self.codes = [_languages_of(Path(file)) for file in files]
        self.parts = [_index_rows(Path(file), threshold, cache_dir) for file in files]
        self.ends = np.array(list(accumulate(len(part) for part in self.parts)))

    def __len__(self) -> int:
        """Number of rows above the threshold in all files."""
        return int(self.ends[-1])

    @property
    def metainfo(self) -> dict[str, Any]:
        """Name, source, split, languages, threshold and number of items."""
        return {
            'dataset_name': 'WikiMatrix',
            'source': self.source,
            'split': self.split,
            'languages': tuple(sorted({code for codes in self.codes for code in codes})),
            'threshold': self.threshold,
            'num_items': len(self),
        }

    def get_sample(self, index: int) -> dict[str, Any]:
        """Two (language, sentence) pairs as `texts`; `image_id` names the file's languages and the row."""
        number = int(np.searchsorted(self.ends, index, side='right'))
        part, codes = self.parts[number], self.codes[number]
        row = index - (int(self.ends[number - 1]) if number else 0)
        _, *sentences = part.line(row).decode('utf-8', errors='replace').split('\t')
        texts = list(zip(codes, sentences, strict=True))
        if np.random.default_rng((self.seed, index, _TEXT_STREAM)).random() < 0.5:
            texts.reverse()
        return {
            'image_id': f'wikimatrix-{"-".join(codes)}-{part.number(row)}',
            'source': self.source,
            'texts': texts,
        }


def _languages_of(path: Path) -> tuple[str, str]:
    if path.suffix == '.gz':
        raise ValueError(
            f'{path} is compressed, which allows no random access: decompress it (`gunzip -k {path}`) and '
            f'give {path.with_suffix("").name}'
        )
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f'{path}: expected a name such as WikiMatrix.de-en.tsv, which tells the languages')
    return match[1], match[2]


class _AboveThreshold:
    """Which rows count; rows that have another form than (margin, sentence, sentence) are counted."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.malformed = 0

    def __call__(self, line: bytes) -> bool:
        columns = line.split(b'\t')
        try:
            margin = float(columns[0])
        except ValueError:
            margin = float('nan')
        if len(columns) != 3 or not all(column.strip() for column in columns) or margin != margin:
            self.malformed += 1
            return False
        return margin >= self.threshold


def _index_rows(path: Path, threshold: float, cache_dir: str | Path | None) -> LineIndex:
    if not path.is_file() and Path(f'{path}.gz').is_file():
        raise FileNotFoundError(f'no file {path}, but {path}.gz: decompress it (`gunzip -k {path}.gz`)')
    keep = _AboveThreshold(threshold)
    index = LineIndex(path, keep, label=f'margin{threshold:g}', cache_dir=cache_dir)
    if keep.malformed:
        print_log(
            f'{path}: {keep.malformed} rows are not (margin score, source, target) and were left out',
            logger='current',
            level=logging.WARNING,
        )
    if len(index) == 0:
        raise ValueError(f'{path}: no row is (margin score, source, target) with a margin of {threshold:g} or more')
    return index
