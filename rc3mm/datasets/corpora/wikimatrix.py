"""WikiMatrix (Schwenk et al. 2021): sentences of Wikipedia that translate each other, with a margin score."""

import re
from collections.abc import Iterator
from pathlib import Path

from rc3mm.datasets.corpora.converted import Converted, checked
from rc3mm.datasets.corpora.lines import Place, RowError, TextLines, decode_line
from rc3mm.datasets.corpora.texts import clean_text, text_key
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.record import ImageTextRecord

__all__ = ['ParallelSentences', 'languages_of']

_NAME = re.compile(r'WikiMatrix\.([^-.]+)-([^-.]+)\.tsv(\.gz)?')


def languages_of(path: Path) -> tuple[str, str]:
    """The languages of a file, from its name.

    Raises:
        ValueError: it has another name.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f'{path}: expected a name such as WikiMatrix.de-en.tsv.gz, which tells the languages')
    return match[1], match[2]


class ParallelSentences:
    """Records of a file of (margin score, sentence, sentence) rows.

    Args:
        path: the file, gzip or not; its name tells the languages.
        threshold: least margin score.
        report: counts the rows.
    """

    def __init__(self, path: Path, threshold: float, report: DropReport) -> None:
        self.path, self.threshold, self.report = path, threshold, report
        self.languages = languages_of(path)

    def __call__(self, cursor: Place | None) -> Iterator[Converted]:
        """Yield the records behind a cursor: the place in the file."""
        lines = TextLines(self.path, start=cursor or (0, 0))
        prefix = f'wikimatrix-{"-".join(self.languages)}'
        below = 0
        for line in lines:
            self.report.read()
            try:
                margin, sentences = _parse(line)
                if margin < self.threshold:
                    below += 1
                    continue
                record = self._record(sentences, f'{prefix}-{lines.place[0]}', lines.where)
            except RowError as error:
                self.report.fault(error.reason, lines.where, error.detail)
                continue
            if record is not None:
                below = self._count_below(below)
                self.report.kept()
                yield record, list(lines.place), lines.position / max(lines.size, 1)
        self._count_below(below)

    def _count_below(self, count: int) -> int:
        if count:  # most rows: counted together
            self.report.rule(f'margin below {self.threshold:g}', count=count)
        return 0

    def _record(self, sentences: list[str], name: str, where: str) -> ImageTextRecord | None:
        first, second = (clean_text(sentence) for sentence in sentences)
        if not first or not second:
            raise RowError('empty sentence', repr(sentences)[:80])
        if text_key(first) == text_key(second):
            self.report.rule('both sides alike', where, first)
            return None
        return checked(ImageTextRecord(name, tuple(zip(self.languages, (first, second), strict=True)), source_id=where))


def _parse(line: bytes | RowError) -> tuple[float, list[str]]:
    score, *sentences = decode_line(line).split('\t')
    if len(sentences) != 2:
        raise RowError('wrong number of columns', f'{len(sentences) + 1} instead of 3: {score[:80]!r}')
    try:
        margin = float(score)
    except ValueError:
        margin = float('nan')
    if margin != margin:
        raise RowError('margin is no number', repr(score[:80]))
    return margin, sentences
