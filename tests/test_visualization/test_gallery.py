"""Galleries: every row, mark and frame is drawn, in every language, and nonsense is refused."""

import warnings

import numpy as np
import pytest
from PIL import Image

from rc3mm.visualization import GalleryRow, draw_gallery
from rc3mm.visualization.gallery import RIGHT, WRONG

GREY = np.full((20, 30, 3), 127, np.uint8)
QUERIES = {
    'en': 'a violin worth $5 and an apple worth $3',
    'cs': 'příliš žluťoučký kůň',
    'ja': 'バイオリンの隣に赤い犬がいる。',
    'zh': '小提琴的右边有两个红苹果和一个雪人。',
}


def text_row(language='en', right=0, rank=1, found=5):
    return GalleryRow('t2i', language, QUERIES[language], [GREY] * found, [i == right for i in range(found)], rank)


def image_row(language='ja', right=1):
    texts = [f'{QUERIES[language]} {i}' * (1 + i) for i in range(5)]
    return GalleryRow('i2t', language, GREY, texts, [i == right for i in range(5)])


def share_of(path, color):
    """Share of pixels of exactly one colour."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.asarray(Image.open(path).convert('RGB')) == rgb).all(-1).mean()


def draw(path, rows, **kwargs):
    """Any warning, of a missing glyph above all, fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        draw_gallery(rows, path, dpi=60, **kwargs)
    return np.asarray(Image.open(path).convert('RGB'))


def test_all_languages_and_both_directions(tmp_path):
    rows = [text_row(language) for language in QUERIES] + [image_row('ja'), image_row('zh')]
    picture = draw(tmp_path / 'new' / 'gallery.png', rows, title='ゼロショット, test')
    fewer = draw(tmp_path / 'fewer.png', rows[:-1], title='ゼロショット, test')
    assert picture.shape[0] > fewer.shape[0]
    assert picture.shape[1] == fewer.shape[1]


def test_frames_tell_right_from_wrong(tmp_path):
    for name, right in {'hit': 0, 'miss': 9}.items():
        draw(tmp_path / f'{name}.png', [text_row(right=right, rank=right + 1)])
    # The legend draws both colours thinly; a frame is much more.
    assert share_of(tmp_path / 'hit.png', RIGHT) > 3 * share_of(tmp_path / 'miss.png', RIGHT)
    assert share_of(tmp_path / 'miss.png', WRONG) > share_of(tmp_path / 'hit.png', WRONG)


def test_place_of_the_right_one_moves(tmp_path):
    def column(right):
        picture = draw(tmp_path / f'{right}.png', [text_row(right=right)])
        green = (picture == [int(RIGHT[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)
        return np.nonzero(green[60:])[1].mean()

    assert column(0) < column(2) < column(4)


def test_images_are_shown_whole_and_right_way_up(tmp_path):
    image = np.zeros((40, 20, 3), np.uint8)
    image[:20], image[20:] = (255, 0, 255), (0, 255, 255)
    picture = draw(tmp_path / 'a.png', [GalleryRow('t2i', 'en', 'x', [image], [True])]).astype(int)
    upper = np.nonzero(np.abs(picture - [255, 0, 255]).sum(-1) < 30)
    lower = np.nonzero(np.abs(picture - [0, 255, 255]).sum(-1) < 30)
    assert upper[0].mean() < lower[0].mean()
    assert (np.ptp(upper[0]) + np.ptp(lower[0])) / np.ptp(upper[1]) == pytest.approx(2, rel=0.15)


def test_fewer_than_top_and_no_rank(tmp_path):
    draw(tmp_path / 'few.png', [text_row(found=2, rank=None), image_row()])


@pytest.mark.parametrize('suffix', ['pdf', 'svg'])
def test_vector_formats(tmp_path, suffix):
    draw_gallery([text_row('zh')], tmp_path / f'a.{suffix}')
    assert (tmp_path / f'a.{suffix}').stat().st_size > 1000


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('i2i', 'en', 'x', [GREY], [True]), 'direction'),
        (('t2i', 'en', 'x', [GREY], [True, False]), 'marks'),
        (('t2i', 'en', GREY, ['x'], [True]), 'other way'),
        (('i2t', 'en', 'x', [GREY], [True]), 'other way'),
    ],
)
def test_nonsense_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        GalleryRow(*arguments)


def test_no_rows_raise(tmp_path):
    with pytest.raises(ValueError, match='no rows'):
        draw_gallery([], tmp_path / 'a.png')
