"""The offline scorer tells how much two texts say the same, across languages, on texts it never saw."""

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
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


def test_relevance_of_unseen_weak_pairs_follows_the_truth(scorer: SentenceIDRelevance) -> None:
    dataset = EmojiWeak(num_scenes=500, num_concepts=100, seed=9)
    samples = [dataset.get_sample(index) for index in range(500)]
    first, second = ([sample['texts'][k] for sample in samples] for k in (0, 1))
    relevance = scorer.score(first, second)
    truth = np.array([sample['true_relevance'] for sample in samples])
    assert spearmanr(relevance, truth)[0] > 0.4
    assert relevance[truth == 1].mean() > relevance[truth == 0].mean() + 0.2


def test_scores_are_symmetric_bounded_and_of_their_pair_alone(scorer: SentenceIDRelevance) -> None:
    first, second = unseen_translations()
    second = second[1:] + second[:1]
    scores = scorer.score(first, second)
    assert scores.dtype == np.float32 and scores.shape == (300,)
    assert scores.min() >= 0 and scores.max() <= 1 and 20 < len(set(scores.tolist()))
    assert (scorer.score(second, first) == scores).all()
    assert [scorer.score([a], [b])[0] for a, b in zip(first, second, strict=True)] == scores.tolist()
    np.testing.assert_allclose(scorer.score(first, first), 1)


def test_unknown_words_give_a_finite_score(scorer: SentenceIDRelevance) -> None:
    known, unknown, empty = ('en', 'a cat and a dog'), ('en', 'qwxz vbnmk'), ('de', '')
    for a, b in itertools.product((known, unknown, empty), (unknown, empty)):
        (score,) = scorer.score([a], [b])
        assert 0 <= score < 0.5
    norms = np.linalg.norm(scorer.embed([known, unknown, empty, ('it', 'gatto')]), axis=1)
    np.testing.assert_allclose(norms, [1, 0, 0, 0], atol=1e-6)
    # A word not known changes nothing about the others.
    assert (scorer.embed([('en', 'a cat and a dog qwxz')]) == scorer.embed([known])).all()


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
