"""EmojiScenes as tasks with composed scenes: sentences about two pictures, and translation that needs a picture.

They are twins of NLVR2/MaRVL and of multi-modal translation (Multi30K) that need no download, made so that neither
text nor picture alone tells what is right.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rc3mm.datasets.emoji.ambiguous import SOURCE, Twins, draw_twins, source_text, target_text
from rc3mm.datasets.emoji.artefact import LANGUAGES, check_languages
from rc3mm.datasets.emoji.captions import names_of
from rc3mm.datasets.emoji.composed_sets import ComposedSets
from rc3mm.datasets.emoji.pairs_of_scenes import (
    GROUP,
    NUM_PAIRS,
    NUM_SENTENCES,
    PairsOfScenes,
    Sentence,
    draw_pairs,
    sentence_text,
)
from rc3mm.datasets.emoji.render import render
from rc3mm.datasets.emoji.scene import EVAL_SIZES, Scene
from rc3mm.datasets.emoji_tasks import EmojiTask, look_of
from rc3mm.registry import DATASETS

_PAIR_STREAM, _TWIN_STREAM = 0x6D2B, 0x51F3  # tell these random streams from all others
_GAP = 4  # pixels between two pictures that people look at


class _ComposedTask(EmojiTask):
    """Common part of tasks that choose what their scenes hold."""

    def __init__(
        self,
        *,
        num_items: int,
        split_seed: int = 0,
        concept_limit: int | None = None,
        concept_start: int = 0,
        **world: Any,
    ) -> None:
        part: dict[str, Any] = dict(split_seed=split_seed, concept_limit=concept_limit, concept_start=concept_start)
        super().__init__(num_items=num_items, **part, **world)
        self.sets = ComposedSets(self._members, self.num_concepts, self.split, self.scene.sizes, **part)
        self.scene.sets = self.sets

    def _scenes_needed(self, num_items: int) -> int:
        """None, as the scenes are composed; a dataset has at least one."""
        return 1

    def _members(self, scene: int) -> tuple[int, ...]:
        """Concepts of a scene."""
        raise NotImplementedError


@DATASETS.register_module()
class EmojiPairs(_ComposedTask):
    """Sentences about a left and a right picture, as in NLVR2 and MaRVL: false 0, true 1.

    Each sentence comes with four pairs of pictures, and is true of two of them; ``group`` tells which items share one.
    Twelve sentences, 48 items in a row, speak of the same six pairs, so that a batch that holds such a run need encode
    a picture but once (`share_images` of :func:`vl_collate`). Arguments: see :class:`EmojiTask`.
    """

    source = 'nlvr2'
    items_per_unit = NUM_SENTENCES * GROUP

    def __init__(self, *, num_items: int, **world: Any) -> None:
        super().__init__(num_items=num_items, **world)
        self._looks: dict[int, dict[str, Any]] = {}  # pictures of the unit at hand, as they are asked for
        if max(self.scene.sizes) < 3 or len(set(self.scene.sizes)) < 2:
            raise ValueError(f'EmojiPairs needs scenes of several sizes, some of 3 or more, not {self.scene.sizes}')

    @property
    def answers(self) -> tuple[str, ...]:
        """False, true."""
        return 'false', 'true'

    def get_judgement(self, index: int) -> tuple[Sentence, int, bool]:
        """The sentence of a sample, in no language yet, the number of its pair, and whether it is true of it."""
        unit, place = divmod(self.locate(index)[1], self.items_per_unit)
        judgement = self._planned(unit).judgements[place // GROUP]
        return judgement.sentence, unit * NUM_PAIRS + judgement.pairs[place % GROUP], judgement.labels[place % GROUP]

    def _draw_plan(self, unit: int) -> PairsOfScenes:
        self._looks = {}
        return draw_pairs(self.sets, self._rng(unit, _PAIR_STREAM))

    def _members(self, scene: int) -> tuple[int, ...]:
        pair, side = divmod(scene, 2)
        return self._planned(pair // NUM_PAIRS).scenes[pair % NUM_PAIRS][side]

    def get_scenes(self, index: int) -> tuple[Scene, Scene]:
        """The left and the right scene behind a sample."""
        pair = self.get_judgement(index)[1]
        return self.scene(2 * pair), self.scene(2 * pair + 1)

    def get_scene(self, index: int) -> Scene:
        """The left scene behind a sample; see :meth:`get_scenes` for both."""
        return self.get_scenes(index)[0]

    def get_image_id(self, index: int) -> str:
        """Ids of both pictures, joined by '+'."""
        pair = self.get_judgement(index)[1]
        return '+'.join(self._image_id_of(2 * pair + side) for side in range(2))

    def _image_id_of(self, scene: int) -> str:
        pair, side = divmod(scene, 2)
        return f'emoji-pairs-{self.level}-{self.split}-{self._world}-{pair:06d}-{("left", "right")[side]}'

    def get_texts(self, index: int) -> list[tuple[str, str]]:
        """The sentence with its language."""
        language, _ = self.locate(index)
        return [(language, sentence_text(self.get_judgement(index)[0], language))]

    def get_image(self, index: int) -> np.ndarray:
        """Both pictures side by side for people to look at: uint8 RGB (H, 2 W + gap, 3)."""
        left, right = (render(scene) for scene in self.get_scenes(index))
        return np.hstack([left, np.full((len(left), _GAP, 3), 255, np.uint8), right])

    def _look(self, scene: int) -> dict[str, Any]:
        if scene not in self._looks:
            drawn = self.scene(scene)
            self._looks[scene] = look_of(drawn, self._image_id_of(scene), render(drawn))
        return dict(self._looks[scene])

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index.

        Returns:
            ``item_id``, ``group``, ``source``, ``texts`` (one sentence), ``answer``, ``label``, ``image_id`` and
            ``images``: two dicts, left and right, of ``image_id``, ``image``, ``roi_boxes`` and ``roi_labels``.
        """
        _, pair, label = self.get_judgement(index)
        return {
            'images': [self._look(2 * pair), self._look(2 * pair + 1)],
            'image_id': self.get_image_id(index),
            'item_id': self._item_id(index),
            'group': f'{self.split}-{self.locate(index)[1] // GROUP:06d}',
            'source': self.source,
            'texts': self.get_texts(index),
            'answer': self.answers[label],
            'label': int(label),
        }


