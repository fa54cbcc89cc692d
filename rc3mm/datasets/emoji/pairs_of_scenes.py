"""Sentences about two scenes, each with four pairs of scenes: true of two of them and false of the other two.

The false pairs hold what the true ones hold, with two concepts (or two numbers) in each other's part: as either of them
may be the one that the sentence speaks of, the pictures alone say nothing about the label, and neither does the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rc3mm.datasets.emoji.captions import names_of
from rc3mm.datasets.emoji.choices import pick, pick_other
from rc3mm.datasets.emoji.composed_sets import ComposedSets
from rc3mm.datasets.emoji.task_wording import TASK_WORDINGS, joined, statement

GROUP = 4
_BOTH, _LEFT, _RIGHT = (True, True), (True, False), (False, True)  # where a concept is: left, right
# form -> where the first and the second concept are in true pairs; changing them over makes the sentence false
_WHERE = {
    'both': ((_BOTH, _LEFT), (_BOTH, _RIGHT)),
    'only_left': ((_LEFT, _RIGHT), (_LEFT, _BOTH)),
    'only_right': ((_RIGHT, _LEFT), (_RIGHT, _BOTH)),
    'left_and_right': ((_LEFT, _RIGHT), (_BOTH, _RIGHT), (_LEFT, _BOTH)),
}
FORMS = (*_WHERE, 'more_left', 'more_right', 'together')
_SMALLEST = 3  # room for two chosen concepts and one by chance
LARGEST_TOTAL = 8  # captions know no larger number, and the tokenizer that ships no other digit
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence about two scenes, in no language yet.

    Attributes:
        form: One of ``FORMS``.
        concepts: Concepts that are spoken of.
        number: The number that is spoken of; 0 for none.
    """

    form: str
    concepts: tuple[int, ...] = ()
    number: int = 0


@dataclass(frozen=True, slots=True)
class PairGroup:
    """A sentence and its pairs.

    Attributes:
        sentence: The sentence.
        labels: For each pair whether the sentence is true of it.
        scenes: For each pair the concepts of the left and of the right scene.
    """

    sentence: Sentence
    labels: tuple[bool, ...]
    scenes: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


def draw_group(sets: ComposedSets, rng: np.random.Generator) -> PairGroup:
    """Draw a sentence and its four pairs, in random order.

    Args:
        sets: What completes the sets of concepts, with the sizes of scenes to use.
        rng: Source of randomness.

    Returns:
        The group.

    Raises:
        ValueError: If the world is too small for it.
    """
    for _ in range(_TRIES):
        form = pick(FORMS, rng)
        made = _presence(form, sets, rng) if form in _WHERE else _numbers(form, sets, rng)
        if made is not None:
            sentence, pairs = made
            order = rng.permutation(GROUP).tolist()
            return PairGroup(sentence, tuple(pairs[i][0] for i in order), tuple(pairs[i][1:] for i in order))
    raise ValueError(
        f'no pairs of scenes of {sets.sizes} concepts out of {sets.end - sets.start} were found in the split '
        f'{sets.split!r}: ask for more concepts or larger scenes'
    )


_Pairs = list[tuple[bool, tuple[int, ...], tuple[int, ...]]]


def _presence(form: str, sets: ComposedSets, rng: np.random.Generator) -> tuple[Sentence, _Pairs] | None:
    """A sentence on where a concept is, or two."""
    concepts = range(sets.start, sets.end)
    first = pick(concepts, rng)
    second = pick_other(concepts, (first,), rng)
    variants = _WHERE[form]
    sizes = [size for size in sets.sizes if size >= _SMALLEST]
    pairs: _Pairs = []
    for i in rng.permutation(len(variants)).tolist()[: GROUP // 2]:
        for label in (True, False):
            where = variants[i] if label else variants[i][::-1]
            sides = []
            for side in range(2):
                held = tuple(c for c, places in zip((first, second), where, strict=True) if places[side])
                found = sets.complete([held], (first, second), pick(sizes, rng), rng)
                if found is None:
                    return None
                sides.append(found[0])
            pairs.append((label, sides[0], sides[1]))
    return Sentence(form, (first, second) if form == 'left_and_right' else (first,)), pairs


def _numbers(form: str, sets: ComposedSets, rng: np.random.Generator) -> tuple[Sentence, _Pairs] | None:
    """A sentence on how many objects there are."""
    wanted: list[tuple[bool, int, int]] = []
    number = 0
    different = sorted(set(sets.sizes))
    totals = sorted({a + b for a in different for b in different if a + b <= LARGEST_TOTAL})
    if len(totals if form == 'together' else different) < 2:
        return None
    if form == 'together':
        i = int(rng.integers(len(totals) - 1))
        number, other = totals[i : i + 2] if rng.integers(2) else totals[i : i + 2][::-1]
        for _ in range(GROUP // 2):
            wanted += [(True, *_parts(number, different, rng)), (False, *_parts(other, different, rng))]
    else:
        for _ in range(GROUP // 2):
            few, many = sorted(different[i] for i in rng.choice(len(different), 2, replace=False).tolist())
            wanted += [(form == 'more_right', few, many), (form == 'more_left', many, few)]
    pairs: _Pairs = []
    for label, *counts in wanted:
        sides = [sets.complete([()], (), count, rng) for count in counts]
        if sides[0] is None or sides[1] is None:
            return None
        pairs.append((label, sides[0][0], sides[1][0]))
    return Sentence(form, number=number), pairs


def _parts(total: int, sizes: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
    """Two sizes that add up to a total."""
    left = pick([size for size in sizes if total - size in sizes], rng)
    return left, total - left


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
