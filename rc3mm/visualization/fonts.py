"""Fonts that draw every language of the project: families for Matplotlib's per-glyph fallback."""

import unicodedata
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

__all__ = ['font_families', 'missing_glyphs', 'warn_missing_glyphs']

# Latin comes first: CJK fonts draw it too, but with uneven weights. It ships with Matplotlib.
LATIN_FAMILY = 'DejaVu Sans'
SHIPPED_FILE = Path(__file__).parent / 'fonts' / 'DroidSansFallback-subset.ttf'

# The same code point is drawn differently in Japanese and in Chinese, so each has its own order.
JAPANESE_FAMILIES = (
    'Noto Sans CJK JP',
    'Noto Sans JP',
    'Source Han Sans JP',
    'Hiragino Sans',
    'Yu Gothic',
    'Meiryo',
    'IPAexGothic',
    'IPAGothic',
    'TakaoPGothic',
    'VL Gothic',
)
CHINESE_FAMILIES = (
    'Noto Sans CJK SC',
    'Noto Sans SC',
    'Source Han Sans SC',
    'PingFang SC',
    'Heiti SC',
    'Microsoft YaHei',
    'SimHei',
    'WenQuanYi Zen Hei',
    'WenQuanYi Micro Hei',
    'Droid Sans Fallback',
)


def font_families(language: str | None = None) -> list[str]:
    """Families to give to Matplotlib as `fontfamily`; it takes each glyph from the first that has it.

    Args:
        language: Language code of the text; decides between Japanese and Chinese forms of the same
        characters.

    Returns:
        Latin first, then the installed CJK families, then the one that ships with rc3mm. All of them exist.
    """
    by_preference = CHINESE_FAMILIES + JAPANESE_FAMILIES if language == 'zh' else JAPANESE_FAMILIES + CHINESE_FAMILIES
    shipped = _register_shipped()
    installed = set(fontManager.get_font_names())
    found = [family for family in by_preference if family in installed]
    return list(dict.fromkeys([LATIN_FAMILY, *found, *shipped]))


def missing_glyphs(text: str, families: Iterable[str]) -> str:
    """The characters of `text` that no family can draw, each once, in order of appearance."""
    drawable = frozenset[int]().union(*(_code_points(family) for family in families))
    # Spaces, controls and format characters (categories Z* and C*) have no shape of their own.
    return ''.join(
        char for char in dict.fromkeys(text) if ord(char) not in drawable and unicodedata.category(char)[0] not in 'ZC'
    )


def warn_missing_glyphs(texts: Iterable[str], families: Iterable[str]) -> None:
    """Warn once, and say what to do, if some characters will be drawn as boxes."""
    missing = missing_glyphs(''.join(texts), families)
    if missing:
        shown = missing if len(missing) <= 20 else f'{missing[:20]}...'
        warnings.warn(
            f'no font has {shown!r} ({len(missing)} characters): they are drawn as boxes. Install a font '
            'with them, such as Noto Sans CJK for Japanese and Chinese, and delete the font cache of '
            'Matplotlib.',
            stacklevel=2,
        )


@lru_cache(maxsize=1)
def _register_shipped() -> tuple[str, ...]:
    """Make the font of this package known to Matplotlib; returns its family, or nothing without the file."""
    if not SHIPPED_FILE.is_file():
        return ()
    fontManager.addfont(SHIPPED_FILE)
    return (FontProperties(fname=str(SHIPPED_FILE)).get_name(),)


@lru_cache(maxsize=32)
def _code_points(family: str) -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=family))).get_charmap())
