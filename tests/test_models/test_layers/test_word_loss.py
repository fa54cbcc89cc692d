"""The chunked cross-entropy over words equals the plain one, gradients and all."""

import pytest
import torch
import torch.nn.functional as F

from rc3mm.models.layers import WordTie, word_cross_entropy, word_loss

K, V, E = 7, 50, 6


def tensors(seed: int = 0, positions: int = K) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(shape, generator=generator).requires_grad_() for shape in ((positions, E), (V, E), (V,))]
    return *draw, torch.randint(V, (positions,), generator=generator)


@pytest.mark.parametrize('rows', [1, 3, K, 100])
@pytest.mark.parametrize('block', [1, 16, 1000])
@pytest.mark.parametrize('positions', [E, E + 1])  # up to E of float32, gradients of logits are the smaller ones
def test_equals_the_plain_one(rows: int, block: int, positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_loss, 'WORDS_AT_A_TIME', block)
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


@pytest.mark.parametrize('calls', [1, 2])
@pytest.mark.parametrize('padding_idx', [None, 1])
def test_tied_words_have_one_gradient_of_both(calls: int, padding_idx: int | None) -> None:
    """The lookup takes what the output layer leaves; the sum is what autograd would have added up."""
    found = []
    for tied in (True, False):
        embedded, table, bias, labels = tensors()
        words_of = torch.nn.Embedding(V, E, padding_idx=padding_idx)
        words_of.weight.data.copy_(table.detach())
        tie = WordTie() if tied else None
        ids = torch.tensor([[3, 4, 3, 1], [0, 19, 1, 1]])
        words = tie.look_up(ids, words_of) if tie else words_of(ids)
        loss = (words * torch.arange(E)).sum()
        for call in range(calls):
            loss = loss + (call + 1) * word_cross_entropy(embedded, words_of.weight, bias, labels, tie)[0]
        loss.backward()
        found.append((words_of.weight.grad, embedded.grad, bias.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_tied_lookup_alone_has_the_gradient_of_an_embedding() -> None:
    first, second = torch.nn.Embedding(V, E, padding_idx=1), torch.nn.Embedding(V, E, padding_idx=1)
    second.load_state_dict(first.state_dict())
    ids, tie = torch.tensor([[3, 1, 3]]), WordTie()
    tie.look_up(ids, first).square().sum().backward()
    second(ids).square().sum().backward()
    torch.testing.assert_close(first.weight.grad, second.weight.grad)


def test_words_that_do_not_learn_are_not_tied() -> None:
    words_of = torch.nn.Embedding(V, E).requires_grad_(False)
    tie = WordTie()
    assert torch.equal(tie.look_up(torch.tensor([[2]]), words_of), words_of(torch.tensor([[2]])))
    embedded, _, bias, labels = tensors()
    word_cross_entropy(embedded, words_of.weight, bias, labels, tie)[0].backward()
    assert tie.token is None and words_of.weight.grad is None


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
