"""Two processes with unequal parts of a batch give the tasks' losses and gradients of one process with the whole."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from rc3mm.datasets import vl_collate
from rc3mm.models import VLClassifier
from rc3mm.registry import DATASETS
from rc3mm.utils.dist import rank_and_world_size
from tests.distributed import run_on_processes
from tests.test_models.conftest import tiny_backbone
from tests.test_models.test_tasks.test_translation import tiny_translator, translation_batch

ITEMS = 8
# case -> items of each process, and of them those without a label
CASES: dict[str, tuple[tuple[range, range], Sequence[int]]] = {
    'classifier, 2 and 4 labels': ((range(4), range(4, 8)), (1, 2)),
    'classifier, 4 and no label': ((range(4), range(4, 8)), (4, 5, 6, 7)),
    'classifier, 2 and 6 items': ((range(2), range(2, 8)), ()),
    'translator, 2 and 6 items': ((range(2), range(2, 8)), ()),
}


def classifier_and_batch(rows: Sequence[int], unlabelled: Sequence[int]) -> tuple[Any, dict[str, Any]]:
    torch.manual_seed(0)
    model = VLClassifier(num_classes=110, dropout=0.0, form_probs=dict(both=1.0), **tiny_backbone())
    pipeline = [
        dict(type='RoiPixels'),
        dict(type='Tokenize', tokenizer='emoji', max_length=60),
        dict(type='PackVLInputs'),
    ]
    config = dict(type='EmojiVQA', num_items=12, num_concepts=60, image_size=32, pipeline=pipeline)
    dataset = DATASETS.build(config)
    batch = model.data_preprocessor(vl_collate([dataset[row] for row in rows]), True)
    for place, row in enumerate(rows):
        if row in unlabelled:
            batch['inputs']['label'][place] = -1
    return model, batch


def loss_and_gradients(case: str) -> dict[str, Any]:
    """Loss of this process, and gradients after the data-parallel average."""
    parts, unlabelled = CASES[case]
    rank, world_size = rank_and_world_size()
    rows = parts[rank] if world_size > 1 else range(ITEMS)
    if case.startswith('classifier'):
        model, batch = classifier_and_batch(rows, unlabelled)
    else:
        model = tiny_translator(form_probs=dict(both=1.0))
        batch = translation_batch(model, rows)
    wrapped = model
    if world_size > 1:
        wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    losses = wrapped(**batch, mode='loss')
    (loss,) = (value for name, value in losses.items() if name.startswith('loss_'))
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return {'loss': loss.detach(), 'gradients': gradients, 'items': len(batch['data_samples'])}


def all_cases() -> dict[str, dict[str, Any]]:
    """Every case, in one start of the processes."""
    return {case: loss_and_gradients(case) for case in CASES}


@pytest.fixture(scope='module')
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    return run_on_processes(all_cases, (), tmp_path_factory.mktemp('parts'))


@pytest.mark.parametrize('case', CASES)
def test_unequal_parts_equal_the_whole(case: str, parts: list[dict[str, dict[str, Any]]]) -> None:
    whole, (one, other) = loss_and_gradients(case), [part[case] for part in parts]
    assert one['items'] + other['items'] == whole['items'] == ITEMS
    assert not torch.isclose(one['loss'], other['loss'], rtol=1e-3)  # the parts differ, so the weights matter
    torch.testing.assert_close((one['loss'] + other['loss']) / 2, whole['loss'], rtol=1e-5, atol=1e-5)
    assert max(float(gradient.abs().max()) for gradient in whole['gradients'].values()) > 1e-2
    for part in (one, other):
        assert part['gradients'].keys() == whole['gradients'].keys()
        for name, gradient in whole['gradients'].items():
            torch.testing.assert_close(
                part['gradients'][name], gradient, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f'{n}: {m}'
            )
