"""Images with texts in several languages, from a file of JSON lines."""

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rc3mm.datasets.bad_lines import BadLineError, BadLineGuard
from rc3mm.datasets.base import Transform, VLDataset
from rc3mm.datasets.line_index import LineIndex
from rc3mm.datasets.transforms.image import DecodeImage
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw

__all__ = ['JsonLinesPairs']

_TEXT_STREAM = 0x7E87  # tells the random stream of the texts from that of the transforms

Text = tuple[str, str]


@DATASETS.register_module()
class JsonLinesPairs(VLDataset):
    """One image a line, with texts in several languages. Two layouts, which may be mixed:

    - CCLM's: `{"binary": ..., "caption": {"en": ..., "de": ...}}`, `binary` a base64-encoded image or a path
      (told apart by the dot of the path's extension), `image_id` optional;
    - the general one: `{"image": path, "image_id": ..., "texts": [["en", ...], ["de", ...]], "relevance":
      ...}`, where `relevance` (optional) is one number for all pairs of texts, or `{"0-1": 0.7, ...}` by
      positions in `texts`.

    A sample holds two texts in two different languages in random order, chosen by the draw's seed: a training
    stream meets other pairs in later epochs, and an index alone always gives the same pair. If a line has
    relevance by pairs, only those pairs are chosen.

    Memory does not grow with the file: lines are found by a memory-mapped index (`LineIndex`), images stay
    encoded until `DecodeImage` (`image_path`, `image_bytes`). A line that cannot be used, or whose image
    `DecodeImage` cannot decode, is replaced by the next good one (`BadLineGuard`); with `all_texts` it is
    an error, since an evaluation must be whole.

    Args:
        path: the file.
        source: 'strict' (the texts of an image are translations), 'weak' (they are not), or 'retrieval'.
        languages: only texts in these; None for all.
        image_root: folder that relative paths of images start from.
        all_texts: give every text of an image (a retrieval benchmark) instead of a pair.
        need_relevance: a line without relevance is a bad one.
        start: number of the first line used.
        stop: number of the line behind the last one used; None for the end of the file.
        max_bad_share: share of bad lines that is put up with.
        split: name of the split, for tables.
        cache_dir: see `LineIndex`.
        seed: chooses the texts where a sample is asked for by its index alone.
        pipeline: transforms, as callables or config dicts.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an argument does not fit, or no line is left.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        source: str,
        languages: Sequence[str] | None = None,
        image_root: str | Path = '',
        all_texts: bool = False,
        need_relevance: bool = False,
        start: int = 0,
        stop: int | None = None,
        max_bad_share: float = 0.01,
        split: str = 'train',
        cache_dir: str | Path | None = None,
        seed: int = 0,
        pipeline: Sequence[dict[str, Any] | Transform] = (),
    ) -> None:
        super().__init__(seed=seed, pipeline=pipeline)
        if languages is not None and len(set(languages)) < (1 if all_texts else 2):
            raise ValueError(f'pairs need two languages or more (all_texts: one), got {tuple(languages)}')
        steps = self.pipeline.transforms
        self.pipeline.transforms = [_Checked(step) if isinstance(step, DecodeImage) else step for step in steps]
        self.lines = LineIndex(path, cache_dir=cache_dir)
        self.positions = range(len(self.lines))[start:stop]
        if not self.positions:
            raise ValueError(f'{path} has {len(self.lines)} lines, none of them in [{start}, {stop})')
        self.guard = BadLineGuard(self.lines, 0.0 if all_texts else max_bad_share)
        self.source, self.split, self.image_root = source, split, str(image_root)
        self.languages = tuple(languages) if languages is not None else None
        self.all_texts, self.need_relevance = all_texts, need_relevance

    def __len__(self) -> int:
        """Number of lines in use."""
        return len(self.positions)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Name, source, split, languages (None: all that occur) and number of items."""
        return {
            'dataset_name': self.lines.path.stem,
            'source': self.source,
            'split': self.split,
            'languages': self.languages,
            'num_items': len(self),
        }

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index; `image_path` or `image_bytes` instead of `image`."""
        seed = (self.seed, index)
        return self.guard.first_good(index, lambda place: self._parse(place, seed), self.positions)

    def __getitem__(self, item: int | Draw) -> Any:
        """See `VLDataset`; a bad line, or one whose image `DecodeImage` refuses, is replaced."""
        index = range(len(self))[item.index if isinstance(item, Draw) else item]
        draw = item if isinstance(item, Draw) else Draw(index, (self.seed, index))

        def load(place: int) -> Any:
            sample = self._parse(place, draw.seed)
            sample['rng'] = np.random.default_rng(draw.seed)
            if draw.iteration is not None:
                sample['iteration'], sample['step_seed'] = draw.iteration, draw.step_seed
            return self.pipeline(sample)

        return self.guard.first_good(index, load, self.positions)

    def _parse(self, place: int, seed: tuple[int, ...]) -> dict[str, Any]:
        record = _read_record(self.lines.line(place))
        sample: dict[str, Any] = {
            'image_id': str(record.get('image_id', f'{self.lines.path.stem}-{self.lines.number(place):09d}')),
            'source': self.source,
        }
        image = _read_image(record)
        if 'image_path' in image:
            image['image_path'] = os.path.join(self.image_root, image['image_path'])
        sample |= image
        texts = _read_texts(record)
        wanted = [k for k, (language, text) in enumerate(texts) if text and self._is_wanted(language)]
        if self.all_texts:
            if not wanted:
                raise BadLineError('no text in a wanted language', _languages(texts))
            return sample | {'texts': [texts[k] for k in wanted]}
        rng = np.random.default_rng((*seed, _TEXT_STREAM))
        return sample | self._draw_pair(texts, wanted, record.get('relevance'), rng)

    def _is_wanted(self, language: str) -> bool:
        return self.languages is None or language in self.languages

    def _draw_pair(
        self, texts: list[Text], wanted: list[int], relevance: Any, rng: np.random.Generator
    ) -> dict[str, Any]:
        """`texts`, and `relevance` if there is any; two languages are drawn, then a text of each."""
        pairs = [pair for pair in combinations(wanted, 2) if texts[pair[0]][0] != texts[pair[1]][0]]
        if not pairs:
            raise BadLineError('no texts in two wanted languages', _languages(texts))
        scores = _read_relevance(relevance)
        if isinstance(scores, dict):
            pairs = [pair for pair in pairs if pair in scores]
        if (scores is None and self.need_relevance) or not pairs:
            raise BadLineError('no relevance', 'of any pair of texts in two wanted languages')
        spoken = {pair: tuple(sorted((texts[pair[0]][0], texts[pair[1]][0]))) for pair in pairs}
        choices = sorted(set(spoken.values()))
        chosen = choices[int(rng.integers(len(choices)))]
        pairs = [pair for pair in pairs if spoken[pair] == chosen]
        first, second = pair = pairs[int(rng.integers(len(pairs)))]
        drawn = [texts[first], texts[second]] if rng.random() < 0.5 else [texts[second], texts[first]]
        if scores is None:
            return {'texts': drawn}
        return {'texts': drawn, 'relevance': scores[pair] if isinstance(scores, dict) else scores}


class _Checked:
    """`DecodeImage` whose failure is the line's fault; other transforms' errors stay what they are."""

    def __init__(self, decode: DecodeImage) -> None:
        self.decode = decode

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.decode(sample)
        except (ValueError, SyntaxError, Image.DecompressionBombError) as error:  # the last two: Pillow's own
            raise BadLineError('broken image', str(error)) from error


def _languages(texts: Sequence[Text]) -> str:
    return f'it has texts in {[language for language, text in texts if text]}'


def _read_record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:  # UnicodeDecodeError too
        raise BadLineError('not JSON', str(error)) from error
    if not isinstance(record, dict):
        raise BadLineError('not a JSON object', f'but a {type(record).__name__}')
    return record


def _read_image(record: Mapping[str, Any]) -> dict[str, Any]:
    """`image_path` as it stands in the line, or `image_bytes`."""
    image = record.get('image')
    binary = record.get('binary')
    if isinstance(image, str) and image:
        return {'image_path': image}
    if not isinstance(binary, str) or not binary:
        raise BadLineError('no image', f'neither `image` nor `binary` is a text; keys: {sorted(record)}')
    if '.' in binary:  # never part of base64
        return {'image_path': binary}
    try:
        return {'image_bytes': base64.b64decode(binary, validate=True)}
    except (binascii.Error, ValueError) as error:
        raise BadLineError('broken base64', f'{error}; a path needs an extension') from error


def _read_texts(record: Mapping[str, Any]) -> list[Text]:
    """(language, text) pairs, empty texts included: relevance is by position."""
    caption, texts = record.get('caption'), record.get('texts')
    pairs = list(caption.items()) if isinstance(caption, dict) else texts
    if not isinstance(pairs, list):
        raise BadLineError('no texts', f'no `caption` object and no `texts` list; keys: {sorted(record)}')
    for pair in pairs:
        if not isinstance(pair, list | tuple) or [type(part) for part in pair] != [str, str]:
            raise BadLineError('texts are not pairs of language and text', f'but {str(pair)[:80]}')
    return [(language, text.strip()) for language, text in pairs]


def _read_relevance(value: Any) -> float | dict[tuple[int, int], float] | None:
    """Relevance of all pairs, or by pair of positions (smaller first), or None."""
    if value is None:
        return None
    scores = value.values() if isinstance(value, dict) else [value]
    if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores):
        raise BadLineError('relevance outside [0, 1]', str(value)[:80])
    if not isinstance(value, dict):
        return float(value)
    try:
        pairs = {key: sorted(map(int, key.split('-'))) for key in value}
        return {(first, second): float(value[key]) for key, (first, second) in pairs.items()}
    except ValueError as error:
        reason = 'relevance keys are not pairs of positions such as "0-1"'
        raise BadLineError(reason, str(value)[:80]) from error
