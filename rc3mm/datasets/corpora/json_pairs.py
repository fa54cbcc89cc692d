"""Images with texts in several languages from JSON lines: CCLM's layout and a general one, which may be mixed.

- CCLM's: `{"binary": ..., "caption": {"en": ..., "de": ...}}`; `binary` is a base64-encoded image or a path (told apart
  by the dot of the path's extension), `image_id` is optional.
- The general one: `{"image": path, "image_id": ..., "texts": [["en", ...], ["de", ...]], "relevance": ...}`;
  `relevance` (optional) is one number for all pairs of texts, or `{"0-1": 0.7, ...}` by positions in `texts`. `url`
  may stand in the place of `image`.
"""

import base64
import binascii
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from rc3mm.datasets.corpora.converted import EMPTY_TEXT, Converted, FindImage, checked
from rc3mm.datasets.corpora.languages import Languages, is_language_code
from rc3mm.datasets.corpora.lines import Place, RowError, TextLines, decode_line
from rc3mm.datasets.corpora.texts import clean_text
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.record import ImageTextRecord

__all__ = ['MAX_JSON_BYTES', 'JsonPairs', 'parse_line']

MAX_JSON_BYTES = 64 << 20  # images may be in the line
TOO_FEW = 'texts in too few wanted languages'
UNWANTED_TEXT = '(a text of a row) in a language that is not wanted'
Scores = dict[tuple[int, int], float]


class JsonPairs:
    """Records of JSON lines; blank lines are left out.

    Args:
        files: the files, gzip or not.
        report: counts the lines.
        find_image: finds an image by its path; called for lines with a path alone.
        find_url: finds an image by its address; called for lines with an address alone.
        languages: only texts in these; None for all.
        min_languages: number of languages that a line must have.
        scorer: name of what scored the relevance in the lines.
        max_bytes: length of a line that is put up with.

    Raises:
        ValueError: two files have the same name but for their endings, by which images without an id are numbered.
    """

    def __init__(
        self,
        files: Sequence[Path],
        report: DropReport,
        find_image: FindImage,
        find_url: FindImage,
        languages: Languages | None = None,
        min_languages: int = 2,
        scorer: str | None = None,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> None:
        self.scorer = scorer
        self.files, self.report, self.languages = list(files), report, languages
        self.find_image, self.find_url = find_image, find_url
        self.min_languages, self.max_bytes = min_languages, max_bytes
        _check_names(self.files)

    def __call__(self, cursor: tuple[int, Place] | None) -> Iterator[Converted]:
        """Yield the records behind a cursor: number of the file, and the place in it."""
        number, start = cursor or (0, (0, 0))
        sizes = [path.stat().st_size for path in self.files]
        for current, path in enumerate(self.files[number:], start=number):
            lines = TextLines(path, max_bytes=self.max_bytes, start=start if current == number else (0, 0))
            for line in lines:
                if line == b'' or (isinstance(line, bytes) and line.isspace()):
                    continue
                self.report.read()
                try:
                    record = self._record(line, lines)
                except RowError as error:
                    self.report.fault(error.reason, lines.where, error.detail)
                    continue
                if record is not None:
                    self.report.kept()
                    done = sum(sizes[:current]) + lines.position
                    yield record, [current, list(lines.place)], done / max(sum(sizes), 1)

    def _record(self, line: bytes | RowError, lines: TextLines) -> ImageTextRecord | None:
        entries = _read_entries(line)
        image, texts, scores = parse_line(entries)
        kept = [place for place, (language, text) in enumerate(texts) if text and self._match(language)]
        spoken = {self._match(texts[place][0]) for place in kept}
        if len(spoken) < self.min_languages:
            found = sorted({language for language, text in texts if text})
            self.report.rule(TOO_FEW, lines.where, f'it has texts in {found}')
            return None
        image_id, url = entries.get('image_id'), entries.get('url')
        record = checked(
            ImageTextRecord(
                image_id=f'{_stem(lines.path)}-{lines.place[0]:09d}' if image_id is None else str(image_id),
                texts=tuple((self._match(texts[k][0]) or '', texts[k][1]) for k in kept),
                relevance=self._relevance(scores, kept, lines.where),
                source_id=lines.where,
                url=url if isinstance(url, str) else None,
            )
        )
        name = image.pop('image_name', None)
        if name is not None:
            found_image = self.find_image(name, lines.where, self.report)
        else:
            found_image = image or self.find_url(record.url or '', lines.where, self.report)
        if found_image is None:
            return None
        record = checked(dataclasses.replace(record, **found_image))
        self._count_other_texts(texts, lines.where)
        return record

    def _relevance(
        self, scores: Scores | None, kept: Sequence[int], where: str
    ) -> tuple[tuple[int, int, float], ...] | None:
        """Relevance of the texts that are kept, by their new positions."""
        if scores is None:
            return None
        if self.scorer is None:
            raise ValueError(f'{where} has relevance; say with --scorer what it was scored by')
        position = {old: new for new, old in enumerate(kept)}
        return tuple(
            (position[first], position[second], score)
            for (first, second), score in sorted(scores.items())
            if first in position and second in position
        )

    def _count_other_texts(self, texts: Sequence[tuple[str, str]], where: str) -> None:
        """Count the texts that a line loses."""
        unwanted = [language for language, _ in texts if self._match(language) is None]
        empty = [language for language, text in texts if self._match(language) is not None and not text]
        for reason, found in ((UNWANTED_TEXT, unwanted), (EMPTY_TEXT, empty)):
            if found:
                self.report.rule(reason, where, ', '.join(found), len(found))

    def _match(self, language: str) -> str | None:
        return language if self.languages is None else self.languages.match(language)


def parse_line(entries: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]], Scores | None]:
    """What a line holds.

    Args:
        entries: the JSON object.

    Returns:
        `image_name` (a path) or `image_bytes`, or neither if there is a `url`; (language, text) pairs, empty texts
        included, since relevance goes by position; relevance by positions (smaller first), or None.

    Raises:
        RowError: it has another form.
    """
    texts = _read_texts(entries)
    return _read_image(entries), texts, _read_relevance(entries.get('relevance'), texts)


