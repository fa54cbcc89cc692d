"""The evaluation loop against brute force."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from rc3mm.datasets import EmojiRetrieval, EvalSampler, vl_collate
from rc3mm.engine import RetrievalLoop
from rc3mm.evaluation import RetrievalMetric, ShortcutAccuracy, TextRetrievalMetric
from rc3mm.structures import VisualForm
from rc3mm.utils.dist import rank_and_world_size
from tests.distributed import run_on_processes
from tests.test_models.conftest import tiny_rc3

PIPELINE = [
    dict(type='RoiPixels'),
    dict(type='Tokenize', tokenizer='emoji', max_length=60),
    dict(type='PackVLInputs'),
]


class FewerTexts(EmojiRetrieval):
    """An uneven test set: some images lack a language, some have two captions in one."""

    def get_sample(self, index: int) -> dict[str, Any]:
        sample = super().get_sample(index)
        texts = sample['texts']
        if index % 3 == 1:
            del texts[1]
        if index % 3 == 2:
            texts.append((texts[2][0], texts[2][1] + ' !'))
        return sample


def evaluate(num_scenes: int = 22, **kwargs: Any) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Metrics and rows of a run of the loop on a random tiny model."""
    model = tiny_rc3(test_form='both')
    dataset = FewerTexts(
        num_scenes=num_scenes,
        split='test',
        image_size=32,
        num_concepts=60,
        languages=('en', 'de', 'ja'),
        pipeline=PIPELINE,
    )
    runner = SimpleNamespace(
        model=model,
        call_hook=lambda *args, **kwargs: None,
        _val_loop=None,
        world_size=rank_and_world_size()[1],
    )
    loader = DataLoader(dataset, sampler=EvalSampler(dataset), batch_size=5, collate_fn=vl_collate)
    from mmengine.evaluator import Evaluator

    metrics = [RetrievalMetric(), ShortcutAccuracy(), TextRetrievalMetric()]
    loop = RetrievalLoop(runner, loader, Evaluator(metrics), **kwargs)
    out = loop.run()
    return out, metrics[0].items


def by_hand(num_scenes: int = 22, topk: int = 0, with_towers: bool = False) -> dict[tuple[str, str, int], int]:
    """Ranks from full score matrices: (direction, language, query) -> rank."""
    model = tiny_rc3(test_form='both')
    model.eval()
    dataset = FewerTexts(
        num_scenes=num_scenes,
        split='test',
        image_size=32,
        num_concepts=60,
        languages=('en', 'de', 'ja'),
        pipeline=PIPELINE,
    )
    data = model.data_preprocessor(vl_collate([dataset[i] for i in range(num_scenes)]))
    inputs = data['inputs']
    with torch.no_grad():
        visual = model.encode_visual(inputs, [VisualForm.BOTH])
        states = model.text_encoder(inputs['text_ids'], inputs['text_mask'])
        image = model.embed_image(visual, VisualForm.BOTH)
        text = model.embed_text(states, inputs['text_mask'])
        owner = [n for n, sample in enumerate(data['data_samples']) for _ in sample.texts]
        language = [own for sample in data['data_samples'] for own, _ in sample.texts]
        scores = (image @ text.T).double().numpy()
        matched = np.zeros_like(scores)
        for n in range(num_scenes):
            rows = torch.full((len(owner),), n)
            fused = model.fuse_pairs(states, inputs['text_mask'], visual, rows, VisualForm.BOTH)
            matched[n] = model.match_scores(fused).double().numpy()
        if with_towers:
            matched += scores / float(model.tau_towers())
    ranks = {}
    for own in dict.fromkeys(language):
        texts = [m for m in range(len(owner)) if language[m] == own]
        pool = sorted({owner[m] for m in texts})  # images that no text of the language tells of are no candidates
        for m in texts:
            ranks['t2i', own, m] = _rank(scores[pool, m], matched[pool, m], [pool.index(owner[m])], topk)
        for n in pool:
            right = [place for place, m in enumerate(texts) if owner[m] == n]
            ranks['i2t', own, n] = _rank(scores[n, texts], matched[n, texts], right, topk)
    return ranks


