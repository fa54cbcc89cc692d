"""The offline scorer tells how much two texts say the same, across languages, on texts it never saw."""

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.stats import rankdata, spearmanr

from rc3mm.datasets import EmojiParallel, EmojiWeak
from rc3mm.relevance import SentenceIDRelevance
from rc3mm.relevance.sentence_id import Text

CORPUS = dict(type='EmojiParallel', num_scenes=3000, num_concepts=100, seed=1)


@pytest.fixture(scope='module')
def scorer() -> SentenceIDRelevance:
    return SentenceIDRelevance(CORPUS, num_sentences=3000)


def unseen_translations(count: int = 300) -> tuple[list[Text], list[Text]]:
    dataset = EmojiParallel(num_scenes=count, num_concepts=100, split='test', seed=2)
    first, second = zip(*(dataset.get_sample(index)['texts'] for index in range(count)), strict=True)
    return list(first), list(second)


def test_translations_rank_above_random_pairs(scorer: SentenceIDRelevance) -> None:
    first, second = unseen_translations()
    same = scorer.score(first, second)
    random = scorer.score(first, second[7:] + second[:7])
    ranks = rankdata(np.concatenate([same, random]))
    auc = (ranks[: len(same)].sum() - len(same) * (len(same) + 1) / 2) / len(same) ** 2
    assert auc > 0.85  # random pairs share an object now and then
    assert np.median(same) > 0.9 and np.median(random) < 0.3


@pytest.fixture(scope='module')
def weak_scorer() -> SentenceIDRelevance:
    weak = dict(type='EmojiWeak', num_scenes=20_000, num_concepts=100, seed=2)
    scarce = dict(type='EmojiParallel', num_scenes=1000, num_concepts=100, seed=1, concept_limit=60)
    return SentenceIDRelevance(scarce, weak_corpus=weak)


def test_relevance_of_unseen_weak_pairs_follows_the_truth_in_every_pair_of_languages(
    weak_scorer: SentenceIDRelevance,
) -> None:
    # Two in five concepts never occur in a caption, and the weak texts say nothing of their relevance.
    first, second, truth, languages = [], [], [], []
    for seed in range(4):
        dataset = EmojiWeak(num_scenes=1485, num_concepts=100, split='val', seed=seed)
        for index in range(len(dataset)):
            scene, rng = dataset.get_scene(index), dataset._text_rng(index)
            sample = dataset._texts(scene, rng)  # unrendered
            first.append(sample['texts'][0])
            second.append(sample['texts'][1])
            truth.append(sample['true_relevance'])
            languages.append('-'.join(sorted(language for language, _ in sample['texts'])))
    relevance, true, pair = weak_scorer.score(first, second), np.array(truth), np.array(languages)
    correlations = {name: spearmanr(relevance[pair == name], true[pair == name])[0] for name in sorted(set(languages))}
    assert len(correlations) == 15 and min(correlations.values()) > 0.7, correlations
    means = [relevance[np.isclose(true, value)].mean() for value in (0, 1 / 3, 1 / 2, 2 / 3, 1)]
    assert means == sorted(means) and means[0] < 0.1 and means[-1] > 0.9


def test_weak_texts_teach_words_that_no_caption_has(
    scorer: SentenceIDRelevance, weak_scorer: SentenceIDRelevance
) -> None:
    keywords, others = [('en', 'music'), ('en', 'fruit')], [('de', 'Musik'), ('de', 'Frucht')]
    assert 'en:music' in weak_scorer.vocabulary and 'en:music' not in scorer.vocabulary
    assert (weak_scorer.score(keywords, others) > weak_scorer.score(keywords, others[::-1]) + 0.3).all()


def test_scores_are_symmetric_bounded_and_of_their_pair_alone(scorer: SentenceIDRelevance) -> None:
    first, second = unseen_translations()
    second = second[1:] + second[:1]
    scores = scorer.score(first, second)
    assert scores.dtype == np.float32 and scores.shape == (300,)
    assert scores.min() >= 0 and scores.max() <= 1 and 20 < len(set(scores.tolist()))
    assert (scorer.score(second, first) == scores).all()
    assert [scorer.score([a], [b])[0] for a, b in zip(first, second, strict=True)] == scores.tolist()
    np.testing.assert_allclose(scorer.score(first, first), 1)


def test_unknown_words_are_things_of_their_own(scorer: SentenceIDRelevance) -> None:
    known, unknown, empty = ('en', 'a cat and a dog'), ('en', 'qwxz vbnmk'), ('de', '')
    for a, b in itertools.product((known, unknown, empty), (unknown, empty)):
        (score,) = scorer.score([a], [b])
        assert score == (a == b == unknown)
    # The same spelling says the same in any language: names and numbers.
    (same,) = scorer.score([('en', 'Fenerbahçe 2017')], [('ja', 'Fenerbahçe、2017')])
    assert same == 1
    # What one of two texts says beyond the other counts against them, as with known words.
    alone, more = scorer.similarity([known] * 2, [known, ('en', f'{known[1]} qwxz')])
    assert 0 < more < alone == 1


def test_repetition_says_nothing_new(scorer: SentenceIDRelevance) -> None:
    texts, once = unseen_translations(50)
    twice = [(language, f'{text}. {text}') for language, text in once]
    assert (scorer.similarity(texts, once) == scorer.similarity(texts, twice)).all()


