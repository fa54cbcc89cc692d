"""What all emoji tasks keep: the samples' contract, determinism, splits, translations and messages."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rc3mm.datasets.emoji.artefact import LANGUAGES
from rc3mm.datasets.emoji_composed_tasks import EmojiPairs, EmojiTranslation
from rc3mm.datasets.emoji_scenes import EmojiStrict
from rc3mm.datasets.emoji_tasks import EmojiEntailment, EmojiTask, EmojiVQA
from rc3mm.datasets.tokenizers import load_tokenizer
from rc3mm.registry import DATASETS
from tests.test_datasets.emoji_task_texts import read_text

ALL = (EmojiVQA, EmojiEntailment, EmojiPairs, EmojiTranslation)


@pytest.mark.parametrize('kind', ALL)
@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_raw_samples_keep_the_contract(kind: type[EmojiTask], level: str) -> None:
    dataset = kind(num_items=48, level=level, split='test')
    ids = [dataset.get_sample(i)['item_id'] for i in range(len(dataset))]
    assert len(set(ids)) == len(ids) == dataset.metainfo['num_items']
    for index in range(0, len(dataset), 5):
        sample = dataset[index]
        assert sample['source'] == kind.source == dataset.metainfo['source']
        assert sample['image_id'] == dataset.get_image_id(index) and sample['texts'] == dataset.get_texts(index)
        looks = sample['images'] if kind is EmojiPairs else [sample]
        assert len(looks) == 1 + (kind is EmojiPairs)
        assert '+'.join(look['image_id'] for look in looks) == sample['image_id']
        for look in looks:
            assert look['image'].shape == (64, 64, 3) and look['image'].dtype == np.uint8
            assert look['roi_boxes'].dtype == np.float32 and look['roi_boxes'].shape == (len(look['roi_labels']), 4)
        if kind is not EmojiTranslation:
            assert dataset.metainfo['answers'][sample['label']] == sample['answer']
        assert dataset.get_image(index).shape[0] == 64


@pytest.mark.parametrize('kind', ALL)
def test_an_item_depends_on_seed_split_and_index_alone(kind: type[EmojiTask]) -> None:
    def look(seed: int, **more: Any) -> str:
        dataset = kind(num_items=more.pop('num_items', 48), seed=seed, **more)
        order = np.random.default_rng(1).permutation(48).tolist()
        return repr(sorted((i, dataset.get_texts(i), repr(dataset.get_sample(i))) for i in order))

    assert look(3) == look(3) == look(3, num_items=1200) != look(4)
    assert look(3, split='val') != look(3, split='test') != look(3)


@pytest.mark.parametrize('kind', ALL)
@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_splits_share_no_set_of_concepts(kind: type[EmojiTask], level: str) -> None:
    cut = EmojiStrict(num_scenes=9, level=level, sizes=tuple(range(2, 5 if level == 'easy' else 9))).scene.sets._sets
    for split in ('train', 'val', 'test', 'test_style'):
        dataset = kind(num_items=96, level=level, split=split)
        for index in range(96):
            for scene in getattr(dataset, 'get_scenes', lambda i: [dataset.get_scene(i)])(index):  # noqa: B023
                members = tuple(sorted(item.concept for item in scene.objects))
                assert len(set(members)) == len(members)
                assert cut[len(members)].split_of(members) == split.removesuffix('_style')


@pytest.mark.parametrize('kind', [EmojiVQA, EmojiEntailment, EmojiPairs])
@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_all_languages_say_the_same_and_have_the_same_labels(kind: type[EmojiTask], level: str) -> None:
    dataset = kind(num_items=240, level=level, split='test')
    for item in range(240):
        read = []
        for number, language in enumerate(LANGUAGES):
            ((given, text),) = dataset.get_texts(number * 240 + item)
            assert given == language
            read.append(read_text(text, level, language))
        assert all(each == read[0] for each in read)
    for item in range(0, 240, 7):
        samples = [dataset.get_sample(number * 240 + item) for number in range(6)]
        assert len({(s['label'], s['answer'], s['image_id'], s['item_id'][3:]) for s in samples}) == 1


def test_the_tokenizer_that_ships_knows_every_word() -> None:
    tokenizer = load_tokenizer('emoji')
    for kind in (EmojiVQA, EmojiEntailment, EmojiPairs):
        for level in ('easy', 'hard'):
            dataset = kind(num_items=144, level=level)
            texts = [dataset.get_texts(i)[0][1] for i in range(len(dataset))]
            encoded = tokenizer(texts).input_ids
            assert [text for text, ids in zip(texts, encoded, strict=True) if tokenizer.unk_token_id in ids] == []
            assert max(map(len, encoded)) <= 64


@pytest.mark.parametrize(
    ('kind', 'kwargs', 'message'),
    [
        (EmojiVQA, {'num_items': 10}, 'multiple of 4, not 10'),
        (EmojiEntailment, {'num_items': 0}, 'multiple of 3, not 0'),
        (EmojiVQA, {'num_items': 4, 'sizes': (1, 2)}, 'at least 2 objects'),
        (EmojiVQA, {'num_items': 8000, 'split': 'test'}, 'without repetition; 2000 were asked'),
        (EmojiEntailment, {'num_items': 3, 'level': 'medium'}, 'unknown level'),
        (EmojiEntailment, {'num_items': 3, 'languages': ('it',)}, 'languages must be'),
    ],
)
def test_errors_say_what_to_do(kind: Callable[..., EmojiTask], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**kwargs)


def test_worlds_too_small_for_a_task_are_named() -> None:
    with pytest.raises(ValueError, match='needs more concepts'):
        dataset = EmojiVQA(num_items=40, num_concepts=3, sizes=(3,))
        [dataset.get_sample(i) for i in range(40)]
    with pytest.raises(ValueError, match='no free cell'):
        EmojiEntailment(num_items=3, sizes=(4,)).get_sample(0)


def test_concepts_can_be_left_out() -> None:
    for kind in ALL:
        dataset = kind(num_items=48, concept_start=20, concept_limit=80)
        for index in range(48):
            sample = dataset.get_sample(index)
            for look in sample.get('images', [sample]):
                assert look['roi_labels'].min() >= 20 and look['roi_labels'].max() < 80


def test_registered() -> None:
    for kind in ALL:
        dataset = DATASETS.build({'type': kind.__name__, 'num_items': 48, 'split': 'val'})
        assert {'dataset_name', 'split', 'level', 'languages', 'num_items', 'classes'} <= set(dataset.metainfo)
