"""MRM: what it may look at, what it aims for."""

from typing import Any

import pytest
import torch

from rc3mm.models import RC3
from rc3mm.models.layers import box_iou

CLASSES = 7
CONFIG = dict(type='MRM', width=32, feature_dim=192, num_classes=CLASSES, mask_probability=0.4, leak_iou=0.3)


def make(rc3: Any, form: str = 'roi', **kwargs: Any) -> RC3:
    return rc3({'mrm': CONFIG | kwargs}, form_probs={form: 1.0}, test_form='roi')


def with_classes(data: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """Class distributions of a made detector, and a second region on top of the first of every image."""
    inputs = data['inputs']
    for key in ('roi_features', 'roi_boxes', 'roi_mask'):
        inputs[key] = torch.cat([inputs[key][:, :1], inputs[key]], 1)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*inputs['roi_mask'].shape, CLASSES, generator=generator) * 2
    inputs['roi_class_probs'] = logits.softmax(-1).half()
    return data


def loss_of(model: RC3, data: dict[str, Any], **inputs: Any) -> dict[str, torch.Tensor]:
    return model(**model.data_preprocessor({**data, 'inputs': data['inputs'] | inputs}, True), mode='loss')


@pytest.mark.parametrize('form', ['roi', 'both', 'split'])
def test_the_answer_does_not_leak(rc3: Any, batch: Any, form: str) -> None:
    """Neither the masked regions' features, nor those of overlapping regions, nor the pixels change the loss."""
    model, data = make(rc3, form), with_classes(batch('strict'))
    features = data['inputs']['roi_features'].clone().requires_grad_()
    image = data['inputs']['image']
    out = loss_of(model, data, roi_features=features)
    out['loss_mrm'].backward()
    assert 0 <= float(out['mrm_acc']) <= 1
    used = features.grad.abs().sum(2) > 0
    real, boxes = data['inputs']['roi_mask'], data['inputs']['roi_boxes']
    assert (used & real).any() and not (used & ~real).any()
    # something is masked in every image; with a region on top of another, both are hidden if either is
    assert (real & ~used).any(1).all()
    assert torch.equal(used[:, 0], used[:, 1]) and bool((box_iou(boxes)[:, 0, 1] > 0.99).all())
    assert torch.equal(loss_of(model, data, image=255 - image)['loss_mrm'], out['loss_mrm'])


def test_the_text_is_used(rc3: Any, batch: Any) -> None:
    model, data = make(rc3), with_classes(batch('strict'))
    other = data['inputs']['text_ids'].roll(2, 0), data['inputs']['text_mask'].roll(2, 0)
    assert not torch.equal(
        loss_of(model, data)['loss_mrm'], loss_of(model, data, text_ids=other[0], text_mask=other[1])['loss_mrm']
    )


def test_the_loss_is_the_divergence_from_the_detector(rc3: Any, batch: Any) -> None:
    """Zero where the prediction is the detector's own distribution, the entropy's complement at uniform."""
    model, data = make(rc3), with_classes(batch('strict'))
    head = model.objectives['mrm'].classifier
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.arange(CLASSES) * 0.3)
    same = head.bias.detach().softmax(0).expand_as(data['inputs']['roi_class_probs'])
    assert abs(float(loss_of(model, data, roi_class_probs=same)['loss_mrm'])) < 1e-6
    with torch.no_grad():
        head.bias.zero_()
    entropy = -(same[0, 0] * same[0, 0].log()).sum()
    uniform = loss_of(model, data, roi_class_probs=same)['loss_mrm']
    assert torch.isclose(uniform, torch.tensor(float(CLASSES)).log() - entropy, atol=1e-5)


def test_it_learns(rc3: Any, batch: Any) -> None:
    model, data = make(rc3, feature_weight=1.0), with_classes(batch('strict'))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = loss_of(model, data)['loss_mrm']
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_silent_where_no_text_sees_regions(rc3: Any, batch: Any) -> None:
    model = rc3({'mrm': CONFIG, 'itc': dict(type='ITC')}, form_probs=dict(patch=1.0))
    assert {name for name in loss_of(model, batch('strict')) if name.startswith('loss')} == {'loss_itc'}


def test_mistakes_are_named(rc3: Any, batch: Any) -> None:
    with pytest.raises(KeyError, match=r'source "strict" carry no class distributions.*class_probs=True'):
        loss_of(make(rc3), batch('strict'))
    with pytest.raises(ValueError, match='MRM needs `num_classes`'):
        make(rc3, num_classes=0)
