"""ShardedPairs: pairs by the draw's seed, lengths without reading, bad images replaced, evaluations whole."""

import pickle
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from rc3mm.datasets import DecodeImage, ShardedPairs, Tokenize
from rc3mm.datasets.shards import ImageTextRecord, RelevanceWriter, ShardSet
from rc3mm.datasets.shards.token_lengths import write_token_lengths
from rc3mm.registry import DATASETS
from rc3mm.structures import Draw
from tests.test_datasets.test_shards.making import jpeg, make_set, record

DECODE = [dict(type='DecodeImage')]
WEAK = (('en', 'violin'), ('de', 'Geige'), ('en', 'a string instrument'), ('zh', '小提琴'))


def weak(number: int = 0, **changes: Any) -> ImageTextRecord:
    return record(number, **{'texts': WEAK, **changes})


def make(folder: Path, records: Sequence[ImageTextRecord], **arguments: Any) -> ShardedPairs:
    """A dataset of a set of these records, which is made unless it is there."""
    if not (folder / 'set').exists():
        scorer = 'made' if any(item.relevance for item in records) else None
        make_set(folder / 'set', records, scorer=scorer, kind=arguments.pop('kind', 'weak'))
    return ShardedPairs(path=folder / 'set', **arguments)


def score(dataset: ShardedPairs, name: str, scores: Sequence[tuple[int, int, float]]) -> None:
    writer = RelevanceWriter(dataset.shards, name, {'name': name})
    for number in range(len(dataset.shards.manifest.shards)):
        writer.write(number, [scores for _ in dataset.shards.shard_rows(number)])
    writer.finish()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    for module in ('bad_rows', 'sharded_pairs'):
        monkeypatch.setattr(f'rc3mm.datasets.{module}.print_log', lambda message, **_: said.append(message))
    return said


# --------------------------------------------------------------------------------------------------- samples


