"""The chunked cross-entropy over words equals the plain one, gradients and all."""

import pytest
import torch
import torch.nn.functional as F

from rc3mm.models.losses import word_cross_entropy, words

K, V, E = 7, 50, 6


def tensors(seed: int = 0, positions: int = K) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(shape, generator=generator).requires_grad_() for shape in ((positions, E), (V, E), (V,))]
    return *draw, torch.randint(V, (positions,), generator=generator)


@pytest.mark.parametrize('rows', [1, 3, K, 100])
@pytest.mark.parametrize('block', [1, 16, 1000])
@pytest.mark.parametrize('positions', [E, E + 1])  # up to E of float32, gradients of logits are the smaller ones
def test_equals_the_plain_one(rows: int, block: int, positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, 'WORDS_AT_A_TIME', block)
    found, expected = tensors(positions=positions), tensors(positions=positions)
    total, hits = word_cross_entropy(*found, logits_bytes=4 * V * rows)
    logits = F.linear(*expected[:3])
    plain = F.cross_entropy(logits, expected[3], reduction='sum')
    torch.testing.assert_close(total, plain)
    assert int(hits) == int((logits.argmax(1) == expected[3]).sum())
    (total * 0.3).backward()
    (plain * 0.3).backward()
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_only_what_learns_gets_a_gradient() -> None:
    embedded, table, bias, labels = tensors()
    table.requires_grad_(False)
    total, _ = word_cross_entropy(embedded, table, bias, labels)
    total.backward()
    assert table.grad is None and embedded.grad is not None and bias.grad is not None


def test_no_position_at_all() -> None:
    """A process whose texts are empty takes part with gradients of zero."""
    given = tensors(positions=0)
    total, hits = word_cross_entropy(*given)
    total.backward()
    assert float(total.detach()) == 0 and int(hits) == 0
    assert all(not tensor.grad.any() for tensor in given[:3])


def test_products_are_in_the_dtype_of_autocast() -> None:
    found, expected = tensors(), tensors()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        total, _ = word_cross_entropy(*found)
    assert total.dtype == torch.float32
    plain, _ = word_cross_entropy(*expected)
    assert 0 < abs(float((total - plain).detach())) < 0.02 * float(plain.detach())
    total.backward()
    plain.backward()
    assert found[1].grad.dtype == torch.float32
    torch.testing.assert_close(found[1].grad, expected[1].grad, atol=0.05, rtol=0.05)
