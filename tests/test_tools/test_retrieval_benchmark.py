"""The benchmark of retrieval, in small."""

import json
from typing import Any


def report(warm: Any, *arguments: str) -> dict[str, Any]:
    done = warm('benchmarks/retrieval.py', *arguments)
    assert done.code == 0, done.output[-2000:]
    return json.loads(done.output.splitlines()[-1])


def test_ranking(warm: Any) -> None:
    found = report(warm, 'rank', '--images', '40', '--captions', '3', '--width', '64')
    assert (found['images'], found['texts']) == (40, 120)
    assert found['recall']['i2t']['R@1'] >= found['recall']['t2i']['R@1'] > 50


def test_best_items(warm: Any) -> None:
    found = report(warm, 'topk', '--queries', '20', '--items', '40000', '--width', '16')
    assert found['seconds'] > 0 and found['embeddings_mb'] == 2
    assert found['faiss'] == 'not installed' or found['faiss']['same'] > 0.99


def test_two_stages_against_all_pairs(warm: Any) -> None:
    found = report(warm, 'rerank', '--images', '24', '--rows', '6')
    assert found['texts'] == 24 and found['all_pairs_measured_on'] == '25 % of the images'
    assert found['times_faster'] > 0 and 0 <= found['two_stages_i2t_R@1'] <= 100
