"""Hypotheses about scenes with a curtain: entailed by what is seen, contradicted by it, or neither.

A statement about what lies behind the curtain can be told by nobody (neutral); the same statement about an open cell is
right or wrong. So every text occurs with all three labels, and every picture has one hypothesis of each: neither
alone says anything about the label. A scene holds no concept twice, behind a curtain neither.
"""

from dataclasses import dataclass

import numpy as np

from rc3mm.datasets.emoji.captions import names_of
from rc3mm.datasets.emoji.choices import AXES, ordered_pairs, pick, pick_other, place_along
from rc3mm.datasets.emoji.scene import GRID, Scene
from rc3mm.datasets.emoji.task_wording import TASK_WORDINGS, joined, places, statement

LABELS = ('contradiction', 'neutral', 'entailment')


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A statement about a scene, in no language yet.

    Attributes:
        form: 'place' (the concept lies in the cell), 'two_places' (two of these), 'horizontal' or 'vertical' (the first
            concept lies further left, or further up, than the second).
        concepts: Concepts that are spoken of.
        cells: Their cells; empty for an order.
        label: Index into ``LABELS``.
    """

    form: str
    concepts: tuple[int, ...]
    cells: tuple[int, ...]
    label: int


def draw_hypotheses(scene: Scene, covered: int, concepts: range, rng: np.random.Generator) -> list[Hypothesis]:
    """Draw three hypotheses of one form, one of each label, in random order.

    Args:
        scene: The scene, of at least two objects.
        covered: The cell behind the curtain, one without an object.
        concepts: Concepts that may be named although the scene lacks them.
        rng: Source of randomness.

    Returns:
        The hypotheses.

    Raises:
        ValueError: If there is no concept that the scene lacks.
    """
    form = pick(('place', 'two_places', 'order'), rng)
    if form == 'order':
        axis = pick([axis for axis in AXES if ordered_pairs(scene, axis)], rng)
        made = [_order(scene, covered, axis, label, concepts, rng) for label in range(3)]
    else:
        made = [_places(scene, covered, form, label, concepts, rng) for label in range(3)]
    return [made[label] for label in rng.permutation(3).tolist()]


def _order(scene: Scene, covered: int, axis: str, label: int, concepts: range, rng: np.random.Generator) -> Hypothesis:
    """A statement on which of two concepts comes first."""
    first, second = pick(ordered_pairs(scene, axis), rng)
    if LABELS[label] == 'entailment':
        return Hypothesis(axis, (first, second), (), label)
    if LABELS[label] == 'contradiction' and rng.integers(2):
        return Hypothesis(axis, (second, first), (), label)
    curtain = place_along(covered, scene.level, axis)
    around = [item for item in scene.objects if place_along(item.cell, scene.level, axis) != curtain]
    item = pick(around, rng)  # objects in two columns: one of them is not the curtain's
    unseen = pick_other(concepts, [other.concept for other in scene.objects], rng)
    # What is not seen can be behind the curtain alone: on one side of the item, never on the other.
    after = place_along(item.cell, scene.level, axis) < curtain
    pair = (item.concept, unseen) if after == (LABELS[label] == 'neutral') else (unseen, item.concept)
    return Hypothesis(axis, pair, (), label)


def _places(scene: Scene, covered: int, form: str, label: int, concepts: range, rng: np.random.Generator) -> Hypothesis:
    """A statement on what lies in one or two cells; of two, the one that decides comes first or last."""
    held = {item.cell: item.concept for item in scene.objects}
    seen = list(held.values())
    order = [int(cell) for cell in rng.permutation(list(held))]
    stated = [(order[0], held[order[0]])] if form == 'two_places' else []
    if LABELS[label] == 'entailment':
        stated.append((order[-1], held[order[-1]]))
    elif LABELS[label] == 'neutral':
        stated.append((covered, pick_other(concepts, seen, rng)))
    else:
        used = {cell for cell, _ in stated} | {covered}
        cell = pick([cell for cell in range(GRID[scene.level] ** 2) if cell not in used], rng)
        elsewhere = [c for c in seen if c != held.get(cell) and c not in (concept for _, concept in stated)]
        if elsewhere and rng.integers(2):
            stated.append((cell, pick(elsewhere, rng)))
        else:
            stated.append((cell, pick_other(concepts, seen, rng)))
    if rng.integers(2):
        stated.reverse()
    return Hypothesis(form, tuple(concept for _, concept in stated), tuple(cell for cell, _ in stated), label)


def hypothesis_text(stated: Hypothesis, level: str, language: str) -> str:
    """A hypothesis in a language; the same one in two languages gives translations.

    Raises:
        KeyError: If the language is unknown.
    """
    names = names_of(stated.concepts, language)
    if not stated.cells:
        words = TASK_WORDINGS[language]
        return statement(language, words.horizontal if stated.form == 'horizontal' else words.vertical, names)
    where = places(level, language)
    parts = [statement(language, where[cell], [name]) for cell, name in zip(stated.cells, names, strict=True)]
    return joined(language, parts)
