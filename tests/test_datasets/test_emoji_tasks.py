"""Laws of the emoji tasks about one picture: questions and entailment."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
import pytest

from rc3mm.datasets.emoji.artefact import LANGUAGES, load_concepts
from rc3mm.datasets.emoji.captions import WORDINGS
from rc3mm.datasets.emoji.entailment import hypothesis_text
from rc3mm.datasets.emoji.questions import question_text
from rc3mm.datasets.emoji.task_wording import places
from rc3mm.datasets.emoji_scenes import EmojiStrict
from rc3mm.datasets.emoji_tasks import EmojiEntailment, EmojiTaskTexts, EmojiVQA
from tests.test_datasets.emoji_task_texts import cells_of, is_true, read_text

GRID = {'easy': 2, 'hard': 3}


def accuracy_by(keys: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Accuracy on the second half of saying, for each key, the label that was its commonest in the first half."""
    half = len(keys) // 2
    seen: defaultdict[Hashable, Counter] = defaultdict(Counter)
    for key, label in zip(keys[:half], labels[:half], strict=True):
        seen[key][label] += 1
    common = Counter(labels[:half]).most_common(1)[0][0]
    said = [seen[key].most_common(1)[0][0] if key in seen else common for key in keys[half:]]
    return float(np.mean([a == b for a, b in zip(said, labels[half:], strict=True)]))


def questions(level: str, kind: int, count: int = 4000) -> tuple[list[str], list[str], list[tuple[int, ...]]]:
    """Text, answer and concepts of questions of one kind."""
    dataset = EmojiVQA(num_items=count * 4, level=level, languages=('en',))
    drawn = [dataset.get_question(i) for i in range(kind, count * 4, 4)]
    scenes = [dataset.scene.sets[i] for i in range(count)]
    return [question_text(asked, level, 'en') for asked in drawn], [asked.answer for asked in drawn], scenes


@pytest.mark.parametrize('level', ['easy', 'hard'])
@pytest.mark.parametrize('language', LANGUAGES)
def test_answers_are_what_the_scene_shows(level: str, language: str) -> None:
    dataset = EmojiVQA(num_items=240, level=level, languages=(language,), split='val', num_concepts=120)
    asked = Counter()
    for index in range(240):
        (_, text), answer = dataset.get_texts(index)[0], dataset.get_question(index).answer
        said, asks = read_text(text, level, language)
        assert asks
        objects = cells_of(dataset.get_scene(index))
        opening, given = said[0]
        assert len(said) == 1
        asked[opening.split()[0]] += 1
        if opening == 'how_many':
            right = str(len(objects))
        elif opening == 'where':
            cell = next(cell for cell, concept in objects if concept == given[0])
            right = places(level, 'en')[cell].lower()
        elif opening == 'what':
            right = load_concepts()[dict(objects)[int(given[0])]].names['en']
        else:
            right = 'yes' if is_true(said, objects, GRID[level]) else 'no'
        assert right == answer
    assert len(asked) == 7 and min(asked.values()) > 2


@pytest.mark.parametrize('level', ['easy', 'hard'])
@pytest.mark.parametrize('language', LANGUAGES)
def test_hypotheses_are_judged_by_all_that_the_curtain_may_hide(level: str, language: str) -> None:
    dataset = EmojiEntailment(num_items=240, level=level, languages=(language,), split='val', num_concepts=60)
    forms = Counter()
    for index in range(240):
        stated, covered = dataset.get_hypothesis(index)
        said, asks = read_text(dataset.get_texts(index)[0][1], level, language)
        assert not asks
        seen = cells_of(dataset.get_scene(index))
        assert covered not in dict(seen)
        hidden = [concept for concept in range(60) if concept not in dict(seen).values()]
        worlds = [seen, *([*seen, (covered, concept)] for concept in hidden)]
        truths = {is_true(said, world, GRID[level]) for world in worlds}
        assert stated.label == (1 if len(truths) == 2 else 2 if truths == {True} else 0)
        forms[len(said), said[0][0].split()[0]] += 1
    assert set(forms) == {(1, 'cell'), (2, 'cell'), (1, 'horizontal'), (1, 'vertical')}


@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_the_text_says_nothing_about_the_answer(level: str) -> None:
    chance = {0: 1 / 100, 1: 1 / GRID[level] ** 2, 2: 1 / (3 if level == 'easy' else 6), 3: 1 / 2}
    for kind, expected in chance.items():
        texts, answers, _ = questions(level, kind)
        for keys in (texts, [0] * len(texts)):
            assert accuracy_by(keys, answers) < expected + 0.035, kind
        assert set(Counter(answers)) <= set(EmojiVQA(num_items=4, level=level).answers)


def test_the_scene_without_the_question_says_nothing_about_yes_no_and_places() -> None:
    for kind, expected in ((1, 1 / 4), (3, 1 / 2)):
        _, answers, scenes = questions('easy', kind)
        assert accuracy_by([len(scene) for scene in scenes], answers) < expected + 0.035
        assert accuracy_by([scene[0] for scene in scenes], answers) < expected + 0.035


