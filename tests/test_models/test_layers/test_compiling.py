"""Layers are compiled in place: the same names, the same results."""

from typing import Any

import pytest
import torch

from rc3mm.models.layers import compile_layers, repeated_layers


def test_layers_of_the_encoders_are_found(rc3: Any) -> None:
    model = rc3(['itc'])
    found = [type(layer).__name__ for layer in repeated_layers(model)]
    assert found == ['XLMRobertaLayer'] * 2 + ['FusionLayer'] * 2 + ['Block']


def test_compiled_layers_compute_the_same(rc3: Any, batch: Any) -> None:
    plain, compiled = rc3(['itc']), rc3(['itc'], compile_layers=dict(backend='eager'))
    assert list(plain.state_dict()) == list(compiled.state_dict())
    assert compile_layers(plain.fusion, backend='eager') == 2
    found = []
    for model in (plain, compiled):
        losses = model(**model.data_preprocessor(batch('strict', 4), True), mode='loss')
        found.append(float(losses['loss_itc'].detach()))
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    torch.compiler.reset()
