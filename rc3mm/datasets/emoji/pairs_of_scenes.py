"""Six pairs of scenes and twelve sentences about them, each true of two pairs and false of two others.

The pairs share out two concepts in all ways: a sentence that is true of a pair is false of the pair in which the two
have changed places, and the same sentence about the other concept is the other way round. Sentences on numbers go in
twos as well ("more in the left picture", "more in the right one"). So every pair is as often rightly as wrongly
described, and neither text nor pictures alone say anything about the label.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rc3mm.datasets.emoji.captions import names_of
from rc3mm.datasets.emoji.choices import pick, pick_other
from rc3mm.datasets.emoji.composed_sets import ComposedSets
from rc3mm.datasets.emoji.task_wording import TASK_WORDINGS, joined, statement

GROUP = 4  # pairs a sentence
_FIRST, _SECOND, _BOTH = (0,), (1,), (0, 1)
# which of the two concepts the left and the right scene hold; a pair and its neighbour have them changed over
_HELD = ((_BOTH, _FIRST), (_BOTH, _SECOND), (_FIRST, _BOTH), (_SECOND, _BOTH), (_FIRST, _SECOND), (_SECOND, _FIRST))
NUM_PAIRS = len(_HELD)
_Held = tuple[tuple[int, ...], tuple[int, ...]]
_TRUE: dict[str, Callable[[_Held], bool]] = {  # of the first concept, or of both in their order
    'both': lambda held: 0 in held[0] and 0 in held[1],
    'only_left': lambda held: 0 in held[0] and 0 not in held[1],
    'only_right': lambda held: 0 not in held[0] and 0 in held[1],
    'left_and_right': lambda held: 0 in held[0] and 1 in held[1],
}
NUM_SENTENCES = 12  # those on two concepts in either order, two on which is more, two on how many together
LARGEST_TOTAL = 8  # captions know no larger number, and the tokenizer that ships no other digit
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence about two scenes, in no language yet.

    Attributes:
        form: 'both', 'only_left', 'only_right' (where a concept is), 'left_and_right' (where two are), 'more_left',
            'more_right' or 'together' (how many objects there are).
        concepts: Concepts that are spoken of.
        number: The number that is spoken of; 0 for none.
    """

    form: str
    concepts: tuple[int, ...] = ()
    number: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A sentence and the pairs that it is judged by, in random order.

    Attributes:
        sentence: The sentence.
        pairs: Numbers of four different pairs.
        labels: For each of them whether the sentence is true of it.
    """

    sentence: Sentence
    pairs: tuple[int, ...]
    labels: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class PairsOfScenes:
    """Pairs of scenes with all sentences about them.

    Attributes:
        scenes: For each pair the concepts of the left and of the right scene.
        judgements: The sentences, in random order.
    """

    scenes: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    judgements: tuple[Judgement, ...]


def draw_pairs(sets: ComposedSets, rng: np.random.Generator) -> PairsOfScenes:
    """Draw pairs of scenes and sentences about them.

    Args:
        sets: What completes the sets of concepts, with the sizes of scenes to use.
        rng: Source of randomness.

    Returns:
        ``NUM_PAIRS`` pairs and ``NUM_SENTENCES`` sentences.

    Raises:
        ValueError: If the world is too small for it.
    """
    concepts = range(sets.start, sets.end)
    for _ in range(_TRIES):
        first = pick(concepts, rng)
        named = (first, pick_other(concepts, (first,), rng))
        sizes = _draw_sizes(sorted(set(sets.sizes)), rng)
        scenes = _draw_scenes(named, sizes, sets, rng) if sizes else None
        if scenes:
            judged = [*_on_presence(named, rng), *_on_numbers(sizes, rng)]
            return PairsOfScenes(scenes, tuple(judged[i] for i in rng.permutation(len(judged)).tolist()))
    raise ValueError(
        f'no pairs of scenes of {sets.sizes} concepts out of {sets.end - sets.start} were found in the split '
        f'{sets.split!r}: ask for more concepts or larger scenes'
    )


_Sizes = list[tuple[int, int]]


def _draw_sizes(sizes: Sequence[int], rng: np.random.Generator) -> _Sizes:
    """Sizes of the scenes of all pairs: two pairs have one total, two the next one; empty if chance found none."""
    options = [[(a, b) for a in sizes if a > len(left) for b in sizes if b > len(right)] for left, right in _HELD]
    totals = sorted({a + b for pair in options for a, b in pair if a + b < LARGEST_TOTAL})
    if not totals:
        return []
    for _ in range(_TRIES):
        total, order = pick(totals, rng), rng.permutation(NUM_PAIRS).tolist()
        chosen: dict[int, tuple[int, int]] = {}
        for place, pair in enumerate(order):
            wanted = total + place // 2 if place < GROUP else None
            fitting = [of for of in options[pair] if wanted is None or sum(of) == wanted]
            if not fitting:
                break
            chosen[pair] = pick(fitting, rng)
        drawn = [chosen[pair] for pair in sorted(chosen)]
        ahead = [np.sign(left - right) for left, right in drawn]
        if len(drawn) == NUM_PAIRS and min(ahead.count(1), ahead.count(-1)) >= GROUP // 2:
            return drawn
    return []


def _draw_scenes(
    named: tuple[int, int], sizes: _Sizes, sets: ComposedSets, rng: np.random.Generator
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] | None:
    """Concepts of all scenes; None if chance found none that belong to the split."""
    pairs = []
    for held, counts in zip(_HELD, sizes, strict=True):
        sides = [sets.complete([tuple(named[i] for i in held[side])], named, counts[side], rng) for side in range(2)]
        if sides[0] is None or sides[1] is None:
            return None
        pairs.append((sides[0][0], sides[1][0]))
    return tuple(pairs)


def _on_presence(named: tuple[int, int], rng: np.random.Generator) -> list[Judgement]:
    """Sentences on where a concept is, or two, and those with the concepts changed over."""
    judged = []
    for form, is_true in _TRUE.items():
        true = [number for number, held in enumerate(_HELD) if is_true(held)]
        true = [true[i] for i in rng.permutation(len(true)).tolist()[: GROUP // 2]]
        false = [number ^ 1 for number in true]
        for concepts, right, wrong in ((named, true, false), (named[::-1], false, true)):
            spoken_of = concepts if form == 'left_and_right' else concepts[:1]
            judged.append(_judgement(Sentence(form, spoken_of), right, wrong, rng))
    return judged


def _on_numbers(sizes: _Sizes, rng: np.random.Generator) -> list[Judgement]:
    """Sentences on how many objects there are, and their opposites."""

    def some(pairs: list[int]) -> list[int]:
        return [pairs[i] for i in rng.permutation(len(pairs)).tolist()[: GROUP // 2]]

    left, right = (some([n for n, (a, b) in enumerate(sizes) if sign * (a - b) > 0]) for sign in (1, -1))
    by_total: dict[int, list[int]] = {}
    for number, counts in enumerate(sizes):
        by_total.setdefault(sum(counts), []).append(number)
    enough = {total for total, pairs in by_total.items() if len(pairs) >= GROUP // 2 and total <= LARGEST_TOTAL}
    total = pick(sorted(total for total in enough if total + 1 in enough), rng)
    fewer, more = some(by_total[total]), some(by_total[total + 1])
    return [
        _judgement(Sentence('more_left'), left, right, rng),
        _judgement(Sentence('more_right'), right, left, rng),
        _judgement(Sentence('together', number=total), fewer, more, rng),
        _judgement(Sentence('together', number=total + 1), more, fewer, rng),
    ]


def _judgement(sentence: Sentence, true: list[int], false: list[int], rng: np.random.Generator) -> Judgement:
    """The pairs in random order."""
    pairs, order = [*true, *false], rng.permutation(GROUP).tolist()
    return Judgement(sentence, tuple(pairs[i] for i in order), tuple(i < len(true) for i in order))


def sentence_text(said: Sentence, language: str) -> str:
    """A sentence in a language; the same one in two languages gives translations.

    Raises:
        KeyError: If the language is unknown.
    """
    words, names = TASK_WORDINGS[language], names_of(said.concepts, language)
    if said.form == 'more_left':
        return words.more_left
    if said.form == 'more_right':
        return words.more_right
    if said.form == 'together':
        return statement(language, words.together, [str(said.number)])
    if said.form == 'left_and_right':
        parts = [statement(language, words.left, names[:1]), statement(language, words.right, names[1:])]
        return joined(language, parts)
    opening = {'both': words.both, 'only_left': words.only_left, 'only_right': words.only_right}[said.form]
    return statement(language, opening, names)
