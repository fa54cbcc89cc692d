"""Learning rates by part and by layer."""

from typing import Any

import pytest
import torch
from torch import nn

from rc3mm.engine.param_groups import GroupedOptimWrapperConstructor
from tests.test_models.conftest import tiny_rc3


def build(model: nn.Module, **paramwise: Any) -> dict[int, tuple[float, float]]:
    """(learning rate, weight decay) of each parameter, by its id."""
    config = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1))
    wrapper = GroupedOptimWrapperConstructor(config, paramwise)(model)
    out = {}
    for group in wrapper.optimizer.param_groups:
        for parameter in group['params']:
            assert id(parameter) not in out
            out[id(parameter)] = (round(group['lr'], 6), group['weight_decay'])
    return out


def test_every_parameter_is_in_one_group_and_vectors_do_not_decay() -> None:
    model = tiny_rc3()
    groups = build(model)
    assert set(groups) == {id(p) for p in model.parameters()}
    for name, parameter in model.named_parameters():
        assert groups[id(parameter)] == (1.0, 0.1 if parameter.ndim >= 2 else 0.0), name
    assert len(set(groups.values())) == 2


def test_parts_and_layers_have_rates_of_their_own() -> None:
    model = tiny_rc3()
    rates = build(model, lr_mult={'text_encoder': 0.5, 'objectives': 3.0}, layer_decay={'text_encoder': 0.1})
    named = {name: rates[id(parameter)][0] for name, parameter in model.named_parameters()}
    layer = 'text_encoder.model.encoder.layer.{}.attention.self.query.weight'
    assert named[layer.format(1)] == pytest.approx(0.5)
    assert named[layer.format(0)] == pytest.approx(0.05)
    assert named['text_encoder.model.embeddings.word_embeddings.weight'] == pytest.approx(0.005)
    assert named['objectives.itm.head.weight'] == 3.0
    assert named['fusion.norm.weight'] == 1.0


def test_frozen_parameters_are_left_out() -> None:
    model = tiny_rc3()
    model.text_encoder.requires_grad_(False)
    groups = build(model)
    assert not {id(p) for p in model.text_encoder.parameters()} & set(groups)


def test_a_factor_of_zero_freezes() -> None:
    model = tiny_rc3()
    groups = build(model, lr_mult={'text_encoder': 0.0})
    for name, parameter in model.named_parameters():
        frozen = name.startswith('text_encoder')
        assert parameter.requires_grad != frozen and (id(parameter) in groups) != frozen, name


@pytest.mark.parametrize('paramwise', [dict(lr_multi={}), dict(lr_mult={'txt_encoder': 1.0})])
def test_typos_are_refused(paramwise: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'lr_multi|txt_encoder'):
        build(tiny_rc3(), **paramwise)


def test_bfloat16_wrapper_autocasts_on_the_cpu() -> None:
    from rc3mm.engine import BFloat16OptimWrapper

    linear = nn.Linear(4, 4)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(linear.parameters(), lr=0.1))
    with wrapper.optim_context(linear):
        out = linear(torch.randn(2, 4))
    assert out.dtype == torch.bfloat16 and linear.weight.dtype == torch.float32
    before = linear.weight.detach().clone()
    wrapper.update_params(out.float().sum())
    assert not torch.equal(before, linear.weight)
