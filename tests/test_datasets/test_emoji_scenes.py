"""Laws of the EmojiScenes datasets."""

import hashlib
import pickle
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rc3mm.datasets.emoji.artefact import LANGUAGES
from rc3mm.datasets.emoji_scenes import EmojiParallel, EmojiRetrieval, EmojiScenes, EmojiStrict, EmojiWeak
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw

ALL = (EmojiStrict, EmojiWeak, EmojiParallel, EmojiRetrieval)
_PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_emoji_scenes import fingerprint
print(fingerprint())
"""


def fingerprint() -> str:
    """A digest of some samples of every dataset."""
    digest = hashlib.sha256()
    for kind in ALL:
        for level in ('easy', 'hard'):
            dataset = kind(num_scenes=10**6, level=level, seed=3)
            for index in (0, 5, 77, 999_999):
                sample = dataset.get_sample(index)
                for key in sorted(sample):
                    value = sample[key]
                    digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()


def test_same_in_another_process() -> None:
    program = _PROGRAM.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint()


@pytest.mark.parametrize('kind', ALL)
@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_raw_samples_keep_the_contract(kind: type[EmojiScenes], level: str) -> None:
    dataset = kind(num_scenes=50, level=level)
    ids = set()
    for index in range(50):
        sample = dataset.get_sample(index)
        count = len(dataset.get_scene(index).objects)
        assert sample['roi_boxes'].dtype == np.float32 and sample['roi_boxes'].shape == (count, 4)
        assert sample['roi_labels'].dtype == np.int64 and sample['roi_labels'].shape == (count,)
        assert sample['source'] == kind.source == dataset.metainfo['source']
        languages = [language for language, _ in sample['texts']]
        assert len(set(languages)) == len(languages) == (6 if kind is EmojiRetrieval else 2)
        assert all(text for _, text in sample['texts'])
        assert ('image' in sample) == (kind is not EmojiParallel)
        assert ('true_relevance' in sample) == (kind is EmojiWeak)
        if 'image' in sample:
            assert sample['image'].shape == (64, 64, 3) and sample['image'].dtype == np.uint8
        ids.add(sample['image_id'])
    assert len(ids) == 50 and all(name.startswith(f'emoji-{level}-train-') for name in ids)


def test_a_trillion_scenes_open_at_once() -> None:
    start = time.perf_counter()
    dataset = EmojiStrict(num_scenes=10**12, level='hard')
    for index in (0, 1, 10**6, 10**12 - 1):
        dataset[index]
    assert time.perf_counter() - start < 5
    assert len(pickle.dumps(dataset)) < 50_000


@pytest.mark.parametrize('level', ['easy', 'hard'])
def test_splits_share_no_set_of_concepts(level: str) -> None:
    held_out: set[frozenset[int]] = set()
    for split in ('val', 'test'):
        dataset = EmojiRetrieval(num_scenes=1000, split=split, level=level)
        sets = {frozenset(dataset.get_sample(i)['roi_labels'].tolist()) for i in range(1000)}
        assert len(sets) == 1000 and not sets & held_out
        held_out |= sets
    for kind in (EmojiStrict, EmojiWeak, EmojiParallel):
        dataset = kind(num_scenes=3000, level=level, seed=kind is EmojiWeak)
        assert not held_out & {frozenset(x.concept for x in dataset.get_scene(i).objects) for i in range(3000)}


def test_the_draw_changes_nothing_but_the_transforms() -> None:
    dataset = EmojiStrict(num_scenes=9, pipeline=[lambda s: {**s, 'drawn': s['rng'].random()}])
    plain, again, a, b = dataset[4], dataset[4], dataset[Draw(4, (1, 2))], dataset[Draw(4, (1, 3))]
    assert plain['drawn'] == again['drawn']
    assert len({plain['drawn'], a['drawn'], b['drawn']}) == 3
    for first, second in pairwise((plain, a, b)):
        assert first['texts'] == second['texts'] and (first['image'] == second['image']).all()
    assert dataset[-1]['image_id'] == dataset[8]['image_id']


def test_weak_relevance_covers_its_range() -> None:
    dataset = EmojiWeak(num_scenes=3000)
    seen = np.round([dataset.get_sample(i)['true_relevance'] for i in range(3000)], 2)
    assert all((seen == value).mean() > 0.1 for value in (0, 0.33, 0.5, 1))


def test_single_language_gives_paraphrases() -> None:
    dataset = EmojiStrict(num_scenes=50, languages=('en',))
    for index in range(50):
        (first, a), (second, b) = dataset.get_sample(index)['texts']
        assert first == second == 'en' and a != b
    with pytest.raises(ValueError, match='needs 2 languages'):
        EmojiParallel(num_scenes=5, languages=('en',))


def test_languages_are_used_evenly() -> None:
    dataset = EmojiParallel(num_scenes=1200)
    used = [language for i in range(1200) for language, _ in dataset.get_sample(i)['texts']]
    assert all(300 < used.count(language) < 500 for language in LANGUAGES)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'num_scenes': 5000, 'split': 'test'}, '1485 scenes without repetition; 5000 were asked'),
        ({'num_scenes': 1, 'split': 'dev'}, 'unknown split'),
        ({'num_scenes': 1, 'level': 'medium'}, 'unknown level'),
        ({'num_scenes': 1, 'num_concepts': 5000}, 'num_concepts must be 1 to'),
        ({'num_scenes': 1, 'num_concepts': 3}, 'needs between 1 and 3'),
        ({'num_scenes': 1, 'languages': ('en', 'it')}, 'languages must be'),
        ({'num_scenes': 0}, 'at least 1'),
        ({'num_scenes': 1, 'sizes': (5,)}, 'hold 1 to 4'),
        ({'num_scenes': 1, 'image_size': 8}, 'at least 32'),
        ({'num_scenes': 1, 'styles': ('oil',)}, 'styles must be'),
    ],
)
def test_errors_say_what_to_do(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmojiStrict(**kwargs)


def test_index_errors_and_dropped_samples_are_loud() -> None:
    dataset = EmojiStrict(num_scenes=3, pipeline=[lambda sample: None])
    with pytest.raises(IndexError, match='3 samples'):
        dataset[3]
    with pytest.raises(ValueError, match='returned None'):
        dataset[0]
    with pytest.raises(TypeError, match='transform'):
        EmojiStrict(num_scenes=3, pipeline=[7])


def test_registered_and_described() -> None:
    dataset = DATASETS.build({'type': 'EmojiWeak', 'num_scenes': 4, 'split': 'val', 'num_concepts': 50})
    assert {'dataset_name', 'split', 'level', 'languages', 'num_items'} <= set(dataset.metainfo)
    assert dataset.metainfo['num_items'] == len(dataset) == 4
    assert len(dataset.metainfo['classes']) == 50


def test_ids_tell_worlds_apart() -> None:
    """A store of regions must never serve one picture's for another's."""
    base = dict(num_scenes=3, num_concepts=40, image_size=48)
    changes = [dict(), dict(seed=1), dict(image_size=64), dict(num_concepts=41), dict(split_seed=1), dict(sizes=(2,))]
    ids = [EmojiStrict(**{**base, **change}).get_image_id(1) for change in changes]
    assert len(set(ids)) == len(ids)
    assert EmojiWeak(**base).get_image_id(1) == ids[0] == EmojiStrict(**base).get_sample(1)['image_id']  # one picture
