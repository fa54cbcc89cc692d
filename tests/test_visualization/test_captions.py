"""Pictures of images with their texts: everything is drawn, in every script, and nothing is cut off."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rc3mm.visualization.captions import CaptionedImage, draw_captions

TEXTS = [('en', 'a dog and $5'), ('ja', '犬とヴァイオリン'), ('zh', '一只狗')]


def height_of(path: Path, items: list[CaptionedImage], title: str = '') -> int:
    draw_captions(items, path, title=title, dpi=50)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert('RGB'))
    assert (pixels != 255).any()
    return len(pixels)


def test_the_picture_grows_with_what_is_shown(tmp_path: Path) -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    one = height_of(tmp_path / 'a' / '1.png', [CaptionedImage('row 0', TEXTS, image, 'en-ja 0.50')])
    two = height_of(tmp_path / '2.png', [CaptionedImage('row 0', TEXTS, image), CaptionedImage('row 1', TEXTS)])
    long = height_of(tmp_path / '3.png', [CaptionedImage('row 0', TEXTS * 8, image)])
    none = height_of(tmp_path / '5.png', [CaptionedImage('row 0', TEXTS)])
    assert none < one < two and one < long
    assert height_of(tmp_path / '4.png', [CaptionedImage('row 0', TEXTS, image, '')], title='犬 set') > one


def test_no_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no rows to draw'):
        draw_captions([], tmp_path / 'x.png')
