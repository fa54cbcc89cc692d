"""Scores looked up by the texts."""

import shutil
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
    with pytest.raises(
        ValueError, match=r"1 of 2 pairs were not scored beforehand, such as \(\('fr', 'a cat'\), .*score_relevance"
    ):
        scorer.score([CAT, ('fr', 'a cat')], [KATZE, KATZE])


def write_set(folder: Path, word: str) -> ShardSet:
    with ShardWriter(folder, made_of={}, kind='weak', rows_per_shard=2, rows_per_group=2, scorer='x') as writer:
        for k in range(3):
            texts = (('en', f'cat {k}'), ('de', f'{word} {k}'), ('fr', f'chat {k}'))
            writer.add(ImageTextRecord(f'i{k}', texts, image_path='x.jpg', relevance=((0, 2, 0.5),)), k)
    return ShardSet(folder)


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    shard_set = write_set(tmp_path / 's', 'Katze')
    scores = RelevanceWriter(shard_set, 'mine', {'name': 'mine'})
    scores.write(0, [[(0, 1, 0.0), (1, 2, 0.25)], [(0, 1, 0.125)]])
    scores.write(1, [[(0, 1, 1.0)]])
    scores.finish()
    return shard_set


def test_scores_of_a_shard_set(shards: ShardSet) -> None:
    mine = dict(type='ShardedPairs', path=str(shards.folder), relevance='mine')
    scorer = RELEVANCE_SCORERS.build(dict(type='PrecomputedRelevance', scores=mine))
    first = [('de', 'Katze 0'), ('fr', 'chat 0'), ('en', 'cat 1'), ('en', 'cat 2')]
    second = [('en', 'cat 0'), ('de', 'Katze 0'), ('de', 'Katze 1'), ('de', 'Katze 2')]
    assert scorer.score(first, second).tolist() == [0.0, 0.25, 0.125, 1.0]
    stored = PrecomputedRelevance(shards.scored_pairs('stored'))
    assert stored.score([('en', 'cat 2')], [('fr', 'chat 2')]).tolist() == [0.5]
    # The config tells scores apart, wherever they come from.
    assert scorer.config == PrecomputedRelevance(shards.scored_pairs('mine')).config != stored.config
    part = PrecomputedRelevance({**mine, 'start': 1})
    assert part.config['pairs'] == 2 and scorer.config['pairs'] == 4


def test_scores_of_another_set_or_unfinished_ones_are_refused(shards: ShardSet) -> None:
    mine = dict(type='ShardedPairs', path=str(shards.folder), relevance='mine')
    other = write_set(shards.folder.with_name('other'), 'Hund')
    shutil.copytree(shards.folder / 'relevance', other.folder / 'relevance')
    for scores in (lambda: {**mine, 'path': str(other.folder)}, lambda: other.scored_pairs('mine')):
        with pytest.raises(ValueError, match='holds scores of another shard set'):
            PrecomputedRelevance(scores())
    (shards.folder / 'relevance' / 'mine' / 'scorer.json').rename(shards.folder / 'relevance' / 'mine' / 'plan.json')
    with pytest.raises(FileNotFoundError, match=r"has no scores 'mine' \(begun, but not finished"):
        PrecomputedRelevance(mine)
    (shards.folder / 'manifest.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'is no shard set: there is no manifest\.json'):
        PrecomputedRelevance(mine)


def test_what_is_no_scores_is_said(shards: ShardSet) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no scores 'yours'; there is 'stored', 'mine'"):
        PrecomputedRelevance(shards.scored_pairs('yours'))
    with pytest.raises(ValueError, match='name the scores that are meant by relevance=NAME'):
        PrecomputedRelevance(dict(type='ShardedPairs', path=str(shards.folder)))
    with pytest.raises(TypeError, match=r'EmojiParallel has no scored pairs; .*type=ShardedPairs'):
        PrecomputedRelevance(dict(type='EmojiParallel', num_scenes=3))
    with pytest.raises(TypeError, match=r'takes scored pairs, not the path .*type=ShardedPairs'):
        PrecomputedRelevance(str(shards.folder))
    with pytest.raises(ValueError, match=r'relevance 1\.5 .* is not in'):
        PrecomputedRelevance([(CAT, KATZE, 1.5)])
    with pytest.raises(ValueError, match='was given no scores'):
        PrecomputedRelevance([])
