"""RelevanceWriter: scores beside a set, by any number of processes, never mixed up with others."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rc3mm.datasets.shards import RecordError, RelevanceWriter, ShardSet
from tests.test_datasets.test_shards.making import make_set, record

SCORER = {'name': 'made', 'config': {'dim': 3}, 'calibration': {'c0': 0.1, 'c1': 0.9}}


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    return make_set(tmp_path / 'set', [record(k) for k in range(37)])


def scores_of(shards: ShardSet, number: int) -> list[list[tuple[int, int, float]]]:
    return [[(0, 2, row / 64), (1, 3, 0.5)][: row % 3] for row in shards.shard_rows(number)]


def test_several_processes_and_a_restart(shards: ShardSet) -> None:
    content = {path: path.read_bytes() for path in shards.folder.glob('part-*')}
    first, second = (RelevanceWriter(shards, 'made', SCORER) for _ in range(2))
    first.write(2, scores_of(shards, 2))
    second.write(0, scores_of(shards, 0))
    with pytest.raises(ValueError, match=r'the scores of 1 of 3 shards are missing, \[1\]'):
        first.finish()
    with pytest.raises(FileNotFoundError, match=r"has no scores 'made' \(begun, but not finished"):
        shards.relevance('made')
    again = RelevanceWriter(ShardSet(shards.folder), 'made', SCORER)
    assert [again.done(number) for number in range(3)] == [True, False, True]
    again.write(1, scores_of(shards, 1))
    again.finish()
    found = shards.relevance('made')
    assert found.scorer == SCORER and len(found) == 37 and shards.scorers() == ['made']
    expected = [scores for number in range(3) for scores in scores_of(shards, number)]
    assert [found[row] for row in range(37)] == [{(a, b): s for a, b, s in scores} for scores in expected]
    assert content == {path: path.read_bytes() for path in content}  # the shards are as they were
    table = pq.read_table(shards.folder / 'relevance' / 'made' / 'part-00002.parquet')
    assert table.num_rows == 5 and table.column('relevance')[2].as_py()[0]['score'] == 34 / 64


def test_scorers_lie_side_by_side(shards: ShardSet) -> None:
    for name, score in (('a', 0.25), ('b', 0.75)):
        writer = RelevanceWriter(shards, name, {'name': name})
        for number in range(3):
            writer.write(number, [[(0, 1, score)] for _ in shards.shard_rows(number)])
        writer.finish()
    assert (shards.relevance('a')[5], shards.relevance('b')[5]) == ({(0, 1): 0.25}, {(0, 1): 0.75})
    with pytest.raises(FileNotFoundError, match=r"has no scores 'c'; there is 'a', 'b'"):
        shards.relevance('c')


def test_nothing_scored_at_all(shards: ShardSet) -> None:
    writer = RelevanceWriter(shards, 'none', SCORER)
    for number in range(3):
        writer.write(number, [[] for _ in shards.shard_rows(number)])
    writer.finish()
    assert shards.relevance('none')[36] == {}


def test_another_scorer_is_refused(shards: ShardSet) -> None:
    RelevanceWriter(shards, 'made', SCORER)
    other = json.loads(json.dumps(SCORER).replace('0.9', '0.8'))
    with pytest.raises(ValueError, match=r"holds scores by .*'c1': 0\.9.* now they would be by .*take another name"):
        RelevanceWriter(shards, 'made', other)
    for name in ('', 'a/b', '..', 'stored'):
        with pytest.raises(ValueError, match='cannot name scores'):
            RelevanceWriter(shards, name, SCORER)


def test_finished_scores_are_opened_without_a_trace(shards: ShardSet) -> None:
    writer = RelevanceWriter(shards, 'made', SCORER)
    for number in range(3):
        writer.write(number, scores_of(shards, number))
    writer.finish()
    before = {path: path.stat().st_mtime_ns for path in (writer.folder, *writer.folder.rglob('*'))}
    again = RelevanceWriter(shards, 'made', SCORER)
    assert all(again.done(number) for number in range(3))
    assert before == {path: path.stat().st_mtime_ns for path in (writer.folder, *writer.folder.rglob('*'))}


def test_scores_of_nobody_are_refused(shards: ShardSet) -> None:
    writer = RelevanceWriter(shards, 'made', SCORER)
    writer.write(1, scores_of(shards, 1))
    (writer.folder / 'plan.json').unlink()
    with pytest.raises(ValueError, match=r'neither scorer\.json nor plan\.json, so nobody knows whose they are'):
        RelevanceWriter(shards, 'made', SCORER)


def test_scores_of_another_set_are_refused(shards: ShardSet, tmp_path: Path) -> None:
    writer = RelevanceWriter(shards, 'made', SCORER)
    for number in range(3):
        writer.write(number, scores_of(shards, number))
    writer.finish()
    other = make_set(tmp_path / 'other', [record(k + 1) for k in range(37)])
    (shards.folder / 'relevance').rename(other.folder / 'relevance')
    with pytest.raises(ValueError, match='holds scores of another shard set'):
        other.relevance('made')
    with pytest.raises(ValueError, match='holds scores of another shard set'):
        RelevanceWriter(other, 'made', SCORER)
    with pytest.raises(FileNotFoundError, match=r'holds no relevance of its own; there is'):
        other.relevance('stored')


def test_scores_that_do_not_fit_are_refused(shards: ShardSet) -> None:
    writer = RelevanceWriter(shards, 'made', SCORER)
    with pytest.raises(ValueError, match=r'scores of 3 rows, but the shard has 16'):
        writer.write(0, [[]] * 3)
    for pair, message in [((0, 4, 0.5), 'row 16: relevance of texts 0 and 4'), ((0, 1, 1.01), r'1\.01 .* outside')]:
        with pytest.raises(RecordError, match=message):
            writer.write(1, [[pair], *[[]] * 15])
    assert not writer.done(0) and not list(writer.folder.glob('.*'))
