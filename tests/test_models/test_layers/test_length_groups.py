"""Groups of like lengths: a partition, with less padding, and the same result and gradient."""

from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.models import TextEncoder
from rc3mm.models.layers import by_length_groups, length_groups


@cache
def least(lengths: tuple[int, ...], groups: int) -> int:
    whole = lengths[-1] * len(lengths)
    if groups == 1:
        return whole
    return min(
        [
            whole,
            *(least(lengths[:cut], groups - 1) + lengths[-1] * (len(lengths) - cut) for cut in range(1, len(lengths))),
        ]
    )


def least_computed(lengths: list[int], groups: int) -> int:
    """The fewest tokens that any cut of sorted lengths into so many groups computes."""
    return least(tuple(lengths), groups)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=14), st.integers(1, 5))
def test_groups_are_a_partition_by_ascending_length(lengths: list[int], groups: int) -> None:
    parts = length_groups(lengths, groups)
    assert sorted(row for rows in parts for row in rows) == list(range(len(lengths)))
    assert 1 <= len(parts) <= groups and all(parts)
    for one, other in pairwise(parts):
        assert max(lengths[row] for row in one) < max(lengths[row] for row in other)
        assert max(lengths[row] for row in one) <= min(lengths[row] for row in other)
    computed = sum(max(lengths[row] for row in rows) * len(rows) for rows in parts)
    assert computed == least_computed(sorted(lengths), groups)


def test_each_group_is_as_wide_as_its_longest_row() -> None:
    shapes = []

    def encode(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(ids.shape))
        return (ids * mask)[..., None].float()

    lengths = [5, 1, 9, 2]
    ids = torch.arange(36).view(4, 9) + 1
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    out = by_length_groups(encode, ids, mask, lengths, 2)
    assert shapes == [(2, 2), (2, 9)]  # 22 tokens; (1, 5) and (3, ...) would be more
    assert torch.equal(out[..., 0], (ids * mask).float())
    shapes.clear()
    by_length_groups(encode, ids, mask, [9, 9, 9, 9], 2)
    assert shapes == [(4, 9)]


def test_a_text_encoder_in_groups_is_the_same_encoder() -> None:
    config = dict(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    config |= dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=40)
    torch.manual_seed(0)
    encoder = TextEncoder(config=config)
    lengths = torch.randint(1, 20, (12,), generator=torch.Generator().manual_seed(1)).tolist()
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(5, 50, mask.shape, generator=torch.Generator().manual_seed(2)).masked_fill(~mask, 1)
    found = []
    for groups in (1, 4):
        encoder.length_groups = groups
        encoder.zero_grad()
        states = encoder(ids, mask, lengths)[mask]
        states.square().sum().backward()
        found.append((states.detach(), encoder.word_embeddings.grad.clone()))
    torch.testing.assert_close(*(states for states, _ in found))
    torch.testing.assert_close(*(gradient for _, gradient in found))
    with pytest.raises(ValueError, match='length_groups must be at least 1'):
        TextEncoder(config=config, length_groups=0)
