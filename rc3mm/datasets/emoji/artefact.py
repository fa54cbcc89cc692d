"""Read the EmojiScenes artefact: concepts, names, keywords and artwork.

Everything is read when first asked for and kept. Arrays are shared: never write into one.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

LANGUAGES = ('en', 'de', 'fr', 'cs', 'ja', 'zh')
STYLES = ('noto', 'twemoji', 'fluent')
_PACKAGE = Path(__file__).resolve().parents[2]
_DATA = _PACKAGE / 'datasets' / 'emoji' / 'data'


@dataclass(frozen=True)
class Concept:
    """One thing that scenes show.

    Attributes:
        index: Number of the concept.
        char: The emoji.
        codepoints: Its code points in hexadecimal, joined with '-'.
        group: Group of concepts, such as 'animals'.
        names: Language -> name; names are translations of each other, unique within a language.
        keywords: Language -> keywords; these are *not* translations of each other.
    """

    index: int
    char: str
    codepoints: str
    group: str
    names: dict[str, str] = field(hash=False)
    keywords: dict[str, tuple[str, ...]] = field(hash=False)


@dataclass(frozen=True)
class Sprite:
    """A concept's artwork scaled to one size, ready for compositing.

    Attributes:
        premultiplied: uint8 (H, W, 3), colour times alpha, 0 to 255.
        keep: uint16 (H, W, 1), how much of the background stays, 0 to 256 (256 = all of it).
        box: (x1, y1, x2, y2) in pixels of the sprite, tight around what is visible.
    """

    premultiplied: np.ndarray
    keep: np.ndarray
    box: tuple[int, int, int, int]


def _existing(path: Path) -> Path:
    """Return the path if the file exists.

    Raises:
        FileNotFoundError: If not, with what to do.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path.name} of EmojiScenes is missing from {path.parent}: reinstall rc3mm with its data '
            'or rebuild it with tools/dataset_converters/build_emoji.py'
        )
    return path


@cache
def _table() -> dict:
    """The parsed ``concepts.json``."""
    return json.loads(_existing(_DATA / 'concepts.json').read_text(encoding='utf-8'))


@cache
def load_concepts() -> tuple[Concept, ...]:
    """All concepts in the artefact's order.

    Returns:
        Concepts; the first 100 to 200 are short-named and easily told apart.

    Raises:
        FileNotFoundError: If the artefact is missing.
    """
    return tuple(
        Concept(
            index,
            entry['char'],
            entry['codepoints'],
            entry['group'],
            entry['names'],
            {language: tuple(words) for language, words in entry['keywords'].items()},
        )
        for index, entry in enumerate(_table()['concepts'])
    )


def num_concepts() -> int:
    """How many concepts the artefact has."""
    return len(load_concepts())


def check_languages(languages: tuple[str, ...]) -> None:
    """Check language codes.

    Raises:
        ValueError: If there is none, one is unknown or one comes twice.
    """
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown or not languages or len(set(languages)) != len(languages):
        raise ValueError(f'languages must be distinct codes out of {LANGUAGES}, not {languages}')


@cache
def load_atlas(style: str) -> np.ndarray:
    """All artwork of a style.

    Args:
        style: One of ``STYLES``.

    Returns:
        uint8 RGBA (rows * tile, columns * tile, 4), read-only.

    Raises:
        ValueError: If the style is unknown.
        FileNotFoundError: If the artefact is missing.
    """
    if style not in STYLES:
        raise ValueError(f'unknown artwork style {style!r}; there are {STYLES}')
    with Image.open(_existing(_DATA / f'{style}.webp')) as image:
        atlas = np.array(image.convert('RGBA'))
    atlas.setflags(write=False)
    return atlas


def artwork(style: str, concept: int) -> np.ndarray:
    """A concept's artwork at full size.

    Args:
        style: One of ``STYLES``.
        concept: Concept index.

    Returns:
        uint8 RGBA view of (64, 64, 4), read-only, alpha not premultiplied.

    Raises:
        IndexError: If there is no such concept.
    """
    if not 0 <= concept < num_concepts():
        raise IndexError(f'concept {concept} is not in range({num_concepts()})')
    tile, columns = _table()['tile'], _table()['columns']
    y, x = concept // columns * tile, concept % columns * tile
    return load_atlas(style)[y : y + tile, x : x + tile]


@lru_cache(maxsize=4096)
def scaled_sprite(style: str, concept: int, size: int, grey: bool = False) -> Sprite:
    """A concept's artwork scaled and premultiplied; the last 4,096 are kept.

    Args:
        style: One of ``STYLES``.
        concept: Concept index.
        size: Side in pixels, at least 1.
        grey: Take the colour out and half of the opacity.

    Returns:
        The sprite.
    """
    rgba = artwork(style, concept).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    layers = np.concatenate([rgba[..., :3] * alpha, alpha * 255], axis=-1)
    scaled = np.stack([_resize(layers[..., c], size) for c in range(4)], axis=-1).clip(0, 255)
    if grey:
        scaled[..., :3] = scaled[..., :3].mean(axis=-1, keepdims=True)
        scaled *= 0.5
    keep = np.rint((255 - scaled[..., 3:]) * 256 / 255).astype(np.uint16)
    room = 255 - (255 * keep.astype(np.uint32) >> 8).astype(np.uint16)
    premultiplied = np.minimum(np.rint(scaled[..., :3]).astype(np.uint16), room)
    ys, xs = np.nonzero(scaled[..., 3] > 24)
    box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1) if len(xs) else (0, 0, size, size)
    return Sprite(premultiplied.astype(np.uint8), keep, box)


def _resize(plane_HW: np.ndarray, size: int) -> np.ndarray:
    """Scale one float plane to (size, size)."""
    return np.asarray(Image.fromarray(plane_HW).resize((size, size), Image.Resampling.BICUBIC))


def verify() -> int:
    """Check every file of the artefact against the manifest.

    Returns:
        Number of files checked.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file differs from the one that was built.
    """
    manifest = json.loads(_existing(_DATA / 'manifest.json').read_text(encoding='utf-8'))['sha256']
    for name, expected in manifest.items():
        digest = hashlib.sha256(_existing(_PACKAGE / name).read_bytes()).hexdigest()
        if digest != expected:
            raise ValueError(
                f'EmojiScenes file {name} has SHA-256 {digest[:12]}..., expected {expected[:12]}...: '
                'it was changed or damaged'
            )
    return len(manifest)