def test_images_by_bytes_and_by_path(tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').write_bytes(jpeg(5))
    rows = [weak(0), weak(1, image_bytes=None, image_path='a.jpg')]
    dataset = make(tmp_path, rows, image_root=tmp_path, pipeline=DECODE)
    assert dataset.get_sample(0)['image_bytes'] == jpeg(0) and 'image_path' not in dataset.get_sample(0)
    assert dataset.get_sample(1)['image_path'] == str(tmp_path / 'a.jpg')
    assert [dataset[k]['image'].shape for k in (0, 1, -1)] == [(8, 12, 3)] * 3
    assert 'image_bytes' not in dataset[0] and dataset.get_image(1).shape == (8, 12, 3)
    assert [dataset.get_image_id(k) for k in (0, 1)] == ['i0', 'i1'] and dataset[0]['source'] == 'weak'
    assert 'relevance' not in dataset[0]
    with pytest.raises(IndexError):
        dataset[2]


def test_the_root_of_the_images_may_be_the_sets_own(tmp_path: Path) -> None:
    make_set(tmp_path / 'set', [weak(0, image_bytes=None, image_path='x/a.jpg')], image_root='/data')
    assert ShardedPairs(path=tmp_path / 'set').get_sample(0)['image_path'] == '/data/x/a.jpg'


def test_parallel_text_has_no_image(tmp_path: Path) -> None:
    rows = [record(k, ('de', 'en'), image_bytes=None) for k in range(200)]
    dataset = make(tmp_path, rows, kind='parallel')
    assert dataset.metainfo['source'] == 'parallel' and dataset.metainfo['languages'] == ('de', 'en')
    assert not {'image', 'image_bytes', 'image_path'} & dataset[0].keys()
    order = Counter(dataset[k]['texts'][0][0] for k in range(200))
    assert min(order.values()) > 60
    assert all(sorted(dataset[k]['texts']) == sorted(rows[k].texts) for k in range(200))


def test_two_texts_in_two_wanted_languages(tmp_path: Path) -> None:
    dataset = make(tmp_path, [weak(k) for k in range(200)], languages=('en', 'de'))
    drawn = [dataset.get_sample(k)['texts'] for k in range(200)]
    assert {tuple(sorted(language for language, _ in texts)) for texts in drawn} == {('de', 'en')}
    order = Counter(texts[0][0] for texts in drawn)
    english = Counter(text for texts in drawn for language, text in texts if language == 'en')
    assert min(order.values()) > 60 and min(english.values()) > 60 and len(english) == 2


def draw_many(dataset: ShardedPairs, count: int) -> list[list[tuple[str, str]]]:
    return [dataset[Draw(0, (7, k))]['texts'] for k in range(count)]


def test_language_pairs_are_drawn_evenly(tmp_path: Path) -> None:
    """Whatever number of texts a language has: English has two here, and three pairs of texts with the others."""
    for folder, relevance in (('any', None), ('scored', tuple((a, b, 0.5) for a in range(4) for b in range(a + 1, 4)))):
        dataset = make(
            tmp_path / folder, [weak(relevance=relevance)], relevance='stored' if relevance else None, languages=None
        )
        drawn = Counter(tuple(sorted(t[0] for t in texts)) for texts in draw_many(dataset, 900))
        assert len(drawn) == 3 and min(drawn.values()) > 240
        firsts = Counter(texts[0][0] for texts in draw_many(dataset, 900))
        assert all(abs(firsts[language] - 300) < 60 for language in ('en', 'de', 'zh'))


def test_temperature_evens_the_languages_out(tmp_path: Path) -> None:
    """English is in every row, German in every second, Japanese and Chinese in every tenth."""
    languages = [
        ('en', 'de') if k % 2 else ('en', 'de', 'ja', 'zh') if k % 10 == 0 else ('en', 'ja') for k in range(60)
    ]

    def shares(temperature: float) -> Counter[str]:
        dataset = make(tmp_path, [record(k, languages[k]) for k in range(60)], language_temperature=temperature)
        draws = [Draw(0, (number,)) for number in range(3000)]  # row 0 has all four
        pairs = dataset._pairs(np.zeros(len(draws), np.int64), [draw.seed for draw in draws])
        return Counter(languages[0][place] for place in pairs.ravel().tolist())

    plain, warm, hot = shares(1), shares(2), shares(1e6)
    assert max(plain.values()) < 1.15 * min(plain.values())
    counts = {'en': 60, 'de': 36, 'ja': 30, 'zh': 6}
    assert plain['zh'] < warm['zh'] < hot['zh'] and plain['en'] > warm['en'] > hot['en']
    # Of a pair of two languages a and b against a and c, the odds are n_b^(1/T - 1) to n_c^(1/T - 1).
    dataset = make(tmp_path, [], language_temperature=2)
    pairs = dataset._pairs(np.zeros(6000, np.int64), [(k,) for k in range(6000)])
    drawn = Counter(frozenset(languages[0][place] for place in pair) for pair in pairs.tolist())
    odds = drawn[frozenset(('en', 'zh'))] / drawn[frozenset(('en', 'de'))]
    assert abs(odds / (counts['zh'] / counts['de']) ** -0.5 - 1) < 0.2
    with pytest.raises(ValueError, match=r'language_temperature must be at least 1, got 0\.5'):
        make(tmp_path, [], language_temperature=0.5)


def test_deterministic_by_seed_and_index_or_draw(tmp_path: Path) -> None:
    rows = [record(k) for k in range(50)]
    first, again, other = (make(tmp_path, rows, seed=seed) for seed in (5, 5, 6))
    texts = [first.get_sample(k)['texts'] for k in range(50)]
    assert texts == [again[k]['texts'] for k in range(50)] == [again[k - 50]['texts'] for k in range(50)]
    assert texts == [first.get_texts(k) for k in range(50)] != [other[k]['texts'] for k in range(50)]
    draws = [Draw(3, (0, position), 0, position, 9) for position in range(50)]
    drawn = [first[draw] for draw in draws]
    assert [sample['texts'] for sample in drawn] == [other[draw]['texts'] for draw in draws]
    assert len({str(sample['texts']) for sample in drawn}) > 8  # later epochs show other pairs
    assert [sample['iteration'] for sample in drawn] == list(range(50)) and drawn[0]['step_seed'] == 9


def test_an_index_of_numpy(tmp_path: Path) -> None:
    dataset = make(tmp_path, [record(k) for k in range(9)])
    for index in np.random.default_rng(0).permutation(9):
        assert dataset.get_sample(index) == dataset.get_sample(int(index))
        assert dataset.get_texts(index) == dataset.get_texts(int(index)) == dataset[index]['texts']


def test_all_texts(tmp_path: Path) -> None:
    rows = [weak(0), record(1)]
    dataset = make(tmp_path, rows, source='retrieval', all_texts=True, split='val')
    assert [dataset[k]['texts'] for k in (0, 1)] == [list(item.texts) for item in rows]
    assert dataset.metainfo['split'] == 'val' and dataset[0]['source'] == 'retrieval'
    only = make(tmp_path, rows, all_texts=True, languages=['zh'])
    assert only[0]['texts'] == [('zh', '小提琴')] and only.metainfo['languages'] == ('zh',)


def test_range_of_rows(tmp_path: Path) -> None:
    rows = [record(k) for k in range(6)]
    parts = [make(tmp_path, rows, start=a, stop=b) for a, b in ((0, 4), (4, 9), (4, None))]
    ids = [[part.get_sample(k)['image_id'] for k in range(len(part))] for part in parts]
    assert ids == [['i0', 'i1', 'i2', 'i3'], ['i4', 'i5'], ['i4', 'i5']]
    with pytest.raises(ValueError, match=r'has 6 rows, none of them in \[6, None\)'):
        make(tmp_path, rows, start=6)


def test_rows_without_a_pair_are_left_out(tmp_path: Path, logged: list[str]) -> None:
    rows = [record(k, ('en', 'de') if k % 3 else ('en', 'ja')) for k in range(30)]
    dataset = make(tmp_path, rows, languages=['de', 'en'], start=3)
    assert [dataset.get_image_id(k) for k in range(4)] == ['i4', 'i5', 'i7', 'i8'] and len(dataset) == 18
    (message,) = logged
    assert '9 of 27 rows (the first is 3) have no texts in two of the languages de, en; they are left out' in message
    assert all(dict(dataset[k]['texts']).keys() == {'en', 'de'} for k in range(18))


@pytest.mark.parametrize('chunk', [1, 7, 26, 27, 100])
def test_rows_are_looked_at_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    rows = [record(k, ('en', 'de') if k % 3 else ('en', 'ja')) for k in range(30)]
    expected = [k for k in range(3, 30) if k % 3]
    monkeypatch.setattr('rc3mm.datasets.sharded_pairs._CHUNK', chunk)
    dataset = make(tmp_path, rows, languages=['de', 'en'], start=3)
    assert isinstance(dataset.rows, np.ndarray) and dataset.rows.tolist() == expected
    assert dataset.rows.dtype == np.uint32
    assert make(tmp_path, rows, start=3).rows == make(tmp_path, rows, all_texts=True, start=3).rows == range(3, 30)


def test_where_all_rows_are_used_nothing_is_kept_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [record(k, ('de', 'en'), image_bytes=None) for k in range(8000)]
    make_set(tmp_path / 'set', rows, rows_per_shard=8000, rows_per_group=1000)
    monkeypatch.setattr('rc3mm.datasets.sharded_pairs._CHUNK', 500)

    def peak(**arguments: Any) -> int:
        tracemalloc.start()
        dataset = ShardedPairs(path=tmp_path / 'set', **arguments)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert isinstance(dataset.rows, range)
        return highest

    peak()
    for options in ({}, {'all_texts': True}):
        assert peak(**options) - peak(stop=1000, **options) < 7000  # less than a byte a row


# ------------------------------------------------------------------------------------------------- relevance


def test_relevance_of_the_source_and_of_scorers(tmp_path: Path, logged: list[str]) -> None:
    rows = [weak(k, relevance=((0, 1, 0.5), (2, 3, 1.0), (0, 2, 0.9)) if k else None) for k in range(60)]
    stored = make(tmp_path, rows, relevance='stored')
    assert len(stored) == 59 and "with relevance 'stored'" in logged[0]
    seen = {(frozenset(dict(stored[k]['texts'])), stored[k]['relevance']) for k in range(59)}
    assert seen == {(frozenset({'en', 'de'}), 0.5), (frozenset({'en', 'zh'}), 1.0)}  # two English texts are no pair
    score(stored, 'labse', [(1, 3, 0.25)])
    other = make(tmp_path, rows, relevance='labse')
    assert len(other) == 60
    assert {(frozenset(dict(other[k]['texts'])), other[k]['relevance']) for k in range(60)} == {
        (frozenset({'de', 'zh'}), 0.25)
    }
    assert 'relevance' not in make(tmp_path, rows)[5]


def test_scores_that_do_not_fit(tmp_path: Path) -> None:
    dataset = make(tmp_path, [weak(k) for k in range(20)])
    with pytest.raises(
        FileNotFoundError, match=r"has no scores 'labse'; score its pairs with tools/score_relevance\.py"
    ):
        make(tmp_path, [], relevance='labse')
    with pytest.raises(FileNotFoundError, match='holds no relevance of its own'):
        make(tmp_path, [], relevance='stored')
    score(dataset, 'labse', [(0, 2, 0.5)])  # English with English alone
    with pytest.raises(ValueError, match=r"20 of 20 rows .* with relevance 'labse'; choose other languages, or score"):
        make(tmp_path, [], relevance='labse')
    other = make(tmp_path / 'other', [weak(k + 1) for k in range(20)])
    (dataset.shards.folder / 'relevance').rename(other.shards.folder / 'relevance')
    with pytest.raises(ValueError, match='holds scores of another shard set'):
        make(tmp_path / 'other', [], relevance='labse')
    with pytest.raises(ValueError, match='relevance is of pairs; it cannot be had with all_texts'):
        make(tmp_path / 'other', [], relevance='labse', all_texts=True)


# --------------------------------------------------------------------------------------------------- lengths


@pytest.mark.parametrize('relevance', [None, 'stored'])
def test_lengths_are_those_of_the_texts_drawn(tmp_path: Path, relevance: str | None) -> None:
    scores = ((0, 1, 0.5), (1, 3, 0.5), (2, 3, 0.25))
    rows = [
        record(k, ('en', 'de', 'ja', 'zh') if k % 3 else ('ja', 'de'), relevance=scores if k % 3 else None)
        for k in range(90)
    ]
    dataset = make(tmp_path, rows, relevance=relevance, languages=['de', 'ja', 'zh'], start=2)
    draws = [Draw(k * 7 % len(dataset), (3, k)) for k in range(300)]
    expected = [max(len(text.encode()) for _, text in dataset[draw]['texts']) for draw in draws]
    before = dataset.shards.groups_read
    assert dataset.lengths(draws).tolist() == expected
    assert dataset.shards.groups_read == before  # from the index alone
    assert dataset.lengths(draws[:0]).tolist() == []


def test_lengths_in_tokens_once_they_were_measured(tmp_path: Path) -> None:
    make_set(tmp_path / 'set', [record(k) for k in range(40)])
    tokenize = Tokenize('emoji', max_length=9)
    write_token_lengths(ShardSet(tmp_path / 'set'), tokenize)
    dataset = ShardedPairs(path=tmp_path / 'set', pipeline=[tokenize])
    draws = [Draw(k % 40, (3, k)) for k in range(100)]
    expected = [max(map(len, dataset[draw]['text_ids'])) for draw in draws]
    assert dataset.lengths(draws).tolist() == expected and max(expected) == 9


# ------------------------------------------------------------------------------------------------ bad images

BAD = {
    'broken image': lambda folder: dict(image_bytes=jpeg(0)[:250]),
    'not an image': lambda folder: dict(image_bytes=b'<html>404</html>'),
    'empty file': lambda folder: dict(image_bytes=b''),
    'missing file': lambda folder: dict(image_bytes=None, image_path=str(folder / 'nowhere.jpg')),
    'no image': lambda folder: dict(image_bytes=None),
}


@pytest.mark.parametrize('reason', BAD)
def test_a_bad_image_is_replaced_by_the_next_good_one(tmp_path: Path, logged: list[str], reason: str) -> None:
    rows = [record(k, **(BAD[reason](tmp_path) if k in (1, 2, 9) else {})) for k in range(10)]
    dataset = make(tmp_path, rows, max_bad_share=0.3, pipeline=DECODE)
    for _ in range(2):
        assert [dataset[k]['image_id'] for k in (0, 1, 2, 3, 9)] == ['i0', 'i3', 'i3', 'i3', 'i0']
    ((told, count),) = dataset.guard.counts.items()
    assert count == 3 and told in (reason, 'truncated image')
    assert len(logged) == 1 and f"{tmp_path}/set, row 1: {told}: 'i1': " in logged[0]


def test_too_many_bad_images(tmp_path: Path, logged: list[str]) -> None:
    rows = [record(k, **({'image_bytes': b''} if k % 20 == 5 else {})) for k in range(200)]
    dataset = make(tmp_path, rows, pipeline=DECODE)  # 5 % are bad; 1 % of 200 are two rows
    with pytest.raises(ValueError, match=r'set, row 45: empty file.*3 bad of .*empty file \(3: row 5, 25, 45\)'):
        for k in range(200):
            dataset[k]
    assert len(logged) == 1


def test_missing_images_end_a_run_early(tmp_path: Path, logged: list[str]) -> None:
    rows = [weak(k, image_bytes=None, image_path='a.jpg') for k in range(1500)]
    dataset = make(tmp_path, rows, image_root='nowhere', pipeline=DECODE)
    with pytest.raises(ValueError, match=r'missing file: .*nowhere/a\.jpg.*11 bad of 11 rows read'):
        dataset[0]


def test_images_are_not_missed_where_nobody_looks_at_them(tmp_path: Path) -> None:
    dataset = make(tmp_path, [weak(0, image_bytes=None)])  # a model of regions alone needs no pixels
    assert len(dataset[0]['texts']) == 2


def test_evaluations_are_whole(tmp_path: Path) -> None:
    rows = [record(k, **({'image_bytes': b''} if k == 30 else {})) for k in range(31)]
    dataset = make(tmp_path, rows, all_texts=True, max_bad_share=0.5, pipeline=DECODE)
    with pytest.raises(ValueError, match=r'row 30: empty file.*Mend or leave out these rows\.$'):
        dataset[30]
    make(tmp_path / 'some', [record(0, ('en', 'ja')), record(1, ('de',))])
    with pytest.raises(ValueError, match=r'1 of 2 rows \(the first is 1\) have no text in one of .*must be whole'):
        make(tmp_path / 'some', [], all_texts=True, languages=['ja', 'en'])


def test_other_errors_are_not_swallowed(tmp_path: Path) -> None:
    def fail(sample: dict[str, Any]) -> dict[str, Any]:
        raise ValueError('a bug')

    dataset = make(tmp_path, [record(k) for k in range(3)], pipeline=[DecodeImage(), fail], max_bad_share=0.9)
    with pytest.raises(ValueError, match=r'^a bug$'):
        dataset[0]


# --------------------------------------------------------------------------------------------------- the rest


def test_wrong_arguments(tmp_path: Path) -> None:
    make(tmp_path, [record(0)])
    with pytest.raises(ValueError, match=r'pairs need two languages or more \(all_texts: one\), got \(.en.,\)'):
        make(tmp_path, [], languages=['en'])
    with pytest.raises(ValueError, match=r'has no texts in sw, xx; its languages are de, en, ja, zh'):
        make(tmp_path, [], languages=['sw', 'en', 'xx'])
    with pytest.raises(ValueError, match='max_bad_share'):
        make(tmp_path, [], max_bad_share=1.0)
    with pytest.raises(FileNotFoundError, match='is no shard set'):
        ShardedPairs(path=tmp_path)


def test_registered_and_same_in_workers(tmp_path: Path) -> None:
    make_set(tmp_path / 'set', [record(k) for k in range(12)])
    dataset = DATASETS.build(dict(type='ShardedPairs', path=str(tmp_path / 'set'), pipeline=DECODE))
    dataset[0]
    loader = DataLoader(dataset, batch_size=None, num_workers=2, collate_fn=lambda sample: sample)
    for index, sample in enumerate(loader):
        assert sample['texts'] == dataset[index]['texts']
        assert (sample['image'] == dataset[index]['image']).all()
    copy = pickle.loads(pickle.dumps(ShardedPairs(path=tmp_path / 'set')))
    assert copy[3]['texts'] == dataset[3]['texts']
