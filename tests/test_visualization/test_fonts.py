"""Every language of the project is drawn with its own glyphs, not with boxes."""

import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rc3mm.visualization import font_families, missing_glyphs, warn_missing_glyphs
from rc3mm.visualization.fonts import LATIN_FAMILY, SHIPPED_FILE

SAMPLES = {
    'en': 'violin',
    'de': 'Äöüß',
    'fr': 'çœéÉ',
    'cs': 'řůžťďňěŘ',
    'ja': 'バイオリンの隣に赤い犬',
    'zh': '小提琴苹果蜗牛',
}
# In the private use area: no font has it.
NOBODY_HAS = '\ue5f3'


def pixels(char, families):
    """Grey values of one large character, shape (120, 120)."""
    figure = Figure(figsize=(1.2, 1.2), dpi=100)
    canvas = FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, char, fontfamily=families, fontsize=48, ha='center', va='center')
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0].astype(int)


def boxes(char, families):
    """What is drawn in place of a missing glyph; the box may depend on the font and on the script."""
    lacking = [[family] for family in families if missing_glyphs(char, [family])]
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph')
        return [pixels(char, family) for family in lacking] + [pixels(NOBODY_HAS, families)]


@pytest.mark.filterwarnings('error:Glyph')
@pytest.mark.parametrize('language', SAMPLES)
def test_glyphs_are_no_boxes(language):
    families = font_families(language)
    drawn = {char: pixels(char, families) for char in SAMPLES[language]}
    for char, image in drawn.items():
        assert image.min() < 128, f'{char} draws nothing'
        nearest = min(np.abs(image - box).sum() for box in boxes(char, families))
        assert nearest > 20 * 255, f'{char} draws the box of a missing glyph'
    # Different characters look different.
    assert len({image.tobytes() for image in drawn.values()}) == len(set(SAMPLES[language]))


def test_the_check_above_sees_boxes():
    families = font_families('ja')
    assert len(boxes('\u72ac', families)) == 2
    with pytest.warns(UserWarning, match='Glyph'):
        box = pixels('\u72ac', [LATIN_FAMILY])
    assert min(np.abs(box - other).sum() for other in boxes('\u72ac', families)) == 0


@pytest.mark.parametrize('language', [None, *SAMPLES])
def test_nothing_is_missing(language):
    families = font_families(language)
    assert families[0] == LATIN_FAMILY
    assert len(families) == len(set(families)) > 1
    assert missing_glyphs(SAMPLES.get(language or 'ja', '') + '、。 \n\u200b', families) == ''


def test_the_shipped_font_suffices():
    assert SHIPPED_FILE.is_file()
    families = [LATIN_FAMILY, font_families()[-1]]
    assert missing_glyphs(''.join(SAMPLES.values()), families) == ''


def test_missing_glyphs_are_named_once():
    assert missing_glyphs(f'a{NOBODY_HAS}b{NOBODY_HAS}', font_families()) == ''  # private use has no shape to miss
    assert missing_glyphs('犬a猫犬', [LATIN_FAMILY]) == '犬猫'
    with pytest.warns(UserWarning, match=r'犬猫.*Noto Sans CJK'):
        warn_missing_glyphs(['犬', '猫犬'], [LATIN_FAMILY])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warn_missing_glyphs(SAMPLES.values(), font_families())
