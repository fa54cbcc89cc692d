"""Texts of the tasks as parallel text: questions, statements and sentences about two pictures, without any answer.

They come in families: texts that differ in one thing alone, in the place, in the name or in the order. Which
translation belongs to which text is then told by that thing alone, and not by the rest of the sentence.
"""

from collections.abc import Callable

import numpy as np

from rc3mm.datasets.emoji.choices import AXES
from rc3mm.datasets.emoji.entailment import Hypothesis, hypothesis_text
from rc3mm.datasets.emoji.pairs_of_scenes import LARGEST_TOTAL, Sentence, sentence_text
from rc3mm.datasets.emoji.questions import Question, question_text
from rc3mm.datasets.emoji.scene import GRID

__all__ = ['FAMILIES', 'TaskText', 'draw_family', 'task_text']

TaskText = Question | Hypothesis | Sentence
Pair = tuple[int, int]  # the two concepts that are spoken of


def _whats_and_wheres(pair: Pair, cells: range) -> list[TaskText]:
    """What lies there, where is it, is it there at all."""
    asked: list[TaskText] = [Question('what', (), cell, '') for cell in cells]
    return asked + [Question(form, (concept,), -1, '') for concept in pair for form in ('where', 'there')]


def _questions_of_places(pair: Pair, cells: range) -> list[TaskText]:
    return [Question('at', (concept,), cell, '') for concept in pair for cell in cells]


def _places(pair: Pair, cells: range) -> list[TaskText]:
    return [Hypothesis('place', (concept,), (cell,), -1) for concept in pair for cell in cells]


def _two_places(pair: Pair, cells: range) -> list[TaskText]:
    return [Hypothesis('two_places', pair, (one, other), -1) for one in cells for other in cells if one != other]


def _orders(pair: Pair, cells: range) -> list[TaskText]:
    texts: list[TaskText] = []
    for axis in AXES:
        for ordered in (pair, pair[::-1]):
            texts += [Question(axis, ordered, -1, ''), Hypothesis(axis, ordered, (), -1)]
    return texts


def _presence(pair: Pair, cells: range) -> list[TaskText]:
    forms = ('both', 'only_left', 'only_right')
    texts: list[TaskText] = [Sentence(form, (concept,)) for form in forms for concept in pair]
    return texts + [Sentence('left_and_right', ordered) for ordered in (pair, pair[::-1])]


def _numbers(pair: Pair, cells: range) -> list[TaskText]:
    asked: list[TaskText] = [Question(form, (), -1, '') for form in ('how_many', 'number')]
    asked += [Sentence('more_left'), Sentence('more_right')]
    return asked + [Sentence('together', number=number) for number in range(2, LARGEST_TOTAL + 1)]


FAMILIES: tuple[Callable[[Pair, range], list[TaskText]], ...] = (
    _whats_and_wheres,
    _questions_of_places,
    _places,
    _two_places,
    _orders,
    _presence,
    _numbers,
)


def draw_family(pair: Pair, level: str, count: int, rng: np.random.Generator) -> list[TaskText]:
    """Draw different texts of one family, whatever picture they may be asked of.

    Args:
        pair: The two concepts that may be named.
        level: 'easy' or 'hard', which tells the places.
        count: How many texts, at most 8.
        rng: Source of randomness.

    Returns:
        Questions without their answers, statements without their labels (-1), or sentences about two pictures.
    """
    ordered = pair if rng.integers(2) else pair[::-1]
    texts = FAMILIES[int(rng.integers(len(FAMILIES)))](ordered, range(GRID[level] ** 2))
    return [texts[i] for i in rng.choice(len(texts), count, replace=False).tolist()]


def task_text(said: TaskText, level: str, language: str) -> str:
    """A text of a task in a language; the same one in two languages gives translations.

    Raises:
        KeyError: If the language is unknown.
    """
    if isinstance(said, Question):
        return question_text(said, level, language)
    if isinstance(said, Hypothesis):
        return hypothesis_text(said, level, language)
    return sentence_text(said, language)
