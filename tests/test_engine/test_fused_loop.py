"""Looking into z: rows against brute force, on one process and on two; several evaluations as one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader

from rc3mm.datasets import EmojiWeak, EvalSampler, vl_collate
from rc3mm.engine import EvaluationSuite, FusedLoop, RetrievalLoop
from rc3mm.evaluation import MentionProbe, ProximityMetric, RetrievalMetric
from rc3mm.structures import VisualForm
from tests.distributed import run_on_processes
from tests.test_models.conftest import tiny_rc3

PIPELINE = [
    dict(type='RoiPixels'),
    dict(type='Tokenize', tokenizer='emoji', max_length=60),
    dict(type='PackVLInputs'),
]
WORLD = dict(num_concepts=60, image_size=32, pipeline=PIPELINE)


def loader_config(**changes: Any) -> dict[str, Any]:
    dataset = dict(type=EmojiWeak, num_scenes=23, **WORLD, **changes)
    return dict(dataset=dataset, sampler=dict(type=EvalSampler), batch_size=5, collate_fn=dict(type=vl_collate))


def runner_of(model: torch.nn.Module) -> Any:
    return SimpleNamespace(
        model=model,
        call_hook=lambda *args, **kwargs: None,
        _val_loop=None,
        seed=0,
        build_evaluator=lambda metrics: Evaluator(metrics),
    )


def evaluate() -> tuple[dict[str, float], list[dict[str, Any]], list[dict[str, Any]]]:
    """Metrics, proximity rows and mention rows of a random tiny model."""
    dataset = EmojiWeak(num_scenes=23, split='test', **WORLD)
    loader = DataLoader(dataset, sampler=EvalSampler(dataset), batch_size=5, collate_fn=vl_collate)
    metrics = [ProximityMetric(), MentionProbe(num_concepts=60)]
    probe = loader_config(split='val', languages=('en',))
    loop = FusedLoop(runner_of(tiny_rc3(test_form='both')), loader, Evaluator(metrics), probe_dataloader=probe)
    return loop.run(), metrics[0].items, metrics[1].items


def test_rows_equal_brute_force() -> None:
    metrics, proximity, mentions = evaluate()
    model = tiny_rc3(test_form='both')
    model.eval()
    dataset = EmojiWeak(num_scenes=23, split='test', **WORLD)
    assert len(proximity) == metrics['proximity/num_pairs'] == 23
    assert [row['role'] for row in mentions].count('fit') == 46 == [row['role'] for row in mentions].count('test')
    assert {row['language'] for row in mentions if row['role'] == 'fit'} == {'en'}
    told = {(row['role'], row['item_id']): row for row in mentions}
    for index in (0, 7, 22):
        data = model.data_preprocessor(vl_collate([dataset[index]]))
        with torch.no_grad():
            visual = model.encode_visual(data['inputs'], [VisualForm.BOTH])
            states = model.text_encoder(data['inputs']['text_ids'], data['inputs']['text_mask'])
            owner = torch.zeros(2, dtype=torch.int64)
            fused = model.fuse_pairs(states, data['inputs']['text_mask'], visual, owner, VisualForm.BOTH)
            z = model.embed_fused(fused)
        sample = dataset.get_sample(index)
        row = next(row for row in proximity if row['item_id'] == sample['image_id'])
        assert row['relevance'] == sample['true_relevance']
        assert row['proximity'] == pytest.approx(float(z[0] @ z[1]), abs=1e-5)
        for place in range(2):
            row = told['test', f'{sample["image_id"]}:{place}']
            assert row['language'] == sample['texts'][place][0] and row['mentions'] == sample['mentions'][place]
            assert set(row['mentions']) <= set(row['objects']) == set(sample['roi_labels'].tolist())
            assert row['z'] == pytest.approx(z[place].tolist(), abs=1e-5)


def metrics_alone() -> dict[str, float]:
    return evaluate()[0]


def test_two_processes_give_the_same(tmp_path: Path) -> None:
    one = metrics_alone()
    for other in run_on_processes(metrics_alone, (), tmp_path):
        assert other.keys() == one.keys()
        for name, value in one.items():  # the probe's fit may differ in the last digits of its loss
            assert other[name] == pytest.approx(value, abs=0.5 if '/auc' in name or 'mean_auc' in name else 1e-4), name


def test_a_suite_is_its_parts() -> None:
    runner = runner_of(tiny_rc3(test_form='both'))
    loaders = dict(weak=loader_config(split='test'), pairs=loader_config(split='val'))
    metrics = dict(weak=[ProximityMetric(), MentionProbe(num_concepts=60)], pairs=[RetrievalMetric()])
    probe = loader_config(split='val', languages=('en',))
    parts = dict(weak=dict(type=FusedLoop, probe_dataloader=probe), pairs=dict(type=RetrievalLoop))
    suite = EvaluationSuite(runner, loaders, metrics, parts)
    out = suite.run()
    assert suite.num_items == 46 and suite.metainfo['split'] == 'test'
    alone = metrics_alone()
    assert {name.removeprefix('weak/') for name in out if name.startswith('weak/')} == alone.keys()
    assert out['weak/proximity/spearman'] == pytest.approx(alone['proximity/spearman'])
    assert 'pairs/retrieval/de/t2i_R@1' in out
    assert EvaluationSuite(runner, loaders, metrics, parts, form='roi').parts['pairs'].form is VisualForm.ROI
    with pytest.raises(ValueError, match='a loop, a loader and an evaluator for each part'):
        EvaluationSuite(runner, loaders, {'weak': []}, parts)
