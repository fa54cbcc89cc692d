"""ImageTextRecord: a row of a shard set."""

import math
from dataclasses import dataclass

__all__ = ['ImageTextRecord', 'RecordError', 'check_scores']


class RecordError(ValueError):
    """A record that no shard may hold; the message says which and what is wrong."""


@dataclass(frozen=True, slots=True)
class ImageTextRecord:
    """An image with its texts; for parallel text, texts alone.

    Attributes:
        image_id: not empty; rows with the same id have the same image.
        texts: (language, text) pairs, neither part empty.
        image_bytes: the encoded image, where the set holds it.
        image_path: else its path, relative to the set's `image_root` or absolute.
        relevance: (first, second, score) by positions in `texts`, first below second, score in [0, 1]; None if
            the source brings none.
        source_id: where the record came from, such as 'cc3m/train.jsonl:17'.
        url: address of the image.
    """

    image_id: str
    texts: tuple[tuple[str, str], ...]
    image_bytes: bytes | None = None
    image_path: str | None = None
    relevance: tuple[tuple[int, int, float], ...] | None = None
    source_id: str | None = None
    url: str | None = None

    def check(self) -> 'ImageTextRecord':
        """Itself, if all is well.

        Raises:
            RecordError: a part is empty, no valid text, or relevance does not fit the texts.
        """
        where = f'record {self.image_id!r}' + (f' ({self.source_id})' if self.source_id else '')
        if not self.image_id:
            raise RecordError(f'{where} has an empty image_id')
        if not self.texts:
            raise RecordError(f'{where} has no texts')
        for position, (language, text) in enumerate(self.texts):
            if not language.strip() or not text.strip():
                raise RecordError(f'{where}: text {position} is empty or has no language: {(language, text)!r}')
        strings = [self.image_id, self.image_path, self.source_id, self.url, *(p for pair in self.texts for p in pair)]
        for string in strings:
            if string is not None and not _is_valid(string):
                raise RecordError(f'{where}: {string[:80]!r} is no valid text (half of a surrogate pair in it)')
        if self.relevance is not None:
            check_scores(self.relevance, len(self.texts), where)
        return self


def check_scores(scores: tuple[tuple[int, int, float], ...], num_texts: int, where: str) -> None:
    """Make sure that scores are of different pairs of texts and within [0, 1].

    Raises:
        RecordError: they are not.
    """
    seen = set()
    for first, second, score in scores:
        if not 0 <= first < second < num_texts:
            raise RecordError(
                f'{where}: relevance of texts {first} and {second}, but 0 <= first < second < {num_texts}'
            )
        if (first, second) in seen:
            raise RecordError(f'{where}: relevance of texts {first} and {second} comes twice')
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise RecordError(f'{where}: relevance {score} of texts {first} and {second} is outside [0, 1]')
        seen.add((first, second))


def _is_valid(string: str) -> bool:
    try:
        string.encode()
    except UnicodeEncodeError:
        return False
    return True