def _rank(scores: np.ndarray, matched: np.ndarray, right: list[int], topk: int) -> int:
    order = list(np.argsort(-scores, kind='stable'))
    if topk and any(place in order[:topk] for place in right):
        order = sorted(order[:topk], key=lambda place: -matched[place]) + order[topk:]
    # other right candidates never push a rank down
    return min(
        order.index(place) + 1 - sum(order.index(other) < order.index(place) for other in right) for place in right
    )


def test_bi_encoder_ranks_equal_brute_force() -> None:
    _, items = evaluate()
    expected = by_hand()
    assert {(i['direction'], i['language'], i['query_id']): i['rank'] for i in items} == expected
    assert len(items) == len(expected)


@pytest.mark.parametrize('topk', [3, 6])
def test_reranked_ranks_equal_brute_force(topk: int) -> None:
    metrics, items = evaluate(rerank_topk=topk, pair_chunk=7, text_chunk=5)
    got = {(i['direction'], i['language'], i['query_id']): i['reranked'] for i in items}
    assert got == by_hand(topk=topk)
    share = 100 * np.mean([i['reranked'] == 1 for i in items if i['language'] == 'de' and i['direction'] == 't2i'])
    assert metrics['retrieval/de/itm_t2i_R@1'] == pytest.approx(share)


def test_reranking_with_the_towers_adds_their_log_odds() -> None:
    _, items = evaluate(rerank_topk=5, rerank_by='itm+itc')
    got = {(i['direction'], i['language'], i['query_id']): i['reranked'] for i in items}
    assert got == by_hand(topk=5, with_towers=True)
    with pytest.raises(ValueError, match='rerank_by'):
        evaluate(rerank_by='itc')


def test_text_to_text_ranks_equal_brute_force() -> None:
    metrics, _ = evaluate(text_to_text=True)
    model = tiny_rc3(test_form='both')
    model.eval()
    dataset = FewerTexts(
        num_scenes=22,
        split='test',
        image_size=32,
        num_concepts=60,
        languages=('en', 'de', 'ja'),
        pipeline=PIPELINE,
    )
    data = model.data_preprocessor(vl_collate([dataset[i] for i in range(22)]))
    inputs = data['inputs']
    with torch.no_grad():
        states = model.text_encoder(inputs['text_ids'], inputs['text_mask'])
        text = model.embed_text(states, inputs['text_mask']).double()
    named = [(own, n) for n, sample in enumerate(data['data_samples']) for own, _ in sample.texts]
    found = []
    for n in range(22):
        query = [m for m, name in enumerate(named) if name == ('ja', n)][:1]
        others = [m for m, (own, _) in enumerate(named) if own == 'de']
        right = [m for m in others if named[m][1] == n]
        if query and right:
            best = max(float(text[query[0]] @ text[m]) for m in right)
            found.append(all(float(text[query[0]] @ text[m]) < best for m in others if m not in right))
    assert metrics['text/ja-de/R@1'] == pytest.approx(100 * np.mean(found)) and len(found) == 15
    assert len([name for name in metrics if name.startswith('text/')]) == 7


def test_chunks_change_nothing() -> None:
    small, large = evaluate(rerank_topk=4, pair_chunk=3, text_chunk=2), evaluate(rerank_topk=4)
    assert small[0] == large[0]


def test_items_are_named_and_marked() -> None:
    _, items = evaluate()
    for item in items:
        place = [n in item['positive_numbers'] for n in item['retrieved_numbers']]
        assert (item['rank'] <= 5) == any(place)
        assert len(item['retrieved']) == 5 and item['positive']


def test_training_mode_is_restored() -> None:
    model = tiny_rc3()
    assert model.training
    evaluate()


def two_process_metrics() -> dict[str, float]:
    return evaluate(num_scenes=23, rerank_topk=4, shortcut=True, text_to_text=True)[0]


def test_two_processes_count_each_item_once(tmp_path: Path) -> None:
    """23 images on two processes: uneven parts, nothing padded, the same numbers."""
    one = two_process_metrics()
    for other in run_on_processes(two_process_metrics, (), tmp_path):
        assert {k: v for k, v in other.items() if k.startswith(('retrieval', 'text'))} == pytest.approx(
            {k: v for k, v in one.items() if k.startswith(('retrieval', 'text'))}
        )
        assert other['shortcut/de/num_items'] > 0
