"""Rows of like lengths together, so that little is computed on padding."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rc3mm.utils.dist import rank_and_world_size

__all__ = ['by_length_groups', 'length_groups']


def length_groups(lengths: Sequence[int], groups: int) -> list[list[int]]:
    """Deal rows out by length into groups, so that padding each to its longest row costs least.

    Args:
        lengths: one a row, at least one row.
        groups: how many at most; rows of equal length are never parted.

    Returns:
        Row numbers of each group, by ascending length; each row once.
    """
    values, counts = np.unique(np.asarray(lengths), return_counts=True)
    before = np.concatenate([[0], counts.cumsum()])  # rows shorter than each value
    # cost[i, j]: tokens computed if the values i to j make a group
    cost = np.where(
        np.arange(len(values))[:, None] <= np.arange(len(values)), values * (before[1:] - before[:-1, None]), np.inf
    )
    least, starts = cost[0], [np.zeros(len(values), dtype=np.int64)]  # the best for values 0 to j with one group
    for _ in range(min(groups, len(values)) - 1):
        split = np.concatenate([[0.0], least[:-1]])[:, None] + cost  # the last group starts at value i
        starts.append(split.argmin(0))
        least = split.min(0)
    parts: list[list[int]] = []
    end = len(values) - 1
    order = np.argsort(np.asarray(lengths), kind='stable')
    for start in reversed(starts):
        if end >= 0:
            parts.append(order[before[start[end]] : before[end + 1]].tolist())
            end = int(start[end]) - 1
    return parts[::-1]


def by_length_groups(
    encode: Callable[[Tensor, Tensor], Tensor],
    words_MTE: Tensor,
    mask_MT: Tensor,
    lengths: Sequence[int],
    groups: int,
) -> Tensor:
    """What `encode` makes of all rows, group by group, each only as wide as its longest row.

    Args:
        encode: words (M, T, E) and mask (M, T) -> states (M, T, D); a row must not depend on the others.
        words_MTE: embedded tokens, padded behind.
        mask_MT: boolean, True at real tokens.
        lengths: real tokens of each row, known without asking the device.
        groups: see `length_groups`.

    Returns:
        (M, T, D); zero where a row was not computed.
    """
    T = mask_MT.shape[1]
    parts = length_groups(lengths, groups)
    if rank_and_world_size()[1] > 1:
        parts = _exactly(parts, min(groups, len(lengths)))
    if len(parts) < 2:
        return encode(words_MTE, mask_MT)
    states = []
    for rows in parts:
        longest, index = max(lengths[rows[-1]], 1), torch.tensor(rows, device=mask_MT.device)
        part = encode(words_MTE[:, :longest].index_select(0, index), mask_MT[:, :longest].index_select(0, index))
        states.append(F.pad(part, (0, 0, 0, T - longest)))
    place = torch.tensor([row for rows in parts for row in rows]).argsort().to(mask_MT.device)
    return torch.cat(states).index_select(0, place)  # repeatable, unlike indexing, whose gradient races on CPU


def _exactly(parts: list[list[int]], count: int) -> list[list[int]]:
    """The largest groups halved until there are `count`.

    Sharded layers are put together anew for each call, so every rank must make equally many, whatever its lengths.
    """
    parts = list(parts)
    while len(parts) < count:
        place = max(range(len(parts)), key=lambda number: len(parts[number]))
        rows = parts[place]
        parts[place : place + 1] = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    return parts
