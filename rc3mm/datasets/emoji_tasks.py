"""EmojiScenes as tasks about one picture: questions with short answers, and entailment.

They are twins of GQA/xGQA and XVNLI that need no download, made so that neither text nor picture alone tells the label.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rc3mm.datasets.emoji.choices import pick_other
from rc3mm.datasets.emoji.combinations import split_key
from rc3mm.datasets.emoji.curtain import draw_covered_cell, render_covered
from rc3mm.datasets.emoji.entailment import LABELS, Hypothesis, draw_hypotheses, hypothesis_text
from rc3mm.datasets.emoji.questions import KINDS, Question, answer_names, draw_question, question_text
from rc3mm.datasets.emoji.render import render
from rc3mm.datasets.emoji.scene import EVAL_SIZES, Scene
from rc3mm.datasets.emoji.task_texts import draw_family, task_text
from rc3mm.datasets.emoji_scenes import EmojiScenes
from rc3mm.registry import DATASETS

_QUESTION_STREAM, _HYPOTHESIS_STREAM = 0x9A5C, 0x3E17  # tell these random streams from all others


class EmojiTask(EmojiScenes):
    """Common part of the tasks on EmojiScenes.

    The items of one language come after those of another, and are the same ones: item ``i`` of language ``l`` is sample
    ``l * num_items + i``. Items come in units (all questions about a scene, all pairs of a sentence), and a unit is
    balanced in itself. An item depends on (seed, split, i) alone. Splits share no set of concepts, see
    :class:`EmojiScenes`.

    Args:
        num_items: Items of each language, whole units.
        level: 'easy' or 'hard'.
        sizes: Cycle of object counts; None for :attr:`default_sizes`. In all splits, each count is equally frequent.
        world: Further arguments of :class:`EmojiScenes`, but for ``num_scenes``.

    Raises:
        ValueError: If an argument does not fit, or val or test have fewer scenes than that takes.
    """

    items_per_unit: ClassVar[int]
    default_sizes: ClassVar[dict[str, tuple[int, ...]]] = EVAL_SIZES
    least_objects: ClassVar[int] = 2

    def __init__(
        self, *, num_items: int, level: str = 'easy', sizes: Sequence[int] | None = None, **world: Any
    ) -> None:
        name, unit = type(self).__name__, self.items_per_unit
        if num_items < unit or num_items % unit:
            raise ValueError(f'num_items of {name} must be a multiple of {unit}, not {num_items}')
        sizes = self.default_sizes.get(level) if sizes is None else sizes
        if sizes is not None and min(sizes, default=0) < self.least_objects:
            raise ValueError(f'scenes of {name} hold at least {self.least_objects} objects, not {tuple(sizes)}')
        super().__init__(num_scenes=self._scenes_needed(num_items), level=level, sizes=sizes, **world)
        self.num_items = num_items
        self._plan: tuple[int, Any] = (-1, None)

    def _scenes_needed(self, num_items: int) -> int:
        """How many scenes of the world's own order so many items take."""
        return num_items // self.items_per_unit

    def __len__(self) -> int:
        """Number of samples: the items of all languages."""
        return self.num_items * len(self.languages)

    @property
    def metainfo(self) -> dict[str, Any]:
        """As of EmojiScenes; ``num_items`` counts the samples of all languages; with ``answers``, the labels' names."""
        return {**super().metainfo, 'num_items': len(self), 'answers': self.answers}

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the labels, in their order."""
        raise NotImplementedError

    @property
    def concepts(self) -> range:
        """The concepts that occur."""
        return range(self.scene.sets.start, self.scene.sets.end)

    def locate(self, index: int) -> tuple[str, int]:
        """Language and item of a sample."""
        language, item = divmod(index, self.num_items)
        return self.languages[language], item

    def get_scene(self, index: int) -> Scene:
        """The scene behind a sample."""
        return self._planned(self.locate(index)[1] // self.items_per_unit)[0]

    def _planned(self, unit: int) -> Any:
        """What the items of a unit share; the last one is kept, as items often come one by one."""
        if self._plan[0] != unit:
            self._plan = unit, self._draw_plan(unit)
        return self._plan[1]

    def _draw_plan(self, unit: int) -> Any:
        """Draw what the items of a unit share; where the world has the scene, led by it and its picture."""
        scene = self.scene(unit)
        return scene, render(scene)

    def _item_id(self, index: int) -> str:
        language, item = self.locate(index)
        return f'{language}-{self.split}-{item:06d}'

    def _rng(self, unit: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, split_key(self.split), unit, stream))


def look_of(scene: Scene, image_id: str, image: np.ndarray) -> dict[str, Any]:
    """The keys of a sample that hold a picture: ``image_id``, ``image``, ``roi_boxes`` and ``roi_labels``."""
    return {
        'image_id': image_id,
        'image': image,
        'roi_boxes': np.array([item.box for item in scene.objects], np.float32),
        'roi_labels': np.array([item.concept for item in scene.objects], np.int64),
    }


@DATASETS.register_module()
class EmojiVQA(EmojiTask):
    """Questions about scenes, as in GQA and xGQA: in any language, the answers are English and out of a closed set.

    Each scene is asked four questions: what lies somewhere, where something lies, how many objects there are, and one
    that takes yes or no. Arguments: see :class:`EmojiTask`.
    """

    source = 'gqa'
    items_per_unit = len(KINDS)

    @property
    def answers(self) -> tuple[str, ...]:
        """All answers: no and yes, numbers, places, concepts."""
        return answer_names(self.level, self.num_concepts)

    def get_image_id(self, index: int) -> str:
        """Id of the scene, the same for all questions about it."""
        return super().get_image_id(self.locate(index)[1] // self.items_per_unit)

    def get_question(self, index: int) -> Question:
        """The question of a sample, in no language yet."""
        item = self.locate(index)[1]
        kind = KINDS[item % len(KINDS)]
        return draw_question(self.get_scene(index), kind, self.concepts, self._rng(item, _QUESTION_STREAM))

    def get_texts(self, index: int) -> list[tuple[str, str]]:
        """The question with its language."""
        language, _ = self.locate(index)
        return [(language, question_text(self.get_question(index), self.level, language))]

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index.

        Returns:
            ``item_id``, ``source``, ``texts`` (one question), ``answer``, ``label`` (its place among ``answers``), and
            the picture: ``image_id``, ``image``, ``roi_boxes``, ``roi_labels`` as of :class:`EmojiScenes`.
        """
        scene, image = self._planned(self.locate(index)[1] // self.items_per_unit)
        answer = self.get_question(index).answer
        return {
            **look_of(scene, self.get_image_id(index), image),
            'item_id': self._item_id(index),
            'source': self.source,
            'texts': self.get_texts(index),
            'answer': answer,
            'label': self.answers.index(answer),
        }


@DATASETS.register_module()
class EmojiEntailment(EmojiTask):
    """Hypotheses about scenes, as in XVNLI: contradiction 0, neutral 1, entailment 2.

    A grey curtain covers one empty cell of each scene; nobody can tell what lies behind it, so that a statement about
    it is neutral. Each scene has three hypotheses of one form, one of each label. Arguments: see :class:`EmojiTask`.
    """

    source = 'xvnli'
    items_per_unit = len(LABELS)
    default_sizes = {'easy': (2, 3), 'hard': EVAL_SIZES['hard']}  # an easy scene of four has no cell left

    @property
    def answers(self) -> tuple[str, ...]:
        """Contradiction, neutral, entailment."""
        return LABELS

    def get_image_id(self, index: int) -> str:
        """Id of the scene with its curtain, the same for all hypotheses about it."""
        return super().get_image_id(self.locate(index)[1] // self.items_per_unit).replace('emoji-', 'emoji-curtain-', 1)

    def get_hypothesis(self, index: int) -> tuple[Hypothesis, int]:
        """The hypothesis of a sample, in no language yet, and the covered cell."""
        unit, number = divmod(self.locate(index)[1], self.items_per_unit)
        _, _, covered, hypotheses = self._planned(unit)
        return hypotheses[number], covered

    def _draw_plan(self, unit: int) -> Any:
        scene, rng = self.scene(unit), self._rng(unit, _HYPOTHESIS_STREAM)
        covered = draw_covered_cell(scene, rng)
        return scene, render_covered(scene, covered), covered, draw_hypotheses(scene, covered, self.concepts, rng)

    def get_texts(self, index: int) -> list[tuple[str, str]]:
        """The hypothesis with its language."""
        language, _ = self.locate(index)
        return [(language, hypothesis_text(self.get_hypothesis(index)[0], self.level, language))]

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index.

        Returns:
            ``item_id``, ``source``, ``texts`` (one hypothesis), ``answer``, ``label``, and the picture: ``image_id``,
            ``image``, ``roi_boxes``, ``roi_labels`` as of :class:`EmojiScenes`; the curtain is no region.
        """
        unit, number = divmod(self.locate(index)[1], self.items_per_unit)
        scene, image, _, hypotheses = self._planned(unit)
        stated = hypotheses[number]
        return {
            **look_of(scene, self.get_image_id(index), image),
            'item_id': self._item_id(index),
            'source': self.source,
            'texts': self.get_texts(index),
            'answer': LABELS[stated.label],
            'label': stated.label,
        }


@DATASETS.register_module()
class EmojiTaskTexts(EmojiScenes):
    """Parallel text in the words of the tasks: questions and statements with their exact translations.

    There is no image, no answer and no label: it lets pre-training see words that captions lack ('Where', 'From left to
    right', 'Only in the left picture'), as the parallel text of large corpora does. :attr:`run` consecutive items are
    different texts of one family about the same two concepts in the same two languages: in a batch that holds such a
    run (`run` of :class:`MixedSourceSampler`), translations are told by what the texts say and by nothing else.
    Arguments: see :class:`EmojiScenes`.
    """

    source = 'parallel'
    least_languages = 2
    run = 8

    def _texts(self, scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
        number, item = divmod(scene.index, self.run)
        rng = self._text_rng(number)
        named = self.scene.sets[number][:2]
        if len(named) < 2:
            others = range(self.scene.sets.start, self.scene.sets.end)
            named += (pick_other(others, named, rng),)
        languages = self._two_languages(rng)
        said = draw_family((named[0], named[1]), self.level, self.run, rng)[item]
        return {'texts': [(language, task_text(said, self.level, language)) for language in languages]}
