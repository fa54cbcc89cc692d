"""Contact sheets of regions: boxes where they belong, labels that can be read, nothing that trips over odd input."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rc3mm.structures import Regions
from rc3mm.visualization.regions import COLORS, RegionPicture, draw_regions, place_labels

COLOR = np.array([int(COLORS[0][k : k + 2], 16) for k in (1, 3, 5)])


def picture(boxes: list[list[float]], size: tuple[int, int] = (60, 80), name: str = 'a', **parts: object):
    regions = Regions(
        features=np.zeros((len(boxes), 2), np.float16),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        image_size=size,
        scores=np.linspace(0.9, 0.1, len(boxes)).astype(np.float32),
    )
    image = np.full((*size, 3), 255, np.uint8)
    return RegionPicture(name, regions, **{'image': image, **parts})


def draw(path: Path, pictures: list[RegionPicture], **options: object) -> np.ndarray:
    """Any warning, of a missing glyph above all, fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        draw_regions(pictures, path, **{'dpi': 60, **options})
    return np.asarray(Image.open(path).convert('RGB')).astype(int)


def centre_of_color(pixels: np.ndarray) -> np.ndarray:
    """Mean (y, x) of the pixels in the first region's colour."""
    return np.argwhere(np.abs(pixels - COLOR).sum(-1) < 30).mean(0)


def test_boxes_move_with_their_coordinates(tmp_path: Path) -> None:
    def at(box: list[float]) -> np.ndarray:
        shown = picture([box], name='')
        shown = dataclasses.replace(shown, regions=dataclasses.replace(shown.regions, scores=None))
        return centre_of_color(draw(tmp_path / 'x.png', [shown], dpi=100))

    left, right, low = at([2, 2, 12, 12]), at([62, 2, 72, 12]), at([2, 42, 12, 52])
    assert right[1] - left[1] == pytest.approx(60 * 300 / 80, abs=3) and abs(right[0] - left[0]) < 1
    assert low[0] - left[0] == pytest.approx(40 * 300 / 80, abs=3) and abs(low[1] - left[1]) < 1


def test_rows_and_columns(tmp_path: Path) -> None:
    one = draw(tmp_path / 'new' / '1.png', [picture([[1, 1, 9, 9]])])
    two = draw(tmp_path / '2.png', [picture([[1, 1, 9, 9]])] * 2, columns=2, title='store')
    three = draw(tmp_path / '3.png', [picture([[1, 1, 9, 9]])] * 3, columns=2, title='store')
    assert one.shape[1] < two.shape[1] == three.shape[1] and two.shape[0] < three.shape[0]


@pytest.mark.parametrize(
    'shown',
    [
        picture([]),
        picture([[0, 0, 80, 60]], image=None, labels=['ヴァイオリン 犬']),
        picture([[0, 0, 30, 20]] * 40, labels=[f'class $ {k} ' * 5 for k in range(40)], name='a/very/long/id$' * 9),
        picture([[0, 0, 900, 3]], size=(4, 900)),
        picture([[0, 0, 3, 900]], size=(900, 4)),
    ],
    ids=['no region', 'no image', 'many', 'flat', 'tall'],
)
def test_odd_pictures_are_drawn(shown: RegionPicture, tmp_path: Path) -> None:
    assert draw(tmp_path / 'x.png', [shown, picture([[1, 1, 9, 9]])]).std() > 1


def test_labels_are_drawn_for_the_best_only(tmp_path: Path) -> None:
    boxes = [[5.0 + 18 * k, 30, 15.0 + 18 * k, 40] for k in range(4)]
    shown = picture(boxes, labels=['aa'] * 4)
    ink = [(draw(tmp_path / 'x.png', [shown], most_labels=most) < 250).sum() for most in (0, 1, 2, 4)]
    assert ink == sorted(set(ink))


coordinates = st.floats(0, 10, allow_nan=False)
boxes_in_frame = st.tuples(coordinates, coordinates, coordinates, coordinates).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@given(boxes=st.lists(boxes_in_frame, max_size=12), width=st.floats(0.1, 9))
def test_labels_stay_inside_the_frame_and_keep_their_size(boxes: list, width: float) -> None:
    rects = place_labels(boxes, [width] * len(boxes), 0.5, (0, 0, 10, 10))
    for x1, y1, x2, y2 in rects:
        assert x1 >= 0 and y1 >= 0 and x2 <= 10 + 1e-9 and y2 <= 10 + 1e-9
        assert x2 - x1 == pytest.approx(width) and y2 - y1 == pytest.approx(0.5)


def test_labels_of_equal_boxes_do_not_cover_each_other() -> None:
    rects = place_labels([(3, 3, 7, 7)] * 4, [1.0] * 4, 0.5, (0, 0, 10, 10))
    for k, one in enumerate(rects):
        for other in rects[:k]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no images to draw'):
        draw_regions([], tmp_path / 'x.png')
    with pytest.raises(ValueError, match='a: 2 labels for 1 regions'):
        picture([[0, 0, 1, 1]], labels=['x', 'y'])
