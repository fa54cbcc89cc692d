"""Scenes, their pictures and their texts."""

import numpy as np
import pytest

from rc3mm.datasets.emoji.artefact import LANGUAGES, STYLES, load_concepts, scaled_sprite
from rc3mm.datasets.emoji.captions import TEMPLATES, WORDINGS, caption
from rc3mm.datasets.emoji.render import paste, render
from rc3mm.datasets.emoji.scene import HELD_OUT_STYLE, Background, Scene, SceneMaker
from rc3mm.datasets.emoji.weak_texts import draw_mentions, jaccard, weak_text

LEVELS = ('easy', 'hard')


def scenes(level: str, count: int = 60, **kwargs) -> list[Scene]:
    """The first training scenes of a level."""
    maker = SceneMaker(num_concepts=100, split=kwargs.pop('split', 'train'), level=level, **kwargs)
    return [maker(i) for i in range(count)]


@pytest.mark.parametrize('level', LEVELS)
@pytest.mark.parametrize('image_size', [32, 64, 97])
def test_boxes_lie_inside_the_canvas_on_visible_pixels(level: str, image_size: int) -> None:
    for scene in scenes(level, image_size=image_size):
        blank = Scene((), Background('plain', ((0, 0, 0),) * 2), (), level, image_size, 0, 0)
        for item in scene.objects:
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 < x2 <= image_size and 0 <= y1 < y2 <= image_size
            black, white = render(blank), 255 - render(blank)
            for canvas in (black, white):
                paste(canvas, scaled_sprite(item.style, item.concept, item.size), item.corner)
            seen = np.abs(white.astype(int) - black).min(-1) < 225
            assert seen[y1:y2, x1:x2].mean() > 0.05
            seen[y1:y2, x1:x2] = False
            assert not seen.any()


@pytest.mark.parametrize('level', LEVELS)
def test_cells_say_where_objects_are(level: str) -> None:
    grid = 2 if level == 'easy' else 3
    for scene in scenes(level, image_size=96):
        assert [item.cell for item in scene.objects] == sorted({item.cell for item in scene.objects})
        for item in scene.objects:
            x, y = (corner + item.size / 2 for corner in item.corner)
            assert (int(y * grid / 96), int(x * grid / 96)) == divmod(item.cell, grid)


def test_objects_of_easy_scenes_do_not_overlap() -> None:
    for scene in scenes('easy'):
        cover = np.zeros((64, 64), int)
        for item in scene.objects:
            x1, y1, x2, y2 = item.box
            cover[y1:y2, x1:x2] += 1
        assert cover.max() == 1


@pytest.mark.parametrize('level', LEVELS)
def test_levels_hold_as_many_objects_as_they_say(level: str) -> None:
    counts = {len(scene.objects) for scene in scenes(level)}
    assert counts == ({1, 2, 3, 4} if level == 'easy' else {2, 3, 4, 5, 6, 7, 8})


def test_held_out_style_is_seen_in_its_split_alone() -> None:
    for split in ('train', 'val', 'test'):
        seen = {x.style for s in scenes('hard', split=split) for x in (*s.objects, *s.distractors)} - {''}
        assert seen == set(STYLES) - {HELD_OUT_STYLE}
    style, plain = scenes('hard', split='test_style'), scenes('hard', split='test')
    assert {item.style for scene in style for item in scene.objects} == {HELD_OUT_STYLE}
    for a, b in zip(style, plain, strict=True):
        assert [(x.concept, x.cell, x.size) for x in a.objects] == [(x.concept, x.cell, x.size) for x in b.objects]
        assert a.background == b.background
    with pytest.raises(ValueError, match='held out'):
        SceneMaker(num_concepts=100, split='train', level='hard', styles=STYLES)
    with pytest.raises(ValueError, match='alone'):
        SceneMaker(num_concepts=100, split='test_style', level='hard', styles=('noto',))


def test_distractors_come_from_outside_the_world() -> None:
    found = [d for s in scenes('hard') for d in s.distractors]
    assert {d.kind for d in found} == {'disc', 'square', 'emoji'}
    assert min(d.concept for d in found if d.kind == 'emoji') >= 100


@pytest.mark.parametrize('level', LEVELS)
@pytest.mark.parametrize('template', range(len(TEMPLATES)))
def test_captions_are_exact_translations(level: str, template: int) -> None:
    for scene in scenes(level, 12):
        skeletons = set()
        for language in LANGUAGES:
            text, words = caption(scene, template, language), WORDINGS[language]
            places = words.corners if level == 'easy' else words.thirds
            pairs = [(load_concepts()[x.concept].names[language], places[x.cell]) for x in scene.objects]
            skeletons.add(skeleton(text, pairs, words))
        assert len(skeletons) == 1, skeletons


def skeleton(text: str, pairs: list[tuple[str, str]], words) -> str:
    """A caption with names, places and fixed words replaced by neutral marks."""
    marks = {words.picture: 'P', words.shown: 'S', words.count: 'C', words.listing: 'L'}
    marks |= {name: f'<{i}>' for i, (name, _) in enumerate(pairs)}
    heads = {place + words.colon: f'@{i}=' for i, (_, place) in enumerate(pairs)}
    result = []
    for statement in [s for s in text.split(words.stop) if s]:
        statement = statement.strip()
        head = next((h for h in heads if statement.startswith(h)), None)
        if head:
            result.append(heads[head] + marks[statement[len(head) :]])
            continue
        opening, _, rest = statement.rpartition(words.colon)
        names = [marks.get(name, name) for name in rest.split(words.comma)]
        result.append(marks.get(opening, opening) + '(' + ','.join(names) + ')')
    return '|'.join(result)


def test_captions_name_every_object_once() -> None:
    scene = scenes('hard', 8)[7]
    for template, kind in enumerate(TEMPLATES):
        pairs = [(load_concepts()[x.concept].names['de'], WORDINGS['de'].thirds[x.cell]) for x in scene.objects]
        shape = skeleton(caption(scene, template, 'de'), pairs, WORDINGS['de'])
        assert all(shape.count(f'<{i}>') == 1 for i in range(len(pairs))), kind


def test_wordings_tell_places_and_openings_apart() -> None:
    for words in WORDINGS.values():
        assert len(set(words.corners)) == 4 and len(set(words.thirds)) == 9
        assert len({words.picture, words.shown, words.count, words.listing}) == 4


def test_jaccard() -> None:
    assert jaccard((1, 2), (2, 3)) == pytest.approx(1 / 3)
    assert jaccard((1,), (1,)) == 1 and jaccard((1,), (2,)) == 0
    with pytest.raises(ValueError, match='empty'):
        jaccard((), ())


def test_mentions_are_parts_of_the_scene_of_all_relevances() -> None:
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(2000):
        concepts = tuple(range(10, 10 + int(rng.integers(1, 9))))
        first, second = draw_mentions(concepts, rng)
        for part in (first, second):
            assert 1 <= len(set(part)) == len(part) <= 3 and set(part) <= set(concepts)
        seen.append(round(jaccard(first, second), 2))
    for value in (0, 0.33, 0.5, 1):
        assert seen.count(value) > 200


def test_weak_texts_use_the_concepts_own_words() -> None:
    rng = np.random.default_rng(1)
    for language in LANGUAGES:
        for concept in load_concepts()[:100]:
            text = weak_text([concept.index], language, rng)
            allowed = {*concept.keywords[language], concept.names[language]}
            parts = text.replace('、', ', ').split(', ')
            assert 1 <= len(parts) <= 3 and (text in allowed or set(parts) <= allowed)
