"""Laws of the emoji tasks with composed scenes: sentences about two pictures, and translation."""

import pickle
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets.emoji.ambiguous import ambiguous_words, senses_of
from rc3mm.datasets.emoji.artefact import LANGUAGES, load_concepts
from rc3mm.datasets.emoji.composed_sets import ComposedSets
from rc3mm.datasets.emoji.pairs_of_scenes import draw_pairs
from rc3mm.datasets.emoji_composed_tasks import EmojiPairs, EmojiTranslation
from tests.test_datasets.emoji_task_texts import cells_of, read_text


def holds(text: str, language: str, left: set[int], right: set[int]) -> bool:
    """Whether a sentence is true of a left and a right picture with these concepts."""
    true = True
    for opening, given in read_text(text, 'easy', language)[0]:
        if opening.startswith('more'):
            ahead = len(left) - len(right)
            return ahead > 0 if opening == 'more_left' else ahead < 0
        if opening == 'together':
            return int(given[0]) == len(left) + len(right)
        (concept,) = given
        true &= {
            'left': concept in left,
            'right': concept in right,
            'both': concept in left & right,
            'only_left': concept in left - right,
            'only_right': concept in right - left,
        }[opening]
    return true


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_sentences_are_true_of_two_pairs_and_false_of_two(level: str, split: str) -> None:
    dataset = EmojiPairs(num_items=96, level=level, split=split)
    forms: Counter[str] = Counter()
    for number, language in enumerate(LANGUAGES):
        for item in range(0, 96, 4):
            samples = [dataset.get_sample(number * 96 + item + i) for i in range(4)]
            texts, groups = {s['texts'][0] for s in samples}, {s['group'] for s in samples}
            assert len(texts) == len(groups) == 1 and sorted(s['label'] for s in samples) == [0, 0, 1, 1]
            assert len({s['image_id'] for s in samples}) == 4
            for sample in samples:
                left, right = ({*look['roi_labels'].tolist()} for look in sample['images'])
                assert holds(sample['texts'][0][1], language, left, right) == bool(sample['label'])
            forms[read_text(texts.pop()[1], level, language)[0][0][0]] += 1
    each = 2 * len(LANGUAGES)  # units x languages; seven forms, two of them without a second concept to speak of
    assert forms == dict.fromkeys(('both', 'only_left', 'only_right', 'left', 'together'), 2 * each) | dict.fromkeys(
        ('more_left', 'more_right'), each
    )


def test_twelve_sentences_speak_of_six_pairs_and_every_pair_is_as_often_right_as_wrong() -> None:
    for level in ('easy', 'hard'):
        dataset = EmojiPairs(num_items=480, level=level, languages=('en',))
        for unit in range(0, 480, dataset.items_per_unit):
            samples = [dataset.get_sample(unit + i) for i in range(dataset.items_per_unit)]
            assert len({s['texts'][0][1] for s in samples}) == 12
            labels: defaultdict[str, list[int]] = defaultdict(list)
            for sample in samples:
                labels[sample['image_id']].append(sample['label'])
            assert len(labels) <= 6 and all(np.mean(found) == 0.5 for found in labels.values())


def test_an_image_is_the_same_wherever_it_is_shown() -> None:
    dataset = EmojiPairs(num_items=48)
    seen: dict[str, bytes] = {}
    for index in (*range(48), *range(100, 110)):
        for look in dataset.get_sample(index)['images']:
            assert seen.setdefault(look['image_id'], look['image'].tobytes()) == look['image'].tobytes()
    assert len(set(seen.values())) == len(seen) == 12


def test_pictures_hold_what_their_scenes_hold() -> None:
    dataset = EmojiPairs(num_items=48)
    for index in range(48):
        for scene, look in zip(dataset.get_scenes(index), dataset.get_sample(index)['images'], strict=True):
            assert [concept for _, concept in sorted(cells_of(scene))] == look['roi_labels'].tolist()


def test_a_pair_without_its_sentence_says_nothing() -> None:
    """Counts and shared concepts, and the sentence alone: the label is exactly as often true as false for each."""
    dataset = EmojiPairs(num_items=2400, languages=('en',))
    seen: defaultdict[tuple[str, Any], list[bool]] = defaultdict(list)
    for index in range(2400):
        left, right = ({item.concept for item in scene.objects} for scene in dataset.get_scenes(index))
        sentence, _, label = dataset.get_judgement(index)
        seen['counts', (len(left), len(right))].append(label)
        seen['shared', len(left & right)].append(label)
        seen['text', dataset.get_texts(index)[0][1]].append(label)
        seen['form and shared', (sentence.form, len(left & right))].append(label)
    for key, labels in seen.items():
        if key[0] == 'form and shared':
            assert len(labels) < 40 or abs(np.mean(labels) - 0.5) <= 2.5 / len(labels) ** 0.5, key
        else:
            assert np.mean(labels) == 0.5, key