def test_yes_and_no_are_asked_about_the_same_concepts() -> None:
    texts, answers, _ = questions('easy', 3, 9000)
    shares = defaultdict(list)
    for text, answer in zip(texts, answers, strict=True):
        shares[text.split(':')[0]].append(answer == 'yes')
    assert set(shares) == {*WORDINGS['en'].corners, 'In the picture', 'From left to right', 'From top to bottom'}
    assert all(0.44 < np.mean(share) < 0.56 for share in shares.values())
    there = [(text, a) for text, a in zip(texts, answers, strict=True) if text.startswith('In the picture')]
    for answer in ('yes', 'no'):
        often = Counter(text for text, given in there if given == answer)
        assert len(often) == 100 and max(often.values()) < 3 * len(there) / 200


@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_neither_text_nor_scene_says_anything_about_entailment(level: str) -> None:
    dataset = EmojiEntailment(num_items=6000, level=level, languages=('en',))
    drawn = [dataset.get_hypothesis(i) for i in range(6000)]
    labels = [stated.label for stated, _ in drawn]
    assert all(sorted(labels[i : i + 3]) == [0, 1, 2] for i in range(0, 6000, 3))  # of each picture: one of each
    texts = [hypothesis_text(stated, level, 'en') for stated, _ in drawn]
    concepts = [stated.concepts[0] for stated, _ in drawn]
    sizes = [len(dataset.scene.sets[i // 3]) for i in range(6000)]
    forms = [(stated.form, stated.cells) for stated, _ in drawn]
    covered = [(cell, i % 3) for i, (_, cell) in enumerate(drawn)]
    last = [stated.concepts[-1] for stated, _ in drawn]
    for keys in (texts, concepts, last, forms, sizes, covered):
        assert accuracy_by(keys, labels) < 1 / 3 + 0.035


def test_the_curtain_is_drawn_over_its_cell_and_hides_no_object() -> None:
    for level in ('easy', 'hard'):
        dataset = EmojiEntailment(num_items=60, level=level, languages=('en',), image_size=96)
        plain = EmojiStrict(num_scenes=20, level=level, image_size=96, sizes=dataset.scene.sizes)
        for index in range(0, 60, 3):
            sample, covered = dataset.get_sample(index), dataset.get_hypothesis(index)[1]
            step, (row, column) = 96 // GRID[level], divmod(covered, GRID[level])
            cell = np.s_[row * step : (row + 1) * step, column * step : (column + 1) * step]
            image, without = sample['image'], plain.get_sample(index // 3)['image'].copy()
            grey = image[cell].max(-1) == image[cell].min(-1)
            assert grey.mean() > (0.99 if level == 'easy' else 0.4) and image[cell][grey].mean() < 140
            without[cell] = image[cell]
            assert (without == image).all()
            assert (sample['roi_boxes'] == plain.get_sample(index // 3)['roi_boxes']).all()


@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_parallel_texts_of_the_tasks_are_translations_and_know_all_their_words(level: str) -> None:
    dataset = EmojiTaskTexts(num_scenes=600, level=level)
    openings: Counter[str] = Counter()
    for index in range(600):
        sample = dataset.get_sample(index)
        assert sample['source'] == 'parallel' and not {'image', 'label', 'answer'} & set(sample)
        (one, text), (other, translation) = sample['texts']
        said, asks = read_text(text, level, one)
        assert one != other and (said, asks) == read_text(translation, level, other)
        openings.update(f'{opening.partition(" ")[0]}{"?" if asks else ""}' for opening, _ in said)
    whole = {'cell', 'horizontal', 'vertical', 'left', 'right', 'both', 'only_left', 'only_right', 'together'}
    asked = {'cell?', 'picture?', 'what?', 'where?', 'how_many?', 'horizontal?', 'vertical?'}
    assert set(openings) == whole | asked | {'more_left', 'more_right'}


@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_a_run_of_parallel_texts_differs_in_one_thing_alone(level: str) -> None:
    """No text of a run says the same as another, and names and languages do not tell which is which."""
    dataset = EmojiTaskTexts(num_scenes=80 * EmojiTaskTexts.run, level=level)
    families = set()
    for start in range(0, len(dataset), dataset.run):
        texts = [dataset.get_texts(start + i) for i in range(dataset.run)]
        assert len({tuple(language for language, _ in pair) for pair in texts}) == 1
        for side in (0, 1):
            assert len({pair[side][1] for pair in texts}) == dataset.run
        language = texts[0][0][0]
        said = [read_text(pair[0][1], level, language) for pair in texts]
        openings = {(opening.partition(' ')[0], asks) for parts, asks in said for opening, _ in parts}
        families.add(frozenset(openings))
        if ('what', True) not in openings and ('together', False) not in openings:  # cells, numbers
            assert len({concept for parts, _ in said for _, given in parts for concept in given}) == 2
    statements, questions = frozenset({('cell', False)}), frozenset({('cell', True)})
    assert {statements, questions} < families and all(len(openings) <= 5 for openings in families)
