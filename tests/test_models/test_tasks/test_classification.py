"""The classifier: what it reads, what it learns from, and what loads into it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rc3mm.datasets import vl_collate
from rc3mm.models import VLClassifier
from rc3mm.registry import DATASETS, MODELS
from rc3mm.structures import VisualForm
from rc3mm.utils.checkpoint import load_state_dict

ROI = dict(type='RoiPixels')
TOKENIZE, PACK = dict(type='Tokenize', tokenizer='emoji', max_length=60), dict(type='PackVLInputs')
WORLD: dict[str, Any] = dict(num_concepts=60, image_size=32, languages=('en', 'de'))


@pytest.fixture
def classifier(backbone: Any) -> Callable[..., VLClassifier]:
    def build(seed: int = 1, **options: Any) -> VLClassifier:
        torch.manual_seed(seed)
        return MODELS.build({'type': 'VLClassifier', 'num_classes': 110, 'dropout': 0.0, **backbone(), **options})

    return build


def batch_of(kind: str, number: int, pipeline: list[dict]) -> dict[str, Any]:
    dataset = DATASETS.build(dict(type=kind, num_items=48, pipeline=pipeline, **WORLD))
    return vl_collate([dataset[index] for index in range(number)])


@pytest.fixture
def questions() -> dict[str, Any]:
    return batch_of('EmojiVQA', 8, [ROI, TOKENIZE, PACK])


@pytest.fixture
def pairs() -> dict[str, Any]:
    return batch_of('EmojiPairs', 8, [dict(type='EachImage', transforms=[ROI]), TOKENIZE, PACK])


def run(model: Any, data: dict[str, Any], mode: str) -> Any:
    return model(**model.data_preprocessor(data, True), mode=mode)


def test_what_is_predicted_is_the_best_of_the_scores(classifier: Any, questions: Any) -> None:
    model = classifier().eval()
    samples = run(model, questions, 'predict')
    logits = run(model, questions, 'tensor')
    assert logits.shape == (8, 110)
    for sample, row in zip(samples, logits, strict=True):
        assert torch.allclose(sample.scores, row.log_softmax(0), atol=1e-5)
        assert int(sample.prediction) == int(row.argmax())


@pytest.mark.parametrize('form', list(VisualForm))
def test_every_visual_form_serves(classifier: Any, questions: Any, pairs: Any, form: VisualForm) -> None:
    for batch, images in ((questions, 1), (pairs, 2)):
        model = classifier(num_images=images, test_form=form.value, form_probs={form.value: 1.0})
        losses = run(model, batch, 'loss')
        losses['loss_answer'].backward()
        used = {name.split('.')[0] for name, value in model.named_parameters() if value.grad is not None}
        wanted = {'roi_encoder'} if form is VisualForm.ROI else {'patch_encoder'}
        wanted = {'roi_encoder', 'patch_encoder'} if form is VisualForm.BOTH else wanted
        assert used == {'text_encoder', 'fusion', 'head'} | wanted


def test_a_pair_is_read_in_order_and_each_image_by_itself(classifier: Any, pairs: Any) -> None:
    model = classifier(num_images=2).eval()
    data = model.data_preprocessor(pairs)
    logits = model.outputs(data['inputs'], VisualForm.BOTH)
    order = torch.arange(16).view(8, 2).flip(1).flatten()
    images = ('image', 'roi_features', 'roi_boxes', 'roi_mask')
    assert data['inputs']['images_per_item'] == 2 and len(data['inputs']['image']) == 16
    swapped = {key: value[order] if key in images else value for key, value in data['inputs'].items()}
    # exchanging the images of all items is exchanging the halves that the head reads
    first = model.head[0].weight.data
    model.head[0].weight.data = torch.cat([first[:, 32:], first[:, :32]], 1)
    assert torch.allclose(model.outputs(swapped, VisualForm.BOTH), logits, atol=1e-5)
    assert not torch.allclose(model.outputs(data['inputs'], VisualForm.BOTH), logits, atol=1e-3)


def test_items_without_label_teach_nothing(classifier: Any, questions: Any) -> None:
    model = classifier()
    known = run(model, questions, 'loss')['loss_answer']
    data = model.data_preprocessor(questions, True)
    terms = torch.nn.functional.cross_entropy(
        model.outputs(data['inputs'], VisualForm.BOTH), data['inputs']['label'], reduction='none'
    )
    assert torch.allclose(known, terms.mean(), atol=1e-5)
    questions['inputs']['label'][:3] = -1
    some = run(model, questions, 'loss')
    assert torch.allclose(some['loss_answer'], terms[3:].mean(), atol=1e-5)
    questions['inputs']['label'][:] = -1
    none = run(model, questions, 'loss')['loss_answer']
    assert float(none.detach()) == 0 and none.requires_grad


def test_a_pre_trained_model_loads_by_name(classifier: Any, rc3: Any) -> None:
    pretrained, model = rc3(), classifier()
    report = load_state_dict(model, pretrained.state_dict())
    parts = {key.split('.')[0] for key in report.loaded}
    assert parts == {'text_encoder', 'patch_encoder', 'roi_encoder', 'fusion'} and not report.reshaped
    assert {key.split('.')[0] for key in report.missing} == {'head'}
    own = model.state_dict()
    assert all(torch.equal(own[key], value) for key, value in pretrained.state_dict().items() if key in own)


def test_misfits_are_named(classifier: Any, questions: Any) -> None:
    with pytest.raises(ValueError, match='reads 2 images an item, the batch has 1'):
        run(classifier(num_images=2), questions, 'tensor')
    with pytest.raises(ValueError, match='two classes'):
        classifier(num_classes=1)


def test_it_learns(classifier: Any, pairs: Any) -> None:
    """Eight pairs by heart: text and images reach the head."""
    model = classifier(num_images=2, num_classes=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        losses = run(model, pairs, 'loss')
        optimizer.zero_grad()
        losses['loss_answer'].backward()
        optimizer.step()
    assert float(losses['answer_acc']) == 1


@pytest.mark.parametrize('form', list(VisualForm))
def test_an_image_encoded_once_for_its_questions_teaches_and_tells_the_same(
    classifier: Any, questions: Any, form: VisualForm
) -> None:
    dataset = DATASETS.build(dict(type='EmojiVQA', num_items=12, pipeline=[ROI, TOKENIZE, PACK], **WORLD))
    shared = vl_collate([dataset[index] for index in range(8)], share_images=True)
    assert len(shared['inputs']['image']) == 2
    model = classifier(form_probs={form: 1.0}, test_form=form)
    found = {}
    for name, batch in (('plain', questions), ('shared', shared)):
        model.zero_grad()
        loss = run(model, batch, 'loss')['loss_answer']
        loss.backward()
        grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found[name] = (run(model, batch, 'tensor'), loss, grads)
    (logits, loss, grads), (logits_s, loss_s, grads_s) = found['plain'], found['shared']
    assert torch.allclose(logits, logits_s, atol=1e-5) and torch.allclose(loss, loss_s, atol=1e-6)
    assert len(grads) == len(grads_s) > 20
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(grads, grads_s, strict=True))
