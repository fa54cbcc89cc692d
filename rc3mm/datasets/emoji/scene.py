"""Scenes: what is where on which background. Deterministic from (seed, split, index)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rc3mm.datasets.emoji.artefact import STYLES, num_concepts, scaled_sprite
from rc3mm.datasets.emoji.combinations import SceneSets, split_key

LEVELS = ('easy', 'hard')
HELD_OUT_STYLE = 'fluent'
TRAIN_SIZES = {'easy': (1, 2, 2, 3, 3, 3, 4, 4, 4, 4), 'hard': (2, 3, 4, 4, 5, 6, 7, 8)}
EVAL_SIZES = {'easy': (2, 3, 4), 'hard': (3, 4, 5, 6, 7, 8)}
# So many concepts next to the world's serve as distractors; few, so that their scaled artwork stays cached.
DISTRACTING = 50
GRID = {'easy': 2, 'hard': 3}
TEXTURES = ('noise', 'stripes', 'gradient', 'checks')


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One emoji in a scene.

    Attributes:
        concept: Concept index.
        style: Artwork style.
        size: Side of the scaled artwork in pixels.
        corner: (x, y) of the artwork's top left corner in pixels; may lie outside the canvas.
        box: (x1, y1, x2, y2) in pixels, tight around the visible artwork, clipped to the canvas.
        cell: Grid cell that its centre lies in, row by row: 0 to 3 in easy scenes, 0 to 8 in hard ones.
    """

    concept: int
    style: str
    size: int
    corner: tuple[int, int]
    box: tuple[int, int, int, int]
    cell: int


@dataclass(frozen=True, slots=True)
class Distractor:
    """Something that no text mentions: a plain disc or square, or a small greyed emoji from outside the
    world.

    Attributes:
        kind: 'disc', 'square' or 'emoji'.
        size: Side in pixels.
        corner: (x, y) of the top left corner in pixels; may lie outside the canvas.
        colour: RGB of a disc or square, 0 to 255.
        concept: Concept index of an emoji, else -1.
        style: Artwork style of an emoji, else ''.
    """

    kind: str
    size: int
    corner: tuple[int, int]
    colour: tuple[int, int, int]
    concept: int = -1
    style: str = ''


