"""Train the pieces of a Unigram tokenizer, the same on every run.

Kudo, "Subword Regularization" (ACL 2018), with best segmentations instead of expectations: start from
frequent substrings, then alternate between estimating piece probabilities and dropping the pieces that are
missed least. The trainer of the `tokenizers` library visits its hash maps in random order and so never gives
the same twice.
"""

import math
from collections import Counter
from collections.abc import Mapping

_SEEDS_PER_PIECE = 12
_SHRINK = 0.7


def train_pieces(words: Mapping[str, int], num_pieces: int, max_length: int = 16) -> list[tuple[str, float]]:
    """Choose pieces and their log-probabilities.

    Args:
        words: Word -> how often it occurs.
        num_pieces: Pieces to keep; all single characters are among them.
        max_length: Most characters of a piece.

    Returns:
        (piece, log-probability), most probable first.

    Raises:
        ValueError: If there are more characters than pieces.
    """
    ordered = dict(sorted(words.items()))
    required = {char for word in ordered for char in word}
    if len(required) > num_pieces:
        raise ValueError(f'{len(required)} characters do not fit into {num_pieces} pieces')
    scores = _log_probabilities(_seeds(ordered, num_pieces * _SEEDS_PER_PIECE, max_length), required)
    while True:
        for _ in range(2):
            scores = _log_probabilities(_count(ordered, scores, max_length), required)
        if len(scores) <= num_pieces:
            return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        keep = max(num_pieces, int(len(scores) * _SHRINK))
        scores = _prune(_count(ordered, scores, max_length), scores, required, keep, max_length)


def segment(word: str, scores: Mapping[str, float], max_length: int, banned: str | None = None) -> list[str]:
    """The most probable segmentation of a word.

    Args:
        word: The word; its characters must be pieces.
        scores: Piece -> log-probability.
        max_length: Most characters of a piece.
        banned: A piece that must not be used.

    Returns:
        Pieces in order.
    """
    best, start = [0.0], [0]
    for end in range(1, len(word) + 1):
        top, where = -math.inf, end - 1
        for begin in range(max(0, end - max_length), end):
            score = scores.get(word[begin:end])
            if score is not None and best[begin] + score > top and word[begin:end] != banned:
                top, where = best[begin] + score, begin
        best.append(top)
        start.append(where)
    pieces, end = [], len(word)
    while end:
        pieces.append(word[start[end] : end])
        end = start[end]
    return pieces[::-1]


def _seeds(words: Mapping[str, int], most: int, max_length: int) -> Counter[str]:
    """Frequent substrings with their counts, weighed by length when choosing."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for begin in range(len(word)):
            for end in range(begin + 1, min(len(word), begin + max_length) + 1):
                counts[word[begin:end]] += count
    useful = sorted(counts, key=lambda piece: (-counts[piece] * len(piece), piece))[:most]
    return Counter({piece: counts[piece] for piece in useful})


def _log_probabilities(counts: Mapping[str, int], required: set[str]) -> dict[str, float]:
    """Relative log-frequencies; required characters that never occur count half."""
    pieces = {piece: float(count) for piece, count in counts.items() if count > 0}
    for char in sorted(required):
        pieces.setdefault(char, 0.5)
    total = math.log(math.fsum(pieces.values()))
    return {piece: math.log(count) - total for piece, count in pieces.items()}


def _count(words: Mapping[str, int], scores: Mapping[str, float], max_length: int) -> Counter[str]:
    """How often each piece occurs in the best segmentations."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for piece in segment(word, scores, max_length):
            counts[piece] += count
    return counts


def _prune(
    counts: Mapping[str, int], scores: Mapping[str, float], required: set[str], keep: int, max_length: int
) -> dict[str, float]:
    """Keep the characters and the pieces whose loss would cost the most likelihood."""
    costs = {}
    for piece, score in scores.items():
        if piece not in required:
            others = segment(piece, scores, max_length, banned=piece)
            costs[piece] = counts.get(piece, 0) * (score - math.fsum(scores[other] for other in others))
    useful = sorted(costs, key=lambda piece: (-costs[piece], piece))[: keep - len(required)]
    return {piece: scores[piece] for piece in (*sorted(required), *useful)}
