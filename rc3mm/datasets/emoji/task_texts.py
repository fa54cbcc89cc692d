"""Texts of the tasks as parallel text: questions, statements and sentences about two pictures, without any answer."""

import numpy as np

from rc3mm.datasets.emoji.choices import AXES, pick
from rc3mm.datasets.emoji.entailment import Hypothesis, hypothesis_text
from rc3mm.datasets.emoji.pairs_of_scenes import FORMS as PAIR_FORMS
from rc3mm.datasets.emoji.pairs_of_scenes import LARGEST_TOTAL, Sentence, sentence_text
from rc3mm.datasets.emoji.questions import FORMS as QUESTION_FORMS
from rc3mm.datasets.emoji.questions import Question, question_text
from rc3mm.datasets.emoji.scene import GRID

__all__ = ['TaskText', 'draw_task_text', 'task_text']

TaskText = Question | Hypothesis | Sentence
_STATEMENTS = ('place', *AXES)


def draw_task_text(concepts: tuple[int, ...], level: str, rng: np.random.Generator) -> TaskText:
    """Draw a text of a task about some concepts, whatever picture it may be asked of.

    Args:
        concepts: Two concepts or more, those that may be named.
        level: 'easy' or 'hard', which tells the places.
        rng: Source of randomness.

    Returns:
        A question without its answer, a statement without its label (-1), or a sentence about two pictures.
    """
    first, second = (concepts[i] for i in rng.choice(len(concepts), 2, replace=False).tolist())
    cell = int(rng.integers(GRID[level] ** 2))
    kind = pick(('question', 'statement', 'sentence'), rng)
    if kind == 'question':
        form = pick(QUESTION_FORMS, rng)
        named = {'what': (), 'how_many': (), 'horizontal': (first, second), 'vertical': (first, second)}
        return Question(form, named.get(form, (first,)), cell, '')
    if kind == 'statement':
        form = pick(_STATEMENTS, rng)
        if form == 'place':
            return Hypothesis(form, (first,), (cell,), -1)
        return Hypothesis(form, (first, second), (), -1)
    form = pick(PAIR_FORMS, rng)
    named = {'left_and_right': (first, second), 'more_left': (), 'more_right': (), 'together': ()}
    return Sentence(form, named.get(form, (first,)), int(rng.integers(2, LARGEST_TOTAL + 1)))


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
