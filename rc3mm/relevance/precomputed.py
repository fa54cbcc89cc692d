"""Textual relevance that was scored before, looked up by the texts."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rc3mm.registry import RELEVANCE_SCORERS
from rc3mm.relevance.base import Pair, RelevanceScorer, Text
from rc3mm.relevance.calibration import Calibration

__all__ = ['PrecomputedRelevance']


@RELEVANCE_SCORERS.register_module()
class PrecomputedRelevance(RelevanceScorer):
    """Relevance of pairs of texts that were scored beforehand, whichever comes first.

    Twelve bytes a pair are kept in memory: a digest and the score.

    Args:
        scores: folder of a shard set, or ((language, text), (language, text), score) triples.
        name: of a shard set, the folder of scores below `relevance/`, or 'stored' for those that its source brought.

    Raises:
        FileNotFoundError: no such shard set or folder of scores.
        ValueError: a score outside [0, 1], no scores at all, or scores that do not fit the shards.
    """

    # What is looked up is relevance already.
    calibration = Calibration(0.0, 1.0)

    def __init__(self, scores: str | Path | Iterable[tuple[Text, Text, float]], name: str = 'stored') -> None:
        self._source = str(scores) if isinstance(scores, str | Path) else 'triples'
        self._name = name
        triples = _from_shards(Path(scores), name) if isinstance(scores, str | Path) else scores
        keys, values = [], []
        for first, second, score in triples:
            if not 0 <= score <= 1:
                raise ValueError(f'{self._source}: relevance {score} of {first} and {second} is not in [0, 1]')
            keys.append(_pair_key(_digest(first), _digest(second)))
            values.append(score)
        if not keys:
            raise ValueError(f'{self._source}: there are no scores')
        self._keys, index = np.unique(np.array(keys, np.uint64), return_index=True)
        self._scores = np.array(values, np.float32)[index]

    @property
    def config(self) -> dict[str, Any]:
        """Where the scores come from."""
        return {'type': type(self).__name__, 'scores': self._source, 'name': self._name}

    def encode(self, texts: Sequence[Text]) -> np.ndarray:
        """The texts themselves, as an object array."""
        out = np.empty(len(texts), dtype=object)
        out[:] = [tuple(text) for text in texts] or None
        return out

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Scores of pairs.

        Raises:
            ValueError: a pair was not scored.
        """
        pairs: list[Pair] = list(zip(first, second, strict=True))
        keys = np.array([_pair_key(_digest(a), _digest(b)) for a, b in pairs], np.uint64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        missing = np.flatnonzero(self._keys[places] != keys)
        if len(missing):
            raise ValueError(
                f'{self._source}: {len(missing)} of {len(pairs)} pairs have no score, such as {pairs[missing[0]]}; '
                'score them with tools/score_relevance.py'
            )
        return self._scores[places]


def _digest(text: Text) -> bytes:
    return hashlib.blake2b('\0'.join(text).encode('utf-8', 'surrogatepass'), digest_size=16).digest()


def _pair_key(first: bytes, second: bytes) -> int:
    """The same for both orders."""
    return int.from_bytes(hashlib.blake2b(min(first, second) + max(first, second), digest_size=8).digest(), 'little')


def _from_shards(folder: Path, name: str) -> Iterator[tuple[Text, Text, float]]:
    """Scored pairs of a shard set, read from its Parquet files."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'scores of shard sets are Parquet files, read by pyarrow: pip install pyarrow'
        ) from error
    parts = sorted(folder.glob('part-*.parquet'))
    if not parts:
        raise FileNotFoundError(f'{folder} is no shard set: there is no part-*.parquet')
    for part in parts:
        beside = part if name == 'stored' else folder / 'relevance' / name / part.name
        if not beside.is_file():
            there = ', '.join(sorted(path.name for path in (folder / 'relevance').glob('*'))) or 'none'
            raise FileNotFoundError(f'there is no {beside}; scorers with scores there: {there}')
        rows = pq.read_table(part, columns=['texts'])['texts'].to_pylist()
        scored = pq.read_table(beside, columns=['relevance'])['relevance'].to_pylist()
        if len(rows) != len(scored):
            raise ValueError(f'{beside} has {len(scored)} rows of scores but {part} has {len(rows)}: score it again')
        for texts, scores in zip(rows, scored, strict=True):
            pairs = [(text['language'], text['text']) for text in texts]
            for score in scores or ():
                yield pairs[score['first']], pairs[score['second']], score['score']
