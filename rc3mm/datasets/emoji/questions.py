"""Questions about scenes, in six languages, with English answers out of a closed set.

Each form is drawn so that its text says nothing about the answer: what is asked for is drawn without a look at the
answer, or, where the answer is yes or no, the answer is drawn first.
"""

from dataclasses import dataclass

import numpy as np

from rc3mm.datasets.emoji.artefact import load_concepts
from rc3mm.datasets.emoji.captions import WORDINGS, names_of
from rc3mm.datasets.emoji.choices import AXES, ordered_pairs, pick, pick_other
from rc3mm.datasets.emoji.scene import Scene
from rc3mm.datasets.emoji.task_wording import TASK_WORDINGS, places, question
from rc3mm.registry import FUNCTIONS

KINDS = ('what', 'where', 'how_many', 'yes_no')
_YES_NO = ('there', 'there', 'there', 'at', 'order')  # what is there at all has to be known for all else
_MOST_OBJECTS = {'easy': 4, 'hard': 8}


@dataclass(frozen=True, slots=True)
class Question:
    """A question, in no language yet.

    Attributes:
        form: 'what' (what lies in the cell), 'where' (in which cell does the concept lie), 'how_many' or 'number'
            (of objects, asked in two ways), 'there' (is the concept in the picture), 'at' (is it in the cell),
            'horizontal' or 'vertical' (does the first concept lie further left, or further up, than the second).
        concepts: Concepts that are asked about.
        cell: The cell that is asked about; -1 for none.
        answer: The answer in English, one of :func:`answer_names`.
    """

    form: str
    concepts: tuple[int, ...]
    cell: int
    answer: str


@FUNCTIONS.register_module()
def answer_names(level: str, num_concepts: int) -> tuple[str, ...]:
    """All answers: yes and no, the numbers, the places and the names of the world's concepts."""
    numbers = tuple(str(n + 1) for n in range(_MOST_OBJECTS[level]))
    names = tuple(concept.names['en'] for concept in load_concepts()[:num_concepts])
    return ('no', 'yes', *numbers, *(place.lower() for place in places(level, 'en')), *names)


def draw_question(scene: Scene, kind: str, concepts: range, rng: np.random.Generator) -> Question:
    """Draw a question about a scene.

    Args:
        scene: The scene, of at least two objects.
        kind: One of ``KINDS``.
        concepts: Concepts that may be asked for although the scene lacks them.
        rng: Source of randomness.

    Returns:
        The question.

    Raises:
        ValueError: If the kind is unknown, or there is no concept that the scene lacks.
    """
    item = pick(scene.objects, rng)
    if kind == 'what':
        return Question('what', (), item.cell, load_concepts()[item.concept].names['en'])
    if kind == 'where':
        return Question('where', (item.concept,), -1, places(scene.level, 'en')[item.cell].lower())
    if kind == 'how_many':
        return Question(pick(('how_many', 'number'), rng), (), -1, str(len(scene.objects)))
    if kind != 'yes_no':
        raise ValueError(f'unknown kind of question {kind!r}; there are {KINDS}')
    form, right = pick(_YES_NO, rng), bool(rng.integers(2))
    answer = 'yes' if right else 'no'
    seen = [other.concept for other in scene.objects]
    if form == 'there':
        concept = item.concept if right else pick_other(concepts, seen, rng)
        return Question('there', (concept,), -1, answer)
    if form == 'at':
        return Question(
            'at', (item.concept if right else _misplaced(item.concept, seen, concepts, rng),), item.cell, answer
        )
    axis = pick([axis for axis in AXES if ordered_pairs(scene, axis)], rng)
    first, second = pick(ordered_pairs(scene, axis), rng)
    return Question(axis, (first, second) if right else (second, first), -1, answer)


def _misplaced(concept: int, seen: list[int], concepts: range, rng: np.random.Generator) -> int:
    """A wrong concept for the cell of a right one: as often from another cell as from outside the picture."""
    if rng.integers(2):
        return pick([other for other in seen if other != concept], rng)
    return pick_other(concepts, seen, rng)


def question_text(asked: Question, level: str, language: str) -> str:
    """A question in a language; the same question in two languages gives translations.

    Raises:
        KeyError: If the language is unknown.
    """
    words, more = WORDINGS[language], TASK_WORDINGS[language]
    names = names_of(asked.concepts, language)
    if asked.form == 'what':
        return question(language, more.what, [places(level, language)[asked.cell]])
    if asked.form == 'where':
        return question(language, more.where, names)
    if asked.form == 'how_many':
        return question(language, more.how_many)
    if asked.form == 'number':
        return question(language, words.count)
    if asked.form == 'there':
        return question(language, words.picture, names)
    if asked.form == 'at':
        return question(language, places(level, language)[asked.cell], names)
    return question(language, more.horizontal if asked.form == 'horizontal' else more.vertical, names)
