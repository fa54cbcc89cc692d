"""English sentences with a word of several senses, of which the picture shows one.

The word is a keyword that two to four concepts of the world share (Unicode CLDR), such as 'light' for a candle and a
flashlight. Sentences come in twins: the same words, with the one and with the other sense in the picture and in the
translation, so that whoever does not look is right half the time.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from rc3mm.datasets.emoji.artefact import LANGUAGES, load_concepts
from rc3mm.datasets.emoji.captions import WORDINGS, names_of
from rc3mm.datasets.emoji.choices import pick
from rc3mm.datasets.emoji.composed_sets import ComposedSets
from rc3mm.datasets.emoji.task_wording import joined, statement

SOURCE = 'en'
# Keywords that can stand for each of the things that they are keywords of: nouns, and no mere topics ('weather') or
# properties ('red'). Which concepts share them, and whether few enough do, is read from the artefact.
_NOUNS = (
    'apple bag ball bear beer beetle berry beverage bicycle bird boat book boot box building cake camel candy cap '
    'castle chair cherry clock cup dessert doll dragon dress drink drum fireworks fish flower food football fruit '
    'game glove hat helmet hockey house insect instrument keyboard lamp lantern leaf leg light map mask medal '
    'microphone monkey moon mountain mouse newspaper note nut pants pepper pet plant potato purse rock ruler '
    'scooter score seat sheep shirt shoe skate snowman star station statue taxi tea temple tent ticket toy tray '
    'tree trolley underwear vegetable vehicle wave whale wrench'
).split()
_MOST_SENSES = 4
TEMPLATES = ('bare_names', 'names', 'shown', 'count_and_names')
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Twins:
    """Two sentences with the same English words, in no other language yet.

    Attributes:
        word: The ambiguous word.
        senses: The concepts that it stands for in the one and in the other.
        others: Concepts that both speak of, in the order of the sentence.
        place: Where in the sentence the word stands among the others.
        template: One of ``TEMPLATES``.
    """

    word: str
    senses: tuple[int, int]
    others: tuple[int, ...]
    place: int
    template: str


@lru_cache(maxsize=32)
def senses_of(word: str, concepts: range) -> tuple[int, ...]:
    """Concepts that a word may stand for: those of which it is the English name or a keyword."""
    table = load_concepts()
    return tuple(c for c in concepts if word == table[c].names[SOURCE] or word in table[c].keywords[SOURCE])


@lru_cache(maxsize=2048)
def confusable(concept: int) -> frozenset[int]:
    """Concepts whose name in some language holds, or is held by, that of this one, as 'Ei' stands in 'Eimer'."""
    table = load_concepts()
    own = {language: table[concept].names[language].casefold() for language in LANGUAGES if language != SOURCE}

    def alike(other: int) -> bool:
        names = table[other].names
        return any(name in (n := names[language].casefold()) or n in name for language, name in own.items())

    return frozenset(other for other in range(len(table)) if other != concept and alike(other))


@lru_cache(maxsize=32)
def ambiguous_words(concepts: range) -> dict[str, tuple[tuple[int, int], ...]]:
    """The ambiguous words of a world.

    Args:
        concepts: The concepts that may occur.

    Returns:
        Word -> the pairs of its senses whose names can be told apart in all languages.
    """
    words = {}
    for word in _NOUNS:
        senses = senses_of(word, concepts)
        pairs = tuple(pair for pair in combinations(senses, 2) if pair[1] not in confusable(pair[0]))
        if pairs and len(senses) <= _MOST_SENSES:
            words[word] = pairs
    return words


def draw_twins(sets: ComposedSets, rng: np.random.Generator) -> Twins:
    """Draw twins of which both scenes belong to the split.

    Args:
        sets: What completes the sets of concepts, with the sizes of scenes to use.
        rng: Source of randomness.

    Returns:
        The twins.

    Raises:
        ValueError: If the world has no ambiguous word or is too small for such scenes.
    """
    concepts = range(sets.start, sets.end)
    words = ambiguous_words(concepts)
    for _ in range(_TRIES if words else 0):
        word = pick(list(words), rng)
        one, other = pick(words[word], rng)
        senses = (one, other) if rng.integers(2) else (other, one)
        banned = {*senses_of(word, concepts), *confusable(one), *confusable(other)}
        size = pick(sets.sizes, rng)
        found = sets.complete([senses[:1], senses[1:]], banned, size, rng)
        if found is not None:
            return Twins(word, senses, found[0][1:], int(rng.integers(size)), pick(TEMPLATES, rng))
    raise ValueError(
        f'no ambiguous sentence about scenes of {sets.sizes} concepts was found among the concepts {sets.start} to '
        f'{sets.end - 1} ({len(words)} ambiguous words) in the split {sets.split!r}: ask for more concepts'
    )


def source_text(twins: Twins) -> str:
    """The English sentence that both twins share."""
    return _text(twins, twins.word, SOURCE)


def target_text(twins: Twins, sense: int, language: str) -> str:
    """The translation of a twin.

    Args:
        twins: The twins.
        sense: 0 or 1, which of the two.
        language: Language code.

    Returns:
        The sentence, with the name of that sense.
    """
    return _text(twins, names_of([twins.senses[sense]], language)[0], language)


def _text(twins: Twins, word: str, language: str) -> str:
    """The sentence with this word for the ambiguous one."""
    words, names = WORDINGS[language], names_of(twins.others, language)
    names.insert(twins.place, word)
    if twins.template == 'bare_names':
        return words.comma.join(names)
    if twins.template == 'names':
        return statement(language, words.picture, names)
    if twins.template == 'shown':
        return statement(language, words.shown, names)
    count = statement(language, words.count, [str(len(names))])
    return joined(language, [count, statement(language, words.listing, names)])
