"""Relevance computed on the fly is the scorer's."""

import pytest

from rc3mm.datasets import EmojiWeak, ScoreRelevance
from rc3mm.relevance import SentenceIDRelevance

CORPUS = dict(type='EmojiParallel', num_scenes=400, num_concepts=30)


def test_the_score_is_that_of_the_registered_scorer_and_not_the_truth() -> None:
    transform = ScoreRelevance(dict(type='SentenceIDRelevance', corpus=CORPUS, num_sentences=400))
    scorer = SentenceIDRelevance(CORPUS, 400)
    dataset = EmojiWeak(num_scenes=30, num_concepts=30, image_size=32, pipeline=[transform])
    samples = [dataset[index] for index in range(30)]
    first, second = ([sample['texts'][k] for sample in samples] for k in (0, 1))
    assert [sample['relevance'] for sample in samples] == scorer.score(first, second).tolist()
    assert all(type(sample['relevance']) is float for sample in samples)
    assert len({sample['relevance'] for sample in samples}) > 5
    assert any(sample['relevance'] != sample['true_relevance'] for sample in samples)


def test_it_takes_two_texts() -> None:
    transform = ScoreRelevance(dict(type='SentenceIDRelevance', corpus=CORPUS, num_sentences=400))
    with pytest.raises(ValueError, match='two texts; wit-17 has 3'):
        transform({'image_id': 'wit-17', 'texts': [('en', 'a cat')] * 3})