@DATASETS.register_module()
class EmojiTranslation(_ComposedTask):
    """Translation from English with a picture that shows which of several senses one word of the sentence has.

    Items come in twins that share the English sentence but neither sense nor picture: without the picture, no more than
    half of the ambiguous words can be right.

    Args:
        num_items: Items of each target language, an even number.
        target_languages: Languages to translate into. The items of one come after those of another.
        world: Further arguments of :class:`EmojiTask`, but for ``languages``.

    Raises:
        ValueError: If an argument does not fit.
    """

    source = 'translation'
    items_per_unit = 2
    default_sizes = {'easy': (3, 4), 'hard': EVAL_SIZES['hard']}

    def __init__(self, *, num_items: int, target_languages: Sequence[str] = ('de', 'fr', 'cs'), **world: Any) -> None:
        self.target_languages = tuple(target_languages)
        check_languages(self.target_languages)
        if SOURCE in self.target_languages:
            raise ValueError(f'target_languages are out of {LANGUAGES[1:]}: {SOURCE!r} is what is translated')
        super().__init__(num_items=num_items, languages=(SOURCE, *self.target_languages), **world)

    def __len__(self) -> int:
        """Number of samples: the items of all target languages."""
        return self.num_items * len(self.target_languages)

    @property
    def metainfo(self) -> dict[str, Any]:
        """As of EmojiScenes, with ``source_language`` and ``target_languages``; ``num_items`` counts all samples."""
        info = {key: value for key, value in super().metainfo.items() if key != 'answers'}
        return {**info, 'source_language': SOURCE, 'target_languages': self.target_languages}

    @property
    def answers(self) -> tuple[str, ...]:
        """None: answers are written."""
        return ()

    def locate(self, index: int) -> tuple[str, int]:
        """Target language and item of a sample."""
        language, item = divmod(index, self.num_items)
        return self.target_languages[language], item

    def get_twins(self, index: int) -> Twins:
        """The sentences of a sample and of its twin, in no other language yet."""
        return self._planned(self.locate(index)[1] // 2)

    def _draw_plan(self, unit: int) -> Twins:
        return draw_twins(self.sets, self._rng(unit, _TWIN_STREAM))

    def _members(self, scene: int) -> tuple[int, ...]:
        twins = self._planned(scene // 2)
        return twins.senses[scene % 2], *twins.others

    def get_scene(self, index: int) -> Scene:
        """The scene behind a sample."""
        return self.scene(self.locate(index)[1])

    def get_image_id(self, index: int) -> str:
        """Id of the scene, the same in all languages."""
        return f'emoji-senses-{self.level}-{self.split}-{self._world}-{self.locate(index)[1]:06d}'

    def get_texts(self, index: int) -> list[tuple[str, str]]:
        """The English sentence."""
        return [(SOURCE, source_text(self.get_twins(index)))]

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index.

        Returns:
            ``item_id``, ``source``, ``texts`` (the English sentence), ``target`` (language, reference), ``senses`` (the
            right word and the wrong one in that language), and the picture: ``image_id``, ``image``, ``roi_boxes``,
            ``roi_labels`` as of :class:`EmojiScenes`.
        """
        language, item = self.locate(index)
        twins, sense, scene = self.get_twins(index), item % 2, self.get_scene(index)
        right, wrong = names_of([twins.senses[sense], twins.senses[1 - sense]], language)
        return {
            **look_of(scene, self.get_image_id(index), render(scene)),
            'item_id': self._item_id(index),
            'source': self.source,
            'texts': self.get_texts(index),
            'target': (language, target_text(twins, sense, language)),
            'senses': (right, wrong),
        }
