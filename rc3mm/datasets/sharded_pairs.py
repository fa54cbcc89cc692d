"""Images with texts in several languages, or parallel texts, from a shard set."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from rc3mm.datasets.bad_rows import BadRowError, BadRowGuard
from rc3mm.datasets.base import Transform, VLDataset
from rc3mm.datasets.counter_random import uniforms
from rc3mm.datasets.image_sources import BadImageError, decode_image
from rc3mm.datasets.pair_drawing import NUM_UNIFORMS, PairDrawer, language_weights
from rc3mm.datasets.shards import ImageTextRecord, RelevanceScores, ShardSet
from rc3mm.datasets.shards.index import LONGEST
from rc3mm.datasets.shards.token_lengths import find_token_lengths
from rc3mm.datasets.transforms.image import DecodeImage
from rc3mm.datasets.transforms.text import Tokenize
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw

__all__ = ['ShardedPairs']

_CHUNK = 1 << 16  # rows looked at together
_TEXT_STREAM = 0x7E87  # tells the random stream of the texts from that of the transforms


@DATASETS.register_module()
class ShardedPairs(VLDataset):
    """Rows of a shard set: an image with two texts in two languages, two parallel texts, or an image with all texts.

    The two texts are chosen by the draw's seed, in random order (see `PairDrawer`): a training stream meets other
    pairs in later epochs, and an index alone always gives the same pair. Rows that have no such pair are left out from
    the start, and counted in the log.

    Memory does not grow with the set (4 bytes a row where rows are left out): what can be asked of texts without
    reading them comes from mapped arrays, rows are read a row group at a time, images stay encoded until `DecodeImage`
    (`image_path`, `image_bytes`). A row whose image is missing or cannot be decoded is replaced by the next good one
    (`BadRowGuard`); with `all_texts` it is an error, since an evaluation must be whole.

    Args:
        path: folder of the shard set.
        source: 'strict' (the texts of an image are translations), 'weak' (they are not), 'parallel' or 'retrieval';
            None for the set's kind.
        languages: only texts in these; None for all of the set.
        split: name of the split, for tables.
        all_texts: give every text of a row (a retrieval benchmark) instead of a pair.
        relevance: samples carry the relevance of their pair, and only pairs that have one are drawn: name of the
            scores beside the set, or 'stored' for those that the source brought; None for no relevance.
        language_temperature: T of the languages' weights, at least 1; above 1, rare languages are drawn more often.
        start: the first row used.
        stop: the row behind the last one used; None for the end.
        image_root: folder that relative paths of images start from; None for the set's own.
        max_bad_share: share of rows without a usable image that is put up with.
        seed: chooses the texts where a sample is asked for by its index alone.
        pipeline: transforms, as callables or config dicts.

    Raises:
        FileNotFoundError: the folder is no shard set, or has no such scores.
        ValueError: an argument does not fit, a language or every row is missing, or the scores are of another set.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        source: str | None = None,
        languages: Sequence[str] | None = None,
        split: str = 'train',
        all_texts: bool = False,
        relevance: str | None = None,
        language_temperature: float = 1.0,
        start: int = 0,
        stop: int | None = None,
        image_root: str | Path | None = None,
        max_bad_share: float = 0.01,
        seed: int = 0,
        pipeline: Sequence[dict[str, Any] | Transform] = (),
    ) -> None:
        super().__init__(seed=seed, pipeline=pipeline)
        steps = self.pipeline.transforms
        self.pipeline.transforms = [_Checked(step) if isinstance(step, DecodeImage) else step for step in steps]
        self.shards = ShardSet(path)
        manifest = self.shards.manifest
        self.source = source or manifest.kind
        self.languages = _check_languages(self.shards, languages, 1 if all_texts else 2)
        self.split, self.all_texts, self.relevance = split, all_texts, relevance
        self.image_root = manifest.image_root if image_root is None else str(image_root)
        if all_texts and relevance is not None:
            raise ValueError(f'{path}: relevance is of pairs; it cannot be had with all_texts')
        self.scores: RelevanceScores | None = None if relevance is None else self.shards.relevance(relevance)
        counts = {language: manifest.texts_by_language[language] for language in self.languages}
        self.drawer = PairDrawer(self.shards, language_weights(counts, language_temperature), self.scores)
        self.rows = self._select(start, stop)
        self.guard = BadRowGuard(str(path), len(self), self._row, 0.0 if all_texts else max_bad_share)
        tokenize = next((step for step in steps if isinstance(step, Tokenize)), None)
        measured = find_token_lengths(self.shards, tokenize) if tokenize else None
        self._lengths = self.shards.text_lengths if measured is None else measured
        self._max_length = tokenize.max_length if tokenize and measured is not None else LONGEST

    def _select(self, start: int, stop: int | None) -> range | np.ndarray:
        """The rows in use: all of the range, or those that have what a sample needs."""
        folder, rows = self.shards.folder, range(len(self.shards))[start:stop]
        if not rows:
            raise ValueError(f'{folder} has {len(self.shards)} rows, none of them in [{start}, {stop})')
        count, first = 0, -1  # usable rows; the first that is not
        for numbers, usable in self._looked_at(rows):
            count += int(usable.sum())
            if first < 0 and not usable.all():
                first = int(numbers[~usable][0])
        if count == len(rows):
            return rows
        what = 'text in one' if self.all_texts else 'texts in two'
        scored = f' with relevance {self.relevance!r}' if self.scores is not None else ''
        message = (
            f'{folder}: {len(rows) - count:,} of {len(rows):,} rows (the first is {first}) '
            f'have no {what} of the languages {", ".join(self.languages)}{scored}'
        )
        if self.all_texts:
            raise ValueError(f'{message}; an evaluation must be whole: choose other languages, or make a set with them')
        if not count:
            raise ValueError(f'{message}; choose other languages{", or score these" * bool(scored)}')
        print_log(f'{message}; they are left out', logger='current', level=logging.INFO)
        kept, end = np.empty(count, np.uint32 if rows.stop <= 1 << 32 else np.int64), 0
        for numbers, usable in self._looked_at(rows):  # once more, lest anything be kept where all rows are used
            part = numbers[usable]
            kept[end : end + len(part)] = part
            end += len(part)
        return kept

    def _looked_at(self, rows: range) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Numbers of rows, some at a time, and which of them are usable."""
        for start in range(rows.start, rows.stop, _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, rows.stop))
            yield numbers, self.drawer.readable(numbers) if self.all_texts else self.drawer.usable(numbers)

    def __len__(self) -> int:
        """Number of rows in use."""
        return len(self.rows)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Name, source, split, languages, number of items, relevance, and a fingerprint of the set."""
        return {
            'dataset_name': self.shards.folder.name,
            'source': self.source,
            'split': self.split,
            'languages': self.languages,
            'num_items': len(self),
            'relevance': self.relevance,
            'fingerprint': self.shards.manifest.fingerprint,
        }

    def get_image_id(self, index: int) -> str:
        """Id of a row, without reading its image."""
        return self.shards.record(self._row(index), image=False).image_id

    def get_texts(self, index: int) -> list[tuple[str, str]]:
        """The (language, text) pairs of a sample, without reading the image."""
        record = self.shards.record(self._row(index), image=False)
        return self._text_keys(record, index, (self.seed, index))['texts']

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index; `image_path` or `image_bytes` instead of `image`."""
        return self._sample(index, (self.seed, index))

    def scored_pairs(self) -> Iterator[tuple[tuple[str, str], tuple[str, str], float]]:
        """Pairs of texts of the rows in use that have a score, with it; what `PrecomputedRelevance` takes.

        Raises:
            ValueError: the dataset was made without `relevance`.
        """
        if self.relevance is None:
            raise ValueError(f'{self.shards.folder}: name the scores that are meant by relevance=NAME')
        return self.shards.scored_pairs(self.relevance, map(int, self.rows))

    def lengths(self, draws: Sequence[Draw]) -> np.ndarray:
        """Length of the longest text that each draw takes, from the index alone.

        In tokens of the pipeline's `Tokenize` if they were measured (`write_token_lengths`), else in UTF-8 bytes.

        Args:
            draws: of this dataset.

        Returns:
            int64 array, shape (len(draws),).
        """
        if self.all_texts:
            return super().lengths(draws)
        rows_N = self._row_numbers(np.array([draw.index for draw in draws], np.int64))
        pairs_N2 = self._pairs(rows_N, [draw.seed for draw in draws])
        lengths_N2 = self._lengths[self.shards.text_offsets[rows_N][:, None] + pairs_N2]
        return np.minimum(lengths_N2.max(1), self._max_length).astype(np.int64)

    def keep_blocks(self, block: int, blocks: int) -> None:
        """Keep so many blocks of consecutive items in memory, for who reads them in turns (`MixedSourceSampler`).

        Args:
            block: items a block.
            blocks: blocks that are read in turns.
        """
        size = self.shards.manifest.rows_per_group
        firsts = self._row_numbers(np.arange(0, len(self), block))
        lasts = self._row_numbers(np.minimum(np.arange(0, len(self), block) + block, len(self)) - 1)
        groups = np.sort(np.minimum(lasts // size - firsts // size + 1, block))
        self.shards.cached_groups, self.shards.whole_groups = int(groups[-blocks:].sum()), True

    def __getitem__(self, item: int | Draw) -> Any:
        """See `VLDataset`; a row whose image `DecodeImage` refuses is replaced."""
        return self.__getitems__([item])[0]

    def __getitems__(self, items: Sequence[int | Draw]) -> list[Any]:
        """Several samples, the same as one by one; drawing their texts together takes a fraction of the time.

        Args:
            items: all indices or all draws of one sampler, as a loader asks for them.
        """
        indices = [range(len(self))[item.index if isinstance(item, Draw) else item] for item in items]
        draws = [
            item if isinstance(item, Draw) else Draw(index, (self.seed, index))
            for item, index in zip(items, indices, strict=True)
        ]
        pairs: list[Any] = [None] * len(items)
        if not self.all_texts:
            pairs = self._pairs(self._row_numbers(np.array(indices, np.int64)), [draw.seed for draw in draws]).tolist()
        return [self._load(*one) for one in zip(indices, draws, pairs, strict=True)]

    def _load(self, index: int, draw: Draw, pair: Sequence[int] | None) -> Any:
        """The sample of an index, or of the next good row, after the pipeline; `pair` is that of the index."""

        def load(place: int) -> Any:
            sample = self._sample(place, draw.seed, pair if place == index else None)
            sample['rng'] = np.random.default_rng(draw.seed)
            if draw.iteration is not None:
                sample['iteration'], sample['step_seed'] = draw.iteration, draw.step_seed
            return self.pipeline(sample)

        return self.guard.first_good(index, load)

    def _row(self, index: int) -> int:
        return int(self.rows[index])

    def _row_numbers(self, indices_N: np.ndarray) -> np.ndarray:
        if isinstance(self.rows, range):
            return indices_N + self.rows.start
        return self.rows[indices_N].astype(np.int64)

    def _pairs(self, rows_N: np.ndarray, seeds: Sequence[tuple[int, ...]]) -> np.ndarray:
        numbers = uniforms([(*seed, _TEXT_STREAM) for seed in seeds], NUM_UNIFORMS)
        return self.drawer.draw(rows_N, numbers)

    def _sample(self, index: int, seed: tuple[int, ...], pair: Sequence[int] | None = None) -> dict[str, Any]:
        record = self.shards.record(self._row(index))
        sample = {'image_id': record.image_id, 'source': self.source, **self._text_keys(record, index, seed, pair)}
        if record.image_bytes is not None:
            sample['image_bytes'] = record.image_bytes
        elif record.image_path is not None:
            sample['image_path'] = os.path.join(self.image_root, record.image_path)
        return sample

    def _text_keys(
        self, record: ImageTextRecord, index: int, seed: tuple[int, ...], pair: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """`texts`, and `relevance` if it was asked for; the pair is drawn unless it is given."""
        if self.all_texts:
            return {'texts': [text for text in record.texts if text[0] in self.languages]}
        row = self._row(index)
        first, second = self._pairs(np.array([row]), [seed])[0].tolist() if pair is None else pair
        keys: dict[str, Any] = {'texts': [record.texts[first], record.texts[second]]}
        if self.scores is not None:
            keys['relevance'] = self.scores[row][min(first, second), max(first, second)]
        return keys


class _Checked:
    """`DecodeImage` whose failure is the row's fault; other transforms' errors stay what they are."""

    def __init__(self, decode: DecodeImage) -> None:
        self.decode = decode

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        try:
            sample['image'] = decode_image(sample, self.decode)
        except BadImageError as error:
            raise BadRowError(error.reason, f'{sample["image_id"]!r}: {error.detail}') from error
        sample.pop('image_bytes', None)
        return sample


def _check_languages(shards: ShardSet, languages: Sequence[str] | None, least: int) -> tuple[str, ...]:
    """The languages that are used, in the order given."""
    known = shards.manifest.languages
    wanted = tuple(dict.fromkeys(known if languages is None else languages))
    unknown = [language for language in wanted if language not in known]
    if unknown:
        raise ValueError(f'{shards.folder} has no texts in {", ".join(unknown)}; its languages are {", ".join(known)}')
    if len(wanted) < least:
        raise ValueError(f'{shards.folder}: pairs need two languages or more (all_texts: one), got {wanted}')
    return wanted
