"""Weakly-aligned texts: each mentions a part of a scene in its own words, and the true relevance is known."""

from collections.abc import Collection

import numpy as np

from rc3mm.datasets.emoji.artefact import load_concepts

MOST_MENTIONED = 3
_MARKS = {'ja': ('、', '；'), 'zh': ('、', '；')}
_OTHER_MARKS = (', ', '; ')


def jaccard(first: Collection[int], second: Collection[int]) -> float:
    """Jaccard index of two sets of concepts: size of the intersection over size of the union.

    Raises:
        ValueError: If both are empty.
    """
    union = set(first) | set(second)
    if not union:
        raise ValueError('the Jaccard index of two empty sets is not defined')
    return len(set(first) & set(second)) / len(union)


def draw_mentions(concepts: Collection[int], rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw what two texts about a scene mention.

    How the two relate is drawn first: apart (three times in ten), the same (two in ten) or overlapping (five
    in ten). Two objects can overlap in 1/2 only, one object is always the same.

    Args:
        concepts: Concepts of the scene, at least one.
        rng: Source of randomness.

    Returns:
        Two non-empty subsets of at most ``MOST_MENTIONED`` concepts.
    """
    order = [int(c) for c in rng.permutation(np.asarray(list(concepts)))]
    count = len(order)
    mode = float(rng.random()) if count > 1 else 1.0
    if mode >= 0.8:
        same = tuple(order[: int(rng.integers(1, min(count, MOST_MENTIONED) + 1))])
        return same, tuple(reversed(same))
    if mode < 0.3:
        first = int(rng.integers(1, min(count - 1, MOST_MENTIONED) + 1))
        second = int(rng.integers(1, min(count - first, MOST_MENTIONED) + 1))
        return tuple(order[:first]), tuple(order[first : first + second])
    if count > 2 and mode < 0.6:  # one in common and one more each: 1/3
        return (order[0], order[1]), (order[2], order[0])
    shared = int(rng.integers(1, min(count - 1, MOST_MENTIONED - 1) + 1))  # one more on one side: 1/2 or 2/3
    pair = tuple(order[: shared + 1]), tuple(reversed(order[:shared]))
    return pair if rng.random() < 0.5 else pair[::-1]


def weak_text(concepts: Collection[int], language: str, rng: np.random.Generator) -> str:
    """Mention concepts by keywords or name.

    Args:
        concepts: What to mention, in this order.
        language: Language code.
        rng: Source of randomness.

    Returns:
        For each concept its name (one time in three) or one to three of its keywords.
    """
    comma, semicolon = _MARKS.get(language, _OTHER_MARKS)
    table = load_concepts()
    parts = []
    for concept in concepts:
        words = table[concept].keywords[language]
        draws = rng.random(2)
        if draws[0] < 1 / 3:
            parts.append(table[concept].names[language])
        else:
            some = min(1 + int(draws[1] * 3), len(words))
            picked = np.argsort(rng.random(len(words)))[:some]
            parts.append(comma.join(words[i] for i in sorted(picked.tolist())))
    return semicolon.join(parts)