@dataclass(frozen=True, slots=True)
class Background:
    """What lies behind the objects.

    Attributes:
        kind: 'plain' or one of ``TEXTURES``.
        colours: Two RGB colours, 0 to 255; 'plain' uses the first.
        angle: Direction of stripes and gradients in radians.
        period: Period of stripes and checks in pixels.
        seed: Seed of the noise.
    """

    kind: str
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    angle: float = 0.0
    period: float = 8.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene, complete: rendering and captions need nothing else.

    Attributes:
        objects: Objects in reading order (by cell), at most one a cell, all of different concepts.
        background: The background.
        distractors: Unmentioned things behind the objects.
        level: One of ``LEVELS``.
        image_size: Side of the canvas in pixels.
        seed: The world's seed.
        index: Number of the scene.
    """

    objects: tuple[SceneObject, ...]
    background: Background
    distractors: tuple[Distractor, ...]
    level: str
    image_size: int
    seed: int
    index: int


def default_styles(split: str, level: str) -> tuple[str, ...]:
    """Artwork styles of a split.

    Returns:
        All in easy, all but the held-out one in hard, that one alone in 'test_style'.
    """
    if split == 'test_style':
        return (HELD_OUT_STYLE,)
    return STYLES if level == 'easy' else tuple(style for style in STYLES if style != HELD_OUT_STYLE)


class SceneMaker:
    """Makes scene number i of a world.

    Args:
        num_concepts: The first so many concepts make up the world.
        split: 'train', 'val', 'test' or 'test_style' (the scenes of 'test' in the held-out style).
        level: 'easy' (2 x 2 grid, plain light background, up to four objects) or 'hard' (3 x 3 grid with
            overlap, textures, distractors, up to eight objects).
        image_size: Side of the canvas in pixels, at least 32.
        styles: Artwork styles; None for :func:`default_styles`.
        sizes: Cycle of object counts; None for the level's default.
        seed: Chooses the scenes' order and looks, never which split a set of concepts belongs to.
        split_seed: Chooses the splits.
        concept_limit: Only the first so many concepts occur.
        concept_start: Only concepts from this index on occur.

    Raises:
        ValueError: If an argument does not fit.
    """

    def __init__(
        self,
        *,
        num_concepts: int,
        split: str,
        level: str,
        image_size: int = 64,
        styles: Sequence[str] | None = None,
        sizes: Sequence[int] | None = None,
        seed: int = 0,
        split_seed: int = 0,
        concept_limit: int | None = None,
        concept_start: int = 0,
    ) -> None:
        if level not in LEVELS:
            raise ValueError(f'unknown level {level!r}; there are {LEVELS}')
        if image_size < 32 or seed < 0:
            raise ValueError(f'image_size must be at least 32 and seed at least 0, not {image_size} and {seed}')
        default = TRAIN_SIZES if split == 'train' else EVAL_SIZES
        self.sizes = tuple(sizes) if sizes is not None else default[level]
        room = 4 if level == 'easy' else 8
        if any(not 1 <= k <= room for k in self.sizes):
            raise ValueError(f'{level} scenes hold 1 to {room} objects, not {self.sizes}')
        self.sets = SceneSets(
            _checked_world(num_concepts), split, self.sizes, seed, split_seed, concept_limit, concept_start
        )
        self.styles = _checked_styles(styles, split, level)
        self.num_concepts, self.split, self.level = num_concepts, split, level
        self.image_size, self.seed = image_size, seed

    def __call__(self, index: int) -> Scene:
        """Make a scene.

        Args:
            index: Number of the scene, at least 0.

        Returns:
            The scene; the same for the same (seed, split, index) and settings on every machine.
        """
        members = self.sets[index]
        rng = np.random.default_rng((self.seed, split_key(self.split), index))
        cells = GRID[self.level] ** 2
        order = rng.permutation(cells)[: len(members)].tolist()
        draws = rng.random((len(members), 4)).tolist()
        place = self._place_easy if self.level == 'easy' else self._place_hard
        objects = [place(concept, cell, draw) for concept, cell, draw in zip(members, order, draws, strict=True)]
        objects.sort(key=lambda o: o.cell)
        if self.level == 'easy':
            light = (200 + 56 * rng.random(3)).astype(int).tolist()
            colour = (light[0], light[1], light[2])
            background = Background('plain', (colour, colour))
            distractors: tuple[Distractor, ...] = ()
        else:
            background, distractors = self._texture(rng), self._distractors(rng)
        return Scene(tuple(objects), background, distractors, self.level, self.image_size, self.seed, index)

    def _place_easy(self, concept: int, cell: int, draw: list[float]) -> SceneObject:
        """An object wholly inside its quarter of the canvas."""
        half = self.image_size // 2
        size = min(round(self.image_size * (0.40 + 0.10 * _step(draw[0]))), half)
        row, column = divmod(cell, 2)
        x = column * half + round(draw[1] * (half - size))
        y = row * half + round(draw[2] * (half - size))
        return self._object(concept, cell, size, x, y, draw[3])

    def _place_hard(self, concept: int, cell: int, draw: list[float]) -> SceneObject:
        """An object around the middle of its ninth of the canvas, overlapping neighbours at times."""
        side = self.image_size
        size = round(side * (0.24 + 0.12 * _step(draw[0])))
        row, column = divmod(cell, 3)
        x = round(side * ((column + 0.5) / 3 + 0.16 * (draw[1] - 0.5)) - size / 2)
        y = round(side * ((row + 0.5) / 3 + 0.16 * (draw[2] - 0.5)) - size / 2)
        return self._object(concept, cell, size, x, y, draw[3])

    def _object(self, concept: int, cell: int, size: int, x: int, y: int, draw: float) -> SceneObject:
        """An object with its tight box."""
        style = self.styles[int(draw * len(self.styles))]
        x1, y1, x2, y2 = scaled_sprite(style, concept, size).box
        side = self.image_size
        box = (max(x + x1, 0), max(y + y1, 0), min(x + x2, side), min(y + y2, side))
        return SceneObject(concept, style, size, (x, y), box, cell)

    def _texture(self, rng: np.random.Generator) -> Background:
        """A textured background of two colours."""
        first = rng.integers(110, 246, 3).tolist()
        second = [min(max(c + d, 60), 255) for c, d in zip(first, rng.integers(-60, 61, 3).tolist(), strict=True)]
        kind = TEXTURES[int(rng.integers(len(TEXTURES)))]
        angle, period = (rng.random(2) * (np.pi, 0.2)).tolist()
        return Background(
            kind,
            ((first[0], first[1], first[2]), (second[0], second[1], second[2])),
            angle,
            self.image_size * (0.08 + period),
            int(rng.integers(1 << 31)),
        )

    def _distractors(self, rng: np.random.Generator) -> tuple[Distractor, ...]:
        """Two to four things that no text mentions."""
        outside = min(num_concepts() - self.num_concepts, DISTRACTING)
        made = []
        for draw in rng.random((int(rng.integers(2, 5)), 8)).tolist():
            size = round(self.image_size * (0.12 + 0.04 * int(draw[0] * 3)))
            corner = (
                round(draw[1] * self.image_size - size / 2),
                round(draw[2] * self.image_size - size / 2),
            )
            if outside and draw[3] < 0.5:
                concept = self.num_concepts + int(draw[4] * outside)
                made.append(
                    Distractor(
                        'emoji',
                        size,
                        corner,
                        (0, 0, 0),
                        concept,
                        self.styles[int(draw[5] * len(self.styles))],
                    )
                )
            else:
                colour = (int(draw[5] * 256), int(draw[6] * 256), int(draw[7] * 256))
                made.append(Distractor('disc' if draw[3] < 0.75 else 'square', size, corner, colour))
        return tuple(made)


def _step(draw: float) -> float:
    """One of eight even steps from 0 to 1: few sizes, so that scaled artwork stays cached."""
    return int(draw * 8) / 7


def _checked_world(count: int) -> int:
    """Check the number of concepts against the artefact."""
    if not 1 <= count <= num_concepts():
        raise ValueError(f'num_concepts must be 1 to {num_concepts()}, not {count}')
    return count


def _checked_styles(styles: Sequence[str] | None, split: str, level: str) -> tuple[str, ...]:
    """Check styles against the split and level."""
    if styles is None:
        return default_styles(split, level)
    chosen = tuple(styles)
    unknown = [style for style in chosen if style not in STYLES]
    if unknown or not chosen:
        raise ValueError(f'styles must be out of {STYLES}, not {chosen}')
    if split == 'test_style' and chosen != (HELD_OUT_STYLE,):
        raise ValueError(f"split 'test_style' shows the style {HELD_OUT_STYLE!r} alone, not {chosen}")
    if split != 'test_style' and level == 'hard' and HELD_OUT_STYLE in chosen:
        raise ValueError(f"the style {HELD_OUT_STYLE!r} is held out in hard scenes; only 'test_style' shows it")
    return chosen
