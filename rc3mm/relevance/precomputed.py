"""Textual relevance that was scored before, looked up by the texts."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rc3mm.registry import DATASETS, RELEVANCE_SCORERS
from rc3mm.relevance.base import Pair, RelevanceScorer, Text
from rc3mm.relevance.calibration import Calibration

__all__ = ['PrecomputedRelevance']


@RELEVANCE_SCORERS.register_module()
class PrecomputedRelevance(RelevanceScorer):
    """Relevance of pairs of texts that were scored beforehand, whichever comes first.

    Twelve bytes a pair are kept in memory: a digest and the score.

    Args:
        scores: ((language, text), (language, text), score) triples, such as `ShardSet.scored_pairs` gives; or config of
            a dataset whose `scored_pairs` gives them: `dict(type=ShardedPairs, path=..., relevance=NAME)`.

    Raises:
        TypeError: neither triples nor config of a dataset that has some.
        ValueError: a score outside [0, 1], or no scores at all.
    """

    # What is looked up is relevance already.
    calibration = Calibration(0.0, 1.0)

    def __init__(self, scores: dict[str, Any] | Iterable[tuple[Text, Text, float]]) -> None:
        keys, values = [], []
        for first, second, score in _triples(scores):
            if not 0 <= score <= 1:
                raise ValueError(f'relevance {score} of {first} and {second} is not in [0, 1]')
            keys.append(_pair_key(_digest(first), _digest(second)))
            values.append(score)
        if not keys:
            raise ValueError('PrecomputedRelevance was given no scores')
        self._keys, index = np.unique(np.array(keys, np.uint64), return_index=True)
        self._scores = np.array(values, np.float32)[index]

    @property
    def config(self) -> dict[str, Any]:
        """Number of pairs, and a digest of them and their scores."""
        digest = hashlib.blake2b(self._keys.tobytes() + self._scores.tobytes(), digest_size=16).hexdigest()
        return {'type': type(self).__name__, 'pairs': len(self._keys), 'digest': digest}

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
                f'{len(missing)} of {len(pairs)} pairs were not scored beforehand, such as {pairs[missing[0]]}; score '
                'them with tools/score_relevance.py'
            )
        return self._scores[places]


def _triples(scores: Any) -> Iterable[tuple[Text, Text, float]]:
    if isinstance(scores, dict):
        dataset = DATASETS.build(scores)
        if not hasattr(dataset, 'scored_pairs'):
            raise TypeError(
                f'{type(dataset).__name__} has no scored pairs; name a dataset that has: dict(type=ShardedPairs, '
                'path=..., relevance=NAME)'
            )
        return dataset.scored_pairs()
    if isinstance(scores, str | os.PathLike):
        raise TypeError(
            f'PrecomputedRelevance takes scored pairs, not the path {str(scores)!r}; scores of a shard set are '
            'scores=dict(type=ShardedPairs, path=..., relevance=NAME)'
        )
    return scores


def _digest(text: Text) -> bytes:
    return hashlib.blake2b('\0'.join(text).encode('utf-8', 'surrogatepass'), digest_size=16).digest()


def _pair_key(first: bytes, second: bytes) -> int:
    """The same for both orders."""
    return int.from_bytes(hashlib.blake2b(min(first, second) + max(first, second), digest_size=8).digest(), 'little')