def _check_names(files: Sequence[Path]) -> None:
    named: dict[str, Path] = {}
    for path in files:
        other = named.setdefault(_stem(path), path)
        if other is not path:
            raise ValueError(
                f'{other} and {path} are both called {_stem(path)!r}, but images without an id are numbered by file '
                'names: rename one of them'
            )


def _stem(path: Path) -> str:
    return path.name.removesuffix('.gz').rpartition('.')[0] or path.name


def _read_entries(line: bytes | RowError) -> dict[str, Any]:
    text = decode_line(line)
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError('not JSON', str(error)) from error
    if not isinstance(entries, dict):
        raise RowError('not a JSON object', f'but a {type(entries).__name__}')
    return entries


def _read_image(entries: Mapping[str, Any]) -> dict[str, Any]:
    image, binary, url = (entries.get(key) for key in ('image', 'binary', 'url'))
    if isinstance(image, str) and image:
        return {'image_name': image}
    if not isinstance(binary, str) or not binary:
        if isinstance(url, str) and url:
            return {}
        raise RowError('no image', f'neither `image` nor `binary` nor `url` is a text; keys: {sorted(entries)}')
    if '.' in binary:  # never part of base64
        return {'image_name': binary}
    try:
        return {'image_bytes': base64.b64decode(binary, validate=True)}
    except (binascii.Error, ValueError) as error:
        raise RowError('broken base64', f'{error}; a path needs an extension') from error


def _read_texts(entries: Mapping[str, Any]) -> list[tuple[str, str]]:
    caption, texts = entries.get('caption'), entries.get('texts')
    pairs = list(caption.items()) if isinstance(caption, dict) else texts
    if not isinstance(pairs, list):
        raise RowError('no texts', f'no `caption` object and no `texts` list; keys: {sorted(entries)}')
    for pair in pairs:
        if not isinstance(pair, list | tuple) or [type(part) for part in pair] != [str, str]:
            raise RowError('texts are not pairs of language and text', f'but {str(pair)[:80]}')
        if not is_language_code(pair[0]):
            raise RowError('unknown language', f'{pair[0][:40]!r} is no code such as en or zh-TW')
    return [(language, clean_text(text)) for language, text in pairs]


def _read_relevance(value: Any, texts: Sequence[tuple[str, str]]) -> Scores | None:
    """Relevance by pair of positions (smaller first), or None."""
    if value is None:
        return None
    scores = list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores):
        raise RowError('relevance outside [0, 1]', str(value)[:80])
    if not isinstance(value, dict):
        pairs = combinations(range(len(texts)), 2)
        return {(a, b): float(value) for a, b in pairs if texts[a][0] != texts[b][0]}
    try:
        places = {key: sorted(map(int, key.split('-'))) for key in value}
        read = {(first, second): float(value[key]) for key, (first, second) in places.items()}
    except ValueError as error:
        raise RowError('relevance keys are not pairs of positions such as "0-1"', str(value)[:80]) from error
    if any(not 0 <= first < second < len(texts) for first, second in read):
        raise RowError('relevance of texts that are not there', f'{str(value)[:80]}, but {len(texts)} texts')
    return read
