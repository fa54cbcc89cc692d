"""What the readers of corpora give and take."""

from collections.abc import Sequence
from typing import Any, Protocol

from rc3mm.datasets.corpora.lines import RowError
from rc3mm.datasets.corpora.texts import clean_text
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.record import ImageTextRecord, RecordError

__all__ = ['EMPTY_TEXT', 'Converted', 'FindImage', 'checked', 'pick_texts']

EMPTY_TEXT = '(a text of a row) empty'

# A record, the cursor to go on from behind it (types of JSON), and the share of the corpus that was read.
Converted = tuple[ImageTextRecord, Any, float]


class FindImage(Protocol):
    """Finds the image of a record by its address or path."""

    def __call__(self, name: str, where: str, report: DropReport, rows: int = 1, /) -> dict[str, Any] | None:
        """`image_bytes` or `image_path` of a record, {} for neither; None, and `rows` are counted, to leave it out."""


def checked(record: ImageTextRecord) -> ImageTextRecord:
    """The record, if a shard may hold it.

    Raises:
        RowError: it may not.
    """
    try:
        return record.check()
    except RecordError as error:
        raise RowError('no valid record', str(error)) from error


def pick_texts(texts: Sequence[tuple[str, str]], where: str, report: DropReport) -> list[tuple[str, str]]:
    """The texts, cleaned; empty ones are left out and counted apart from rows."""
    cleaned = [(language, clean_text(text)) for language, text in texts]
    empty = [language for language, text in cleaned if not text]
    if empty:
        report.rule(EMPTY_TEXT, where, ', '.join(empty), len(empty))
    return [(language, text) for language, text in cleaned if text]
