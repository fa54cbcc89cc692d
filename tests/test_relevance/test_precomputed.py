"""Scores looked up by the texts."""

from pathlib import Path

import pytest

from rc3mm.datasets.shards import ImageTextRecord, RelevanceWriter, ShardSet, ShardWriter
from rc3mm.registry import RELEVANCE_SCORERS
from rc3mm.relevance import PrecomputedRelevance

CAT, KATZE, HUND = ('en', 'a cat'), ('de', 'eine Katze'), ('de', 'ein Hund')


def test_either_order_finds_the_score() -> None:
    scorer = PrecomputedRelevance([(CAT, KATZE, 0.75), (HUND, CAT, 0.25), (CAT, CAT, 1.0)])
    assert scorer.score([CAT, KATZE, CAT, CAT], [KATZE, CAT, HUND, CAT]).tolist() == [0.75, 0.75, 0.25, 1.0]
    assert scorer.score([], []).tolist() == []


def test_texts_are_told_apart_by_language() -> None:
    scorer = PrecomputedRelevance([(CAT, KATZE, 0.75)])
    with pytest.raises(ValueError, match=r"1 of 2 pairs have no score, such as \(\('fr', 'a cat'\), .*score_relevance"):
        scorer.score([CAT, ('fr', 'a cat')], [KATZE, KATZE])


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    with ShardWriter(tmp_path / 's', made_of={}, kind='weak', rows_per_shard=2, rows_per_group=2, scorer='x') as writer:
        for k in range(3):
            texts = (('en', f'cat {k}'), ('de', f'Katze {k}'), ('fr', f'chat {k}'))
            writer.add(ImageTextRecord(f'i{k}', texts, image_path='x.jpg', relevance=((0, 2, 0.5),)), k)
    shard_set = ShardSet(tmp_path / 's')
    scores = RelevanceWriter(shard_set, 'mine', {'name': 'mine'})
    scores.write(0, [[(0, 1, 0.0), (1, 2, 0.25)], [(0, 1, 0.125)]])
    scores.write(1, [[(0, 1, 1.0)]])
    scores.finish()
    return shard_set


def test_scores_of_a_shard_set(shards: ShardSet) -> None:
    scorer = RELEVANCE_SCORERS.build(dict(type='PrecomputedRelevance', scores=str(shards.folder), name='mine'))
    first = [('de', 'Katze 0'), ('fr', 'chat 0'), ('en', 'cat 1'), ('en', 'cat 2')]
    second = [('en', 'cat 0'), ('de', 'Katze 0'), ('de', 'Katze 1'), ('de', 'Katze 2')]
    assert scorer.score(first, second).tolist() == [0.0, 0.25, 0.125, 1.0]
    stored = PrecomputedRelevance(shards.folder)
    assert stored.score([('en', 'cat 2')], [('fr', 'chat 2')]).tolist() == [0.5]


def test_what_is_not_there_is_named(shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='scorers with scores there: mine'):
        PrecomputedRelevance(shards.folder, 'yours')
    with pytest.raises(FileNotFoundError, match='is no shard set'):
        PrecomputedRelevance(tmp_path / 'none')
    (shards.folder / 'relevance' / 'mine' / 'part-00001.parquet').write_bytes(
        (shards.folder / 'relevance' / 'mine' / 'part-00000.parquet').read_bytes()
    )
    with pytest.raises(ValueError, match=r'has 2 rows of scores but .* has 1: score it again'):
        PrecomputedRelevance(shards.folder, 'mine')
    with pytest.raises(ValueError, match=r'relevance 1\.5 .* is not in'):
        PrecomputedRelevance([(CAT, KATZE, 1.5)])
    with pytest.raises(ValueError, match='there are no scores'):
        PrecomputedRelevance([])
