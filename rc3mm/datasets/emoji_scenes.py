"""EmojiScenes as datasets: strict pairs, weak pairs, parallel text and a retrieval benchmark."""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rc3mm.datasets.base import Transform, VLDataset
from rc3mm.datasets.emoji.artefact import LANGUAGES, check_languages, load_concepts
from rc3mm.datasets.emoji.captions import TEMPLATES, caption
from rc3mm.datasets.emoji.combinations import split_key
from rc3mm.datasets.emoji.render import render
from rc3mm.datasets.emoji.scene import Scene, SceneMaker
from rc3mm.datasets.emoji.weak_texts import draw_mentions, jaccard, weak_text
from rc3mm.registry import DATASETS

_TEXT_STREAM = 0x7E87  # tells the random stream of the texts from that of the looks


class EmojiScenes(VLDataset):
    """Common part of the EmojiScenes datasets.

    The scene, its texts and its languages depend on (seed, split, index) alone. Splits share no set of
    concepts as long as ``num_concepts`` and ``split_seed`` agree; ``seed`` may differ.

    Args:
        num_scenes: Length of the dataset. Val and test have a limited number of scenes, train has not.
        num_concepts: The first so many concepts make up the world.
        split: 'train', 'val', 'test' or 'test_style' ('test' in the artwork style that hard training never
            shows).
        level: 'easy' or 'hard'.
        image_size: Side of the images in pixels, at least 32.
        languages: Languages of the texts.
        styles: Artwork styles; None for the level's default.
        sizes: Cycle of object counts; None for the level's default.
        concept_limit: Only the first so many concepts occur (data scarce by concept).
        concept_start: Only concepts from this index on occur (what such data lacks).
        seed: Chooses scenes, looks and texts.
        split_seed: Chooses the splits; leave it alone within an experiment.
        pipeline: Transforms, as callables or config dicts.

    Raises:
        ValueError: If an argument does not fit or val or test have fewer scenes than asked for.
    """

    source: ClassVar[str]
    least_languages: ClassVar[int] = 1

    def __init__(
        self,
        *,
        num_scenes: int,
        num_concepts: int = 100,
        split: str = 'train',
        level: str = 'easy',
        image_size: int = 64,
        languages: Sequence[str] = LANGUAGES,
        styles: Sequence[str] | None = None,
        sizes: Sequence[int] | None = None,
        concept_limit: int | None = None,
        concept_start: int = 0,
        seed: int = 0,
        split_seed: int = 0,
        pipeline: Sequence[dict[str, Any] | Transform] = (),
    ) -> None:
        super().__init__(seed=seed, pipeline=pipeline)
        self.languages = tuple(languages)
        check_languages(self.languages)
        if len(self.languages) < self.least_languages:
            raise ValueError(f'{type(self).__name__} needs {self.least_languages} languages, not {self.languages}')
        self.scene = SceneMaker(
            num_concepts=num_concepts,
            split=split,
            level=level,
            image_size=image_size,
            styles=styles,
            sizes=sizes,
            seed=seed,
            split_seed=split_seed,
            concept_limit=concept_limit,
            concept_start=concept_start,
        )
        if num_scenes < 1:
            raise ValueError(f'num_scenes must be at least 1, not {num_scenes}')
        if split != 'train' and num_scenes > (most := self.scene.sets.num_distinct()):
            raise ValueError(
                f'split {split!r} of {num_concepts} concepts with scene sizes {self.scene.sizes} has '
                f'{most} scenes without repetition; {num_scenes} were asked for'
            )
        if split != 'train':
            for index in range(max(num_scenes - len(self.scene.sizes), 0), num_scenes):
                self.scene.sets[index]  # a part of the concepts may have too few: say so now
        self.num_scenes, self.split, self.level = num_scenes, split, level
        looks: tuple[Any, ...] = (
            num_concepts,
            image_size,
            self.scene.styles,
            self.scene.sizes,
            seed,
            split_seed,
            concept_limit,
        )
        looks += (concept_start,) if concept_start else ()
        self._world = hashlib.blake2b(repr(looks).encode(), digest_size=3).hexdigest()
        self.num_concepts = num_concepts

    def __len__(self) -> int:
        """Number of scenes."""
        return self.num_scenes

    @property
    def metainfo(self) -> dict[str, Any]:
        """Name, split, level, languages, source, number of items and of concepts."""
        return {
            'dataset_name': 'EmojiScenes',
            'source': self.source,
            'split': self.split,
            'level': self.level,
            'languages': self.languages,
            'num_items': self.num_scenes,
            'num_concepts': self.num_concepts,
            'classes': class_names(self.num_concepts),
        }

    def get_scene(self, index: int) -> Scene:
        """The scene behind a sample."""
        return self.scene(index)

    def get_image_id(self, index: int) -> str:
        """Id of a scene; a digest in it tells the worlds apart, so that no two pictures share an id."""
        return f'emoji-{self.level}-{self.split}-{self._world}-{index:06d}'

    def get_sample(self, index: int) -> dict[str, Any]:
        """The raw sample of an index.

        Args:
            index: Number of the scene.

        Returns:
            ``image`` uint8 RGB (H, W, 3), not for parallel text; ``roi_boxes`` float32 (R, 4) in pixels
            (x1, y1, x2, y2) and ``roi_labels`` int64 (R,) concept indices in reading order; ``texts`` list of
            (language, text); ``image_id``; ``source``; for weak pairs ``true_relevance``,
            ``mentions`` and ``objects``.
        """
        scene = self.scene(index)
        sample: dict[str, Any] = {
            'image_id': self.get_image_id(index),
            'source': self.source,
            'roi_boxes': np.array([item.box for item in scene.objects], np.float32),
            'roi_labels': np.array([item.concept for item in scene.objects], np.int64),
        }
        sample.update(self._texts(scene, self._text_rng(index)))
        if self.source != 'parallel':
            sample['image'] = render(scene)
        return sample

    def get_texts(self, index: int) -> list[tuple[str, str]]:
        """The (language, text) pairs of a sample, without rendering it."""
        return self._texts(self.scene(index), self._text_rng(index))['texts']

    def _text_rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, split_key(self.split), index, _TEXT_STREAM))

    def _texts(self, scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
        """Keys of the sample that hold texts: two captions in two languages here."""
        first, second = self._two_languages(rng)
        template = int(rng.integers(len(TEMPLATES)))
        other = template
        if first == second:
            other = (template + 1 + int(rng.integers(len(TEMPLATES) - 1))) % len(TEMPLATES)
        return {'texts': [(first, caption(scene, template, first)), (second, caption(scene, other, second))]}

    def _two_languages(self, rng: np.random.Generator) -> tuple[str, str]:
        """Two different languages in random order; the only one twice if there is but one."""
        count = len(self.languages)
        first = int(rng.integers(count))
        second = (first + 1 + int(rng.integers(count - 1))) % count if count > 1 else first
        return self.languages[first], self.languages[second]


def class_names(num_concepts: int) -> tuple[str, ...]:
    """English names of the first concepts, in the order of ``roi_labels``."""
    return tuple(concept.names['en'] for concept in load_concepts()[:num_concepts])


@DATASETS.register_module()
class EmojiStrict(EmojiScenes):
    """Strictly-aligned pairs: a scene and two captions that are exact translations of each other.

    With a single language the two are paraphrases. Arguments: see :class:`EmojiScenes`.
    """

    source = 'strict'


@DATASETS.register_module()
class EmojiParallel(EmojiScenes):
    """Parallel text: two captions that are exact translations, without the image.

    Arguments: see :class:`EmojiScenes`.
    """

    source = 'parallel'
    least_languages = 2


@DATASETS.register_module()
class EmojiWeak(EmojiScenes):
    """Weakly-aligned pairs: a scene and two texts, each mentioning a part of it in keywords or names.

    ``objects`` are the concepts of the scene, ``mentions`` those that each text mentions, and ``true_relevance`` is
    the Jaccard index of the two: for judging scorers and models, not for training on it unnoticed. Arguments: see
    :class:`EmojiScenes`.
    """

    source = 'weak'

    def _texts(self, scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
        languages = self._two_languages(rng)
        mentions = draw_mentions([item.concept for item in scene.objects], rng)
        texts = [(language, weak_text(part, language, rng)) for language, part in zip(languages, mentions, strict=True)]
        objects = tuple(item.concept for item in scene.objects)
        return {'texts': texts, 'true_relevance': jaccard(*mentions), 'mentions': mentions, 'objects': objects}


@DATASETS.register_module()
class EmojiRetrieval(EmojiScenes):
    """A retrieval benchmark: a scene and one caption in every language, exact translations of each other.

    Arguments: see :class:`EmojiScenes`.
    """

    source = 'retrieval'

    def _texts(self, scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
        template = int(rng.integers(len(TEMPLATES)))
        return {'texts': [(language, caption(scene, template, language)) for language in self.languages]}
