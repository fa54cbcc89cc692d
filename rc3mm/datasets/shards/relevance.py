"""RelevanceScores: how much the texts of a row say the same, by pair, read through memory maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rc3mm.datasets.shards.index import map_array
from rc3mm.datasets.shards.manifest import read_json

__all__ = ['RELEVANCE', 'SCORER', 'RelevanceScores', 'read_scorer']

RELEVANCE, SCORER = 'relevance', 'scorer.json'


class RelevanceScores:
    """The scores of a shard set by one scorer.

    Args:
        prefix: path of the arrays, to which 'offsets.npy' and others are added.
        rows: rows of the set.
        pairs: pairs that have a score.
        scorer: name, config and calibration of the scorer.

    Attributes:
        offsets: int64 (rows + 1,), where the pairs of a row begin.
        first: int16 (pairs,), position of a pair's first text in its row.
        second: int16 (pairs,), that of its second text, above `first`.
        score: float32 (pairs,), in [0, 1].
        scorer: name, config and calibration of the scorer.
    """

    def __init__(self, prefix: str | Path, rows: int, pairs: int, scorer: Mapping[str, Any]) -> None:
        self._arguments = (str(prefix), rows, pairs, dict(scorer))
        self.scorer = dict(scorer)
        self.offsets = map_array(Path(f'{prefix}offsets.npy'), np.int64, rows + 1)
        self.first = map_array(Path(f'{prefix}first.npy'), np.int16, pairs)
        self.second = map_array(Path(f'{prefix}second.npy'), np.int16, pairs)
        self.score = map_array(Path(f'{prefix}score.npy'), np.float32, pairs)

    def __len__(self) -> int:
        """Rows of the set."""
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> dict[tuple[int, int], float]:
        """(first, second) -> score of a row, by positions in its texts; empty where nothing was scored.

        Raises:
            IndexError: the index is outside range(len(self)).
        """
        if not 0 <= index < len(self):
            raise IndexError(f'row {index} is outside a set of {len(self)} rows')
        start, stop = self.offsets[index : index + 2].tolist()
        pairs = zip(self.first[start:stop].tolist(), self.second[start:stop].tolist(), strict=True)
        return dict(zip(pairs, self.score[start:stop].tolist(), strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        return RelevanceScores, self._arguments  # maps are opened anew, not copied


def read_scorer(folder: Path, fingerprint: str) -> dict[str, Any]:
    """What finished scores say of themselves: `scorer`, `pairs`, the `set` they are of, and their `files`.

    Args:
        folder: of the scores.
        fingerprint: of the shard set.

    Raises:
        FileNotFoundError: the scores are not finished.
        ValueError: they are of another set, or this cannot be read.
    """
    entries = read_json(folder / SCORER)
    if entries.get('set') != fingerprint:
        raise ValueError(
            f'{folder} holds scores of another shard set, or of this one before it was made anew; remove the folder '
            'and score the set again'
        )
    return entries
