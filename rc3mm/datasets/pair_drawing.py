"""Which two texts of a row a draw takes: decided from the index of a shard set alone, for many draws at once."""

from collections.abc import Mapping

import numpy as np

from rc3mm.datasets.shards import RelevanceScores, ShardSet

__all__ = ['NUM_UNIFORMS', 'PairDrawer', 'language_weights']

NUM_UNIFORMS = 4  # random numbers a draw


def language_weights(counts: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Weights of languages in the draw of a pair: (n_l / n)^(1/T - 1), so that their shares tend to (n_l / n)^(1/T).

    Args:
        counts: language -> number of texts, positive.
        temperature: T, at least 1; 1 leaves all languages alike, so that they occur as often as the data have them.

    Raises:
        ValueError: T is below 1.
    """
    if not temperature >= 1:
        raise ValueError(f'language_temperature must be at least 1, got {temperature}')
    total = sum(counts.values())
    return {language: (count / total) ** (1 / temperature - 1) for language, count in counts.items()}


class PairDrawer:
    """Draws two texts in two different languages from rows of a shard set.

    A pair of languages is drawn first, by the product of the languages' weights among the pairs that the row has;
    then one of the row's pairs of texts in these languages, all alike; then their order. With scores, only pairs that
    have one are drawn.

    Args:
        shard_set: the set.
        weights: language -> positive weight; texts in other languages are not drawn.
        scores: relevance of the pairs, or None for any pair.
    """

    def __init__(
        self, shard_set: ShardSet, weights: Mapping[str, float], scores: RelevanceScores | None = None
    ) -> None:
        self.shard_set, self.scores = shard_set, scores
        self.weights_L = np.array(list(weights.values()), np.float64)
        places = {language: place for place, language in enumerate(weights)}
        # By the index's code of a language: its place among the wanted ones, -1 for others.
        self._place_of = np.array([places.get(name, -1) for name in shard_set.manifest.languages], np.int64)

    def usable(self, rows_N: np.ndarray) -> np.ndarray:
        """Which rows have a pair to draw: boolean, shape (N,)."""
        if self.scores is not None:
            return np.bincount(self._scored_pairs(rows_N)[0], minlength=len(rows_N)) > 0
        owner_M, place_M = self._texts(rows_N)[:2]
        wanted = place_M >= 0
        low_N = np.full(len(rows_N), len(self.weights_L))
        high_N = np.full(len(rows_N), -1)
        np.minimum.at(low_N, owner_M[wanted], place_M[wanted])
        np.maximum.at(high_N, owner_M[wanted], place_M[wanted])
        return low_N < high_N

    def readable(self, rows_N: np.ndarray) -> np.ndarray:
        """Which rows have a text in a wanted language: boolean, shape (N,)."""
        owner_M, place_M, _ = self._texts(rows_N)
        return np.bincount(owner_M[place_M >= 0], minlength=len(rows_N)) > 0

    def draw(self, rows_N: np.ndarray, uniforms_NU: np.ndarray) -> np.ndarray:
        """The pairs that draws take.

        Args:
            rows_N: numbers of usable rows, int64.
            uniforms_NU: `NUM_UNIFORMS` random numbers in [0, 1) a draw.

        Returns:
            Positions of the two texts in their row, in the order drawn: int64, shape (N, 2).
        """
        return (self._draw_any if self.scores is None else self._draw_scored)(rows_N, uniforms_NU)

    def _draw_any(self, rows_N: np.ndarray, uniforms_NU: np.ndarray) -> np.ndarray:
        """Both languages one after the other, as the product of weights falls apart, then a text of each."""
        count, languages = len(rows_N), len(self.weights_L)
        owner_M, place_M, position_M = self._texts(rows_N)
        kept = place_M >= 0
        owner_M, place_M, position_M = owner_M[kept], place_M[kept], position_M[kept]
        key_M = owner_M * languages + place_M
        texts_NL = np.bincount(key_M, minlength=count * languages).reshape(count, languages)
        weights_NL = np.where(texts_NL > 0, self.weights_L, 0.0)
        others_NL = weights_NL.sum(1, keepdims=True) - weights_NL
        lines_N = np.arange(count)
        first_N = _choose(weights_NL * np.where(texts_NL > 0, others_NL, 0.0), uniforms_NU[:, 0])
        weights_NL[lines_N, first_N] = 0.0
        second_N = _choose(weights_NL, uniforms_NU[:, 1])
        sorted_M = position_M[np.argsort(key_M, kind='stable')]
        starts_NL = (np.cumsum(texts_NL) - texts_NL.ravel()).reshape(count, languages)
        chosen = []
        for place_N, uniform_N in ((first_N, uniforms_NU[:, 2]), (second_N, uniforms_NU[:, 3])):
            step_N = (uniform_N * texts_NL[lines_N, place_N]).astype(np.int64)
            chosen.append(sorted_M[starts_NL[lines_N, place_N] + step_N])
        return np.stack(chosen, 1)

    def _draw_scored(self, rows_N: np.ndarray, uniforms_NU: np.ndarray) -> np.ndarray:
        """One of the scored pairs, weighted so that each pair of languages has its due whatever pairs it has."""
        owner_P, pair_P2, place_P2 = self._scored_pairs(rows_N)
        languages = len(self.weights_L)
        low_P, high_P = place_P2.min(1), place_P2.max(1)
        key_P = (owner_P * languages + low_P) * languages + high_P
        _, inverse_P, alike = np.unique(key_P, return_inverse=True, return_counts=True)
        weight_P = self.weights_L[low_P] * self.weights_L[high_P] / alike[inverse_P]
        ends_N = np.cumsum(np.bincount(owner_P, minlength=len(rows_N)))
        cumulated = np.concatenate([[0.0], np.cumsum(weight_P)])
        starts_N = np.concatenate([[0], ends_N[:-1]])
        low_N, high_N = cumulated[starts_N], cumulated[ends_N]
        target_N = low_N + uniforms_NU[:, 0] * (high_N - low_N)
        chosen_N = np.clip(np.searchsorted(cumulated, target_N, side='right') - 1, starts_N, ends_N - 1)
        pair_N2 = pair_P2[chosen_N]
        return np.where(uniforms_NU[:, 1:2] < 0.5, pair_N2, pair_N2[:, ::-1])

    def _texts(self, rows_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of all texts of rows: whose (within range(N)), place of the language, and position in the row."""
        owner_M, flat_M, position_M = _segments(self.shard_set.text_offsets, rows_N)
        return owner_M, self._place_of[self.shard_set.languages_of[flat_M]], position_M

    def _scored_pairs(self, rows_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of all pairs that may be drawn: whose, positions (P, 2) of the texts, and places (P, 2) of the languages."""
        scores = self.scores
        assert scores is not None
        owner_P, flat_P, _ = _segments(scores.offsets, rows_N)
        pair_P2 = np.stack([scores.first[flat_P], scores.second[flat_P]], 1).astype(np.int64)
        texts_P2 = self.shard_set.text_offsets[rows_N[owner_P]][:, None] + pair_P2
        place_P2 = self._place_of[self.shard_set.languages_of[texts_P2]]
        kept = (place_P2 >= 0).all(1) & (place_P2[:, 0] != place_P2[:, 1])
        return owner_P[kept], pair_P2[kept], place_P2[kept]


def _segments(offsets: np.ndarray, rows_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all members of rows: whose (within range(N)), index in the flat arrays, and position in the row."""
    starts_N = np.asarray(offsets[rows_N])
    counts_N = offsets[rows_N + 1] - starts_N
    owner_M = np.repeat(np.arange(len(rows_N)), counts_N)
    position_M = np.arange(len(owner_M)) - np.repeat(np.cumsum(counts_N) - counts_N, counts_N)
    return owner_M, starts_N[owner_M] + position_M, position_M


def _choose(weights_NL: np.ndarray, uniform_N: np.ndarray) -> np.ndarray:
    """A column of each row, with the weights as odds."""
    cumulated_NL = np.cumsum(weights_NL, 1)
    target_N = uniform_N * cumulated_NL[:, -1]
    chosen_N = (cumulated_NL <= target_N[:, None]).sum(1)
    last_N = weights_NL.shape[1] - 1 - (weights_NL[:, ::-1] > 0).argmax(1)
    return np.minimum(chosen_N, last_N)