def test_a_saved_scorer_is_the_same(scorer: SentenceIDRelevance, tmp_path: Path) -> None:
    scorer.save(tmp_path / 's.safetensors')
    assert [path.name for path in tmp_path.iterdir()] == ['s.safetensors']
    again = SentenceIDRelevance(state=tmp_path / 's.safetensors')
    first, second = unseen_translations()
    assert (again.score(first, second[1:] + second[:1]) == scorer.score(first, second[1:] + second[:1])).all()
    assert again.config == scorer.config and again.calibration == scorer.calibration
    for own, other in zip(again.calibration_pairs, scorer.calibration_pairs, strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize('broken', ['fsync', 'replace'])
def test_a_scorer_that_cannot_be_saved_leaves_the_old_file_and_nothing_else(
    scorer: SentenceIDRelevance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (tmp_path / 's.safetensors').write_text('old')

    def fail(*_: object) -> None:
        raise OSError('no space left')

    monkeypatch.setattr(f'os.{broken}', fail)
    with pytest.raises(OSError, match='no space left'):
        scorer.save(tmp_path / 's.safetensors')
    assert [path.read_text() for path in tmp_path.iterdir()] == ['old']


def test_a_saved_scorer_with_more_words_than_sentences_is_the_same(tmp_path: Path) -> None:
    texts = [[('en', f'a{k} b{k // 2} c{k // 3}'), ('de', f'd{k} e{k // 2} f{k // 3}')] for k in range(60)] * 2
    scorer = SentenceIDRelevance(texts[:66], dim=20, min_count=1)
    scorer.save(tmp_path / 's.safetensors')
    assert scorer.config['words'] > 66
    again = SentenceIDRelevance(state=tmp_path / 's.safetensors')
    np.testing.assert_array_equal(again.vectors, scorer.vectors)


def test_a_file_that_holds_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'name a file that SentenceIDRelevance\.save wrote'):
        SentenceIDRelevance(state=tmp_path / 'none.safetensors')
    (tmp_path / 'text.safetensors').write_text('no numbers')
    save_file({'vectors': np.zeros((2, 2), np.float32)}, tmp_path / 'other.safetensors')
    for name in ('text', 'other'):
        with pytest.raises(ValueError, match=f'{name}.safetensors holds no SentenceIDRelevance'):
            SentenceIDRelevance(state=tmp_path / f'{name}.safetensors')


def test_it_is_fitted_or_loaded() -> None:
    for arguments in ({}, {'corpus': [PAIR] * 40, 'state': 'x.safetensors'}):
        with pytest.raises(ValueError, match='either a corpus to fit on or the state'):
            SentenceIDRelevance(**arguments)


def test_reading_a_corpus_renders_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr('rc3mm.datasets.emoji_scenes.render')
    SentenceIDRelevance(dict(type='EmojiStrict', num_scenes=100, num_concepts=30), num_sentences=100)


SCRIPT = """
import hashlib
from rc3mm.datasets import EmojiParallel
from rc3mm.relevance import SentenceIDRelevance
texts = [EmojiParallel(num_scenes=400, num_concepts=30).get_sample(i)['texts'] for i in range(400)]
scores = SentenceIDRelevance(texts).score([t[0] for t in texts], [t[1] for t in texts[1:] + texts[:1]])
print(hashlib.sha256(scores.tobytes()).hexdigest())
"""


def test_two_processes_agree_to_the_bit() -> None:
    dataset = EmojiParallel(num_scenes=400, num_concepts=30)
    texts = [dataset.get_sample(index)['texts'] for index in range(400)]
    scores = SentenceIDRelevance(texts).score([t[0] for t in texts], [t[1] for t in texts[1:] + texts[:1]])
    assert len(set(scores.tolist())) > 20
    done = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == hashlib.sha256(scores.tobytes()).hexdigest()


def test_no_more_of_the_corpus_is_read_than_asked_for() -> None:
    dataset = EmojiParallel(num_scenes=10**12, num_concepts=30)
    endless = (dataset.get_sample(index)['texts'] for index in itertools.count())
    scorer = SentenceIDRelevance(endless, num_sentences=200)
    config = dict(type='EmojiParallel', num_scenes=10**12, num_concepts=30)
    assert scorer.calibration == SentenceIDRelevance(config, num_sentences=200).calibration
    assert next(endless) == dataset.get_sample(200)['texts']


PAIR = [('en', 'cat dog'), ('de', 'Katze Hund')]


@pytest.mark.parametrize(
    ('corpus', 'message'),
    [
        ([PAIR] * 19, 'at least 20 aligned sentences, got 19'),
        ([PAIR] * 40, 'every word of the corpus occurs in every sentence'),
        ([[('en', ''), ('de', '')]] * 40, 'only 0 words occur in 2 aligned sentences'),
        ([[('en', f'c{i}'), ('de', f'h{i}')] for i in range(40)], 'only 0 words occur'),
        (
            [*[PAIR] * 30, [('en', 'alone')]],
            r"sample 30 of the corpus has no translation: \[\('en', 'alone'\)\]",
        ),
    ],
)
def test_a_corpus_that_teaches_nothing_is_refused(corpus: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SentenceIDRelevance(corpus)


def test_pairs_that_are_no_translations_cannot_calibrate() -> None:
    # What is held out for calibration pairs each text with the translation of the next one's.
    shifted = [[('en', f'en{i}'), ('de', f'de{(i + 1) % 40}')] for i in range(40)]
    aligned = [[('en', f'en{i % 40}'), ('de', f'de{i % 40}')] for i in range(360)]
    with pytest.raises(ValueError, match='cannot tell them apart'):
        SentenceIDRelevance([*aligned, *shifted])
