"""Whatever is shared and left out for speed, losses and gradients are those of the plain reference."""

from typing import Any

import pytest
import torch

from rc3mm.models import PlainRC3

FORMS = [dict(both=1.0), dict(split=1.0), dict(patch=1.0)]


def step(model: Any, data: dict[str, Any]) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return {name: float(value.detach()) for name, value in losses.items()}, gradients


@pytest.mark.parametrize('source', ['strict', 'weak', 'parallel'])
@pytest.mark.parametrize('forms', FORMS, ids=lambda forms: next(iter(forms)))
def test_losses_and_gradients_are_the_plain_ones(rc3: Any, batch: Any, source: str, forms: dict[str, float]) -> None:
    fast = rc3(form_probs=forms)
    fast.text_encoder.length_groups = 3
    plain = rc3(form_probs=forms, type='PlainRC3')
    assert isinstance(plain, PlainRC3)
    losses, gradients = step(fast, batch(source, 8))
    expected_losses, expected_gradients = step(plain, batch(source, 8))
    assert losses == pytest.approx(expected_losses, rel=1e-5, abs=1e-5)
    assert set(gradients) == set(expected_gradients)
    for name, value in expected_gradients.items():
        scale = float(value.abs().max())
        torch.testing.assert_close(gradients[name], value, rtol=1e-5, atol=1e-5 * max(scale, 1), msg=name)


def test_the_order_of_the_objectives_changes_nothing(rc3: Any, batch: Any) -> None:
    """Views that one objective uses without gradient are there with it for the next."""
    names = ['itc', 'itm', 'xvtcl', 'vtlm']
    found = [step(rc3(order), batch('strict', 8)) for order in (names, names[::-1])]
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for name, value in found[0][1].items():
        torch.testing.assert_close(found[1][1].get(name), value, rtol=1e-4, atol=1e-5, msg=name)


def test_one_text_an_item_can_be_matched(rc3: Any, batch: Any) -> None:
    """ITM with `texts=1` tells the first texts alone: their own pairs, a wrong text and a wrong image each."""
    model, data = rc3(dict(itm=dict(type='ITM', width=32, texts=1))), batch('strict', 8)
    shapes, seen = [], []
    model.fusion.register_forward_pre_hook(lambda module, args: shapes.append(tuple(args[0].shape[:2])))
    model.objectives['itm'].head.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    step(model, data)
    assert sorted(shapes) == [(8, 1), (8, 2)] and seen == [24]


def test_the_plain_reference_shares_nothing(rc3: Any, batch: Any) -> None:
    counts = []
    for type_ in ('RC3', 'PlainRC3'):
        model, calls = rc3(['itc', 'itm', 'vtlm', 'xvtcl'], type=type_), []
        model.patch_encoder.register_forward_pre_hook(lambda module, args, calls=calls: calls.append(len(args[0])))
        step(model, batch('strict', 8))
        counts.append(len(calls))
    assert counts == [1, 4]
