"""Gradients come out the same to the last bit from run to run, however many threads sum them."""

from collections.abc import Iterator

import pytest
import torch

from tests.test_models.conftest import emoji_batch, tiny_rc3


@pytest.fixture(params=[1, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize('source', ['strict', 'weak', 'parallel'])
def test_gradients_are_repeatable(source: str, threads: int) -> None:
    # Large enough that PyTorch splits the sums over the threads: a kernel that adds in the order of arrival differs
    # within a few tries.
    model = tiny_rc3(form_probs=dict(both=1.0))
    batch = model.data_preprocessor(emoji_batch(source, 64), training=True)

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        losses = model(**batch, mode='loss')
        sum(value for name, value in losses.items() if name.startswith('loss_')).backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    with torch.random.fork_rng():
        first = gradients()
        for _ in range(12):
            assert all(torch.equal(a, b) for a, b in zip(first, gradients(), strict=True))
