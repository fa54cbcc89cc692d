"""RetrievalMetric and ShortcutAccuracy from hand-made rows, alone and in two processes; no model anywhere."""

import json
import logging
import socket

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.evaluator import Evaluator

from rc3mm.evaluation.functional.languages import mean_without_pivot, sort_languages
from rc3mm.evaluation.metrics import RetrievalMetric, ShortcutAccuracy
from rc3mm.registry import METRICS


def row(direction, language, query_id, rank, reranked=None, **extra):
    return {
        'direction': direction,
        'language': language,
        'query_id': query_id,
        'rank': rank,
        'reranked': reranked,
        **extra,
    }


def rows_of(language, t2i, i2t, itm_t2i=None):
    itm = itm_t2i or [None] * len(t2i)
    texts = [row('t2i', language, i, rank, again) for i, (rank, again) in enumerate(zip(t2i, itm, strict=True))]
    return texts + [row('i2t', language, i, rank) for i, rank in enumerate(i2t)]


def evaluate(rows, metric=None, size=1):
    metric = metric or RetrievalMetric()
    metric.process(None, rows)
    return metric.evaluate(size)


class TestRetrievalMetric:
    def test_by_hand(self):
        # More queries a direction than images: the size of the dataset must not cut anything off.
        metrics = evaluate(rows_of('de', t2i=[1, 3, 20, 1], i2t=[1, 7]) + rows_of('en', t2i=[1, 1], i2t=[1]), size=2)
        assert metrics['retrieval/de/t2i_R@1'] == 50.0
        assert metrics['retrieval/de/t2i_R@5'] == 75.0
        assert metrics['retrieval/de/i2t_R@10'] == 100.0
        assert metrics['retrieval/de/mean_R@1'] == 50.0
        assert (metrics['retrieval/de/num_t2i'], metrics['retrieval/de/num_i2t']) == (4, 2)
        assert metrics['retrieval/en/t2i_R@1'] == 100.0
        assert not any('itm' in name for name in metrics)

    def test_mean_excludes_english(self):
        metrics = evaluate(rows_of('en', [1, 1], [1]) + rows_of('de', [1, 2], [1]) + rows_of('ja', [2, 2], [2]))
        assert metrics['retrieval/mean/t2i_R@1'] == 25.0
        assert metrics['retrieval/mean/i2t_R@1'] == 50.0
        assert metrics['retrieval/mean_R@1'] == 37.5
        # Languages weigh the same, however many queries they have.
        more = evaluate(rows_of('de', [1] * 9 + [2], [1]) + rows_of('ja', [2], [2]))
        assert more['retrieval/mean/t2i_R@1'] == 45.0

    def test_english_alone_has_no_mean(self):
        metrics = evaluate(rows_of('en', [1, 2], [1]))
        assert not any(name.startswith(('retrieval/mean', 'retrieval/itm_mean')) for name in metrics)
        assert metrics['retrieval/en/mean_R@1'] == 75.0

    def test_reranked(self):
        rows = rows_of('de', [3, 9], [1, 1], itm_t2i=[1, 9])
        rows += [row('i2t', 'fr', 0, 4, 1), row('t2i', 'fr', 0, 4, 1)]
        metrics = evaluate(rows)
        assert metrics['retrieval/de/itm_t2i_R@1'] == 50.0
        assert metrics['retrieval/mean/itm_t2i_R@1'] == 75.0
        assert metrics['retrieval/fr/itm_mean_R@1'] == 100.0
        # German images were not re-ranked: no mean of French alone passes for the mean.
        assert 'retrieval/mean/itm_i2t_R@1' not in metrics
        assert 'retrieval/itm_mean_R@1' not in metrics

    def test_reranked_in_part_raises(self):
        with pytest.raises(ValueError, match='1 of 2'):
            evaluate(rows_of('de', [3, 9], [1], itm_t2i=[1, None]))

    def test_duplicates_count_once_and_disagreement_is_told(self, caplog):
        rows = rows_of('de', [1, 2, 2], [1])
        expected = evaluate(rows)
        assert evaluate(rows + rows[:2] + rows[:1]) == expected
        with caplog.at_level(logging.WARNING):
            assert evaluate([*rows, row('t2i', 'de', 1, 1)]) == expected

    def test_items_are_kept_in_order_with_their_extras(self):
        metric = RetrievalMetric()
        rows = rows_of('de', [4, 1], [2])
        rows[0] |= {'query': 'ein Hund', 'retrieved': ['b', 'c'], 'positive': ['a']}
        evaluate(list(reversed(rows)), metric)
        assert [(r['direction'], r['query_id'], r['rank']) for r in metric.items] == [
            ('t2i', 0, 4), ('t2i', 1, 1), ('i2t', 0, 2),
        ]  # fmt: skip
        assert metric.items[0]['query'] == 'ein Hund'
        assert metric.results == []

    def test_nothing_to_evaluate(self):
        assert evaluate([]) == {}

    @pytest.mark.parametrize(
        'bad',
        [{'direction': 'i2i'}, {'rank': 0}, {'reranked': 0}],
    )
    def test_impossible_rows_raise(self, bad):
        with pytest.raises(ValueError):
            RetrievalMetric().process(None, [{**row('t2i', 'de', 0, 1), **bad}])

    def test_missing_key_and_missing_cut_off_raise(self):
        with pytest.raises(ValueError, match='query_id'):
            RetrievalMetric().process(None, [{'direction': 't2i', 'language': 'de', 'rank': 1}])
        with pytest.raises(ValueError, match='headline'):
            RetrievalMetric(ks=(5, 10))

    def test_built_by_name_in_an_evaluator(self):
        assert METRICS.get('RetrievalMetric') is RetrievalMetric
        evaluator = Evaluator([METRICS.build({'type': 'RetrievalMetric', 'prefix': 'val'}), ShortcutAccuracy()])
        evaluator.metrics[0].process(None, rows_of('de', [1], [1]))
        evaluator.metrics[1].process(None, [{'language': 'de', 'item_id': 0, 'positive': 1, 'negative': 0}])
        metrics = evaluator.evaluate(1)
        assert metrics['val/de/t2i_R@1'] == metrics['shortcut/de/accuracy'] == 100.0


