"""A batch that is encoded in chunks has the losses and gradients of the whole batch."""

from typing import Any

import pytest
import torch

from rc3mm.models.objectives.chunked import split_inputs
from tests.test_models.test_pretrainers.test_plain import step


@pytest.mark.parametrize('source', ['strict', 'weak', 'parallel'])
def test_losses_and_gradients_are_those_of_the_whole_batch(rc3: Any, batch: Any, source: str) -> None:
    options = dict(negatives_within=4, form_probs=dict(split=1.0))
    losses, gradients = step(rc3(chunk_size=4, **options), batch(source, 8))
    expected_losses, expected = step(rc3(**options), batch(source, 8))
    assert losses == pytest.approx(expected_losses, rel=1e-5, abs=1e-5)
    assert set(gradients) == set(expected)
    for name, value in expected.items():
        scale = max(float(value.abs().max()), 1)
        torch.testing.assert_close(gradients[name], value, rtol=1e-5, atol=1e-5 * scale, msg=name)


def test_chance_is_the_same_when_a_chunk_is_encoded_again(rc3: Any, batch: Any) -> None:
    """With dropout a second forward pass that drew anew would give gradients of another loss."""
    model = rc3(['itc', 'vtlm'], chunk_size=4, negatives_within=4)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    outputs: list[torch.Tensor] = []
    model.fusion.layers[0].register_forward_hook(lambda module, args, out: outputs.append(out.detach()))
    step(model, batch('strict', 8))
    first, second, *again = outputs
    assert len(again) == 2 and not torch.equal(first, second)
    assert torch.equal(again[0], second) and torch.equal(again[1], first)  # the last chunk comes first


def test_never_more_than_a_chunk_is_encoded(rc3: Any, batch: Any) -> None:
    model, sizes = rc3(chunk_size=2, negatives_within=2), []
    model.patch_encoder.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    step(model, batch('strict', 8))
    assert sizes == [2] * 8  # forward, and again in the backward pass


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(chunk_size=3, negatives_within=1), 'does not divide the per-process batch of 8'),
        (dict(chunk_size=4), 'negatives_within is None'),
        (dict(chunk_size=4, negatives_within=8), 'negatives_within is 8'),
    ],
)
def test_chunks_that_do_not_fit_are_refused(rc3: Any, batch: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        step(rc3(**options), batch('strict', 8))


def test_parts_of_a_batch_are_what_their_items_collate_to(batch: Any) -> None:
    inputs = batch('strict', 8)['inputs']
    inputs['roi_missing'], inputs['image_rows'] = [1, 6], torch.tensor([1, 2, 6])
    inputs['image'] = inputs['image'][[1, 2, 6]]
    parts = dict(split_inputs(inputs, 8, 4))
    assert list(parts) == [0, 4]
    assert [part['roi_missing'] for part in parts.values()] == [[1], [2]]
    assert [part['image_rows'].tolist() for part in parts.values()] == [[1, 2], [2]]
    assert torch.equal(torch.cat([part['image'] for part in parts.values()]), inputs['image'])
    for key in ('text_ids', 'text_mask', 'roi_features', 'roi_boxes'):
        assert torch.equal(torch.cat([part[key] for part in parts.values()]), inputs[key]), key
    for part in parts.values():
        masked = part['masked_pair']
        assert len(masked['labels']) == sum(masked['counts']) == len(masked['positions'])
        assert masked['mask'].flatten()[masked['positions']].all()