def test_the_false_pairs_show_the_concept_as_well() -> None:
    dataset = EmojiPairs(num_items=2016, languages=('en',))
    shown = []
    for index in range(2016):
        sentence, _, label = dataset.get_judgement(index)
        if len(sentence.concepts) == 1 and not label:
            concepts = {item.concept for scene in dataset.get_scenes(index) for item in scene.objects}
            shown.append(sentence.concepts[0] in concepts)
    assert len(shown) > 200 and all(shown)


def test_twins_share_the_sentence_and_differ_in_one_sense() -> None:
    for split, level in (('train', 'easy'), ('test', 'easy'), ('test', 'hard')):
        dataset = EmojiTranslation(num_items=120, split=split, level=level, target_languages=LANGUAGES[1:])
        for index in range(0, len(dataset), 2):
            one, two = dataset.get_sample(index), dataset.get_sample(index + 1)
            assert one['texts'] == two['texts'] and one['senses'] == two['senses'][::-1]
            assert one['target'][0] == two['target'][0] == one['item_id'][:2]
            assert one['target'][1].replace(*one['senses']) == two['target'][1]
            ours, theirs = ({*sample['roi_labels'].tolist()} for sample in (one, two))
            assert len(ours - theirs) == len(theirs - ours) == 1


@pytest.mark.parametrize('num_concepts', [100, 300])
def test_references_name_what_the_picture_shows_and_the_source_is_ambiguous(num_concepts: int) -> None:
    dataset = EmojiTranslation(num_items=300, num_concepts=num_concepts, target_languages=LANGUAGES[1:])
    table = load_concepts()
    for index in range(len(dataset)):
        sample, (language, item) = dataset.get_sample(index), dataset.locate(index)
        right, wrong = sample['senses']
        reference, ((source_language, source),) = sample['target'][1], sample['texts']
        shown = {table[c].names[language] for c in sample['roi_labels'].tolist()}
        assert source_language == 'en' and sample['target'][0] == language
        assert right in shown and wrong not in shown
        assert right in reference and wrong.casefold() not in reference.casefold()
        assert all(name in reference for name in shown)
        twins = dataset.get_twins(index)
        possible = senses_of(twins.word, dataset.concepts)
        assert {*twins.senses} <= {*possible} and 2 <= len(possible) <= 4
        assert len({*possible} & {*sample['roi_labels'].tolist()}) == 1  # so that the picture decides
        assert twins.word in source and all(table[c].names['en'] in source for c in twins.others)
        if item > 60:
            continue
        assert {table[c].names[language] for c in twins.senses} == {right, wrong}


def test_ambiguous_words_are_read_from_the_names_and_keywords() -> None:
    words = ambiguous_words(range(100))
    table = load_concepts()
    pairs = {tuple(table[c].names['en'] for c in pair) for pair in words['light']}
    assert pairs == {('candle', 'light bulb'), ('candle', 'flashlight'), ('light bulb', 'flashlight')}
    assert len(words) >= 10 and 'fruit' not in words  # six fruits in this world: too general
    for senses in words.values():
        for one, other in senses:
            for language in LANGUAGES[1:]:
                names = [table[c].names[language].casefold() for c in (one, other)]
                assert names[0] not in names[1] and names[1] not in names[0]
    assert not ambiguous_words(range(8))


def test_languages_of_translation() -> None:
    dataset = EmojiTranslation(num_items=10)
    assert len(dataset) == 30 and dataset.metainfo['target_languages'] == ('de', 'fr', 'cs')
    assert dataset.metainfo['languages'] == ('en', 'de', 'fr', 'cs') and 'answers' not in dataset.metainfo
    alone = EmojiTranslation(num_items=10, target_languages=('fr',))
    assert alone.get_sample(3)['target'] == dataset.get_sample(13)['target']


def test_datasets_can_be_sent_to_workers() -> None:
    for dataset in (EmojiPairs(num_items=48), EmojiTranslation(num_items=8)):
        again = pickle.loads(pickle.dumps(dataset))
        assert repr(again.get_sample(7)) == repr(dataset.get_sample(7))


@pytest.mark.parametrize(
    ('kind', 'kwargs', 'message'),
    [
        (EmojiPairs, {'num_items': 4}, 'multiple of 48'),
        (EmojiPairs, {'num_items': 48, 'sizes': (3,)}, 'several sizes'),
        (EmojiPairs, {'num_items': 48, 'sizes': (1, 2)}, 'at least 2 objects'),
        (EmojiTranslation, {'num_items': 8, 'target_languages': ('en', 'de')}, "'en' is what is translated"),
        (EmojiTranslation, {'num_items': 8, 'target_languages': ('it',)}, 'languages must be'),
    ],
)
def test_errors_say_what_to_do(kind: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**kwargs)


def test_worlds_too_small_for_a_task_are_named() -> None:
    with pytest.raises(ValueError, match=r'no ambiguous sentence .* ask for more concepts'):
        EmojiTranslation(num_items=2, num_concepts=12).get_sample(0)
    sets = ComposedSets(lambda scene: (), num_concepts=6, split='val', sizes=(3,))  # which has two sets of three
    with pytest.raises(ValueError, match=r'no pairs of scenes .* ask for more concepts'):
        draw_pairs(sets, np.random.default_rng(0))