class TestShortcutAccuracy:
    def test_by_hand(self):
        rows = [
            {'language': language, 'item_id': i, 'positive': positive, 'negative': 0.5}
            for language, scores in {'en': [0.9], 'de': [0.9, 0.1, 0.5, 0.6], 'zh': [0.1]}.items()
            for i, positive in enumerate(scores)
        ]
        metrics = evaluate(rows + rows[:3], ShortcutAccuracy())
        assert metrics['shortcut/de/accuracy'] == 62.5
        assert metrics['shortcut/de/num_items'] == 4
        assert metrics['shortcut/mean_accuracy'] == 31.25
        assert next(iter(metrics)).startswith('shortcut/en')

    def test_english_alone_has_no_mean(self):
        rows = [{'language': 'en', 'item_id': 'x', 'positive': 1.0, 'negative': 0.0}]
        assert evaluate(rows, ShortcutAccuracy()) == {
            'shortcut/en/accuracy': 100.0,
            'shortcut/en/num_items': 1,
        }

    def test_missing_key_raises(self):
        with pytest.raises(ValueError, match='negative'):
            ShortcutAccuracy().process(None, [{'language': 'en', 'item_id': 0, 'positive': 1.0}])


class TestLanguages:
    def test_order(self):
        assert sort_languages(['zh', 'tr', 'en', 'de', 'id', 'de']) == ['en', 'de', 'zh', 'id', 'tr']

    def test_mean(self):
        assert mean_without_pivot({'en': 90.0, 'de': 10.0, 'zh': 30.0}) == 20.0
        assert mean_without_pivot({'en': 90.0}) is None


RANKS = {'de': [1, 5, 2, 1, 9], 'en': [1, 1, 3, 1, 1]}


def evaluate_shard(rank, port, folder):
    """Five texts on two processes: the sampler pads the second shard with item 0, which it sends first."""
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    shard = [0, 2, 4] if rank == 0 else [0, 1, 3]
    retrieval, shortcut = (
        RetrievalMetric(collect_dir=f'{folder}/a'),
        ShortcutAccuracy(collect_dir=f'{folder}/b'),
    )
    for language, ranks in RANKS.items():
        retrieval.process(None, [row(d, language, i, ranks[i]) for d in ('t2i', 'i2t') for i in shard])
        shortcut.process(
            None, [{'language': language, 'item_id': i, 'positive': ranks[i], 'negative': 2} for i in shard]
        )
    metrics = retrieval.evaluate(5) | shortcut.evaluate(5)
    order = [(r['language'], r['direction'], r['query_id']) for r in retrieval.items]
    with open(f'{folder}/rank{rank}.json', 'w') as file:
        json.dump([metrics, order], file)
    dist.destroy_process_group()


def test_two_processes_with_a_padded_sampler(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    mp.spawn(evaluate_shard, args=(port, str(tmp_path)), nprocs=2)
    (main, order), (other, empty) = (json.loads((tmp_path / f'rank{r}.json').read_text()) for r in (0, 1))
    alone = evaluate(
        [row(d, lang, i, r) for lang, rs in RANKS.items() for d in ('t2i', 'i2t') for i, r in enumerate(rs)]
    )
    assert {name: value for name, value in main.items() if name.startswith('retrieval')} == alone
    assert main == other
    assert main['retrieval/de/num_t2i'] == main['shortcut/de/num_items'] == 5
    assert main['shortcut/de/accuracy'] == 50.0
    assert order == [[lang, d, i] for lang in ('de', 'en') for d in ('t2i', 'i2t') for i in range(5)]
    assert empty == []
