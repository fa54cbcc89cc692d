"""Which candidates are right for which query, stored as compressed rows and never as a Q x C mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ['Positives', 'positives_of_images', 'positives_of_texts']


@dataclass(frozen=True)
class Positives:
    """The right candidates of Q queries in compressed sparse rows.

    Query q's right candidates are `index_P[offset_R[q]:offset_R[q + 1]]`, where P is the number of (query,
    right candidate) pairs and R = Q + 1. Build it with `from_lists`, `positives_of_texts` or
    `positives_of_images`.

    Attributes:
        offset_R: int64, shape (Q + 1,), ascending from 0 to P.
        index_P: int64, shape (P,), candidate indices; no candidate occurs twice in one row.
    """

    offset_R: Tensor
    index_P: Tensor

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> 'Positives':
        """Build from one sequence of candidate indices a query; repeated indices count once.

        Raises:
            ValueError: If a query has no right candidate (its rank is undefined) or an index is negative.
        """
        rows = [sorted({int(i) for i in row}) for row in lists]
        for query, row in enumerate(rows):
            if not row:
                raise ValueError(f'query {query} has no right candidate: leave it out of the queries')
            if row[0] < 0:
                raise ValueError(f'query {query} has a negative candidate index {row[0]}')
        count_Q = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        index_P = torch.tensor([i for row in rows for i in row], dtype=torch.int64)
        return cls(_offsets(count_Q), index_P)

    def __len__(self) -> int:
        return len(self.offset_R) - 1

    @property
    def count_Q(self) -> Tensor:
        """Number of right candidates a query, int64, shape (Q,)."""
        return self.offset_R.diff()

    def row(self, query: int) -> list[int]:
        """Candidate indices that are right for one query, ascending."""
        start, end = self.offset_R[query : query + 2].tolist()
        return self.index_P[start:end].tolist()

    def pairs(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        """The (query, candidate) pairs of queries start..end-1, with queries counted from `start`.

        Returns:
            Two int64 tensors of shape (number of pairs,): query and candidate indices.
        """
        query_P = torch.arange(end - start, device=self.offset_R.device).repeat_interleave(self.count_Q[start:end])
        return query_P, self.index_P[self.offset_R[start] : self.offset_R[end]]

    def to(self, device: torch.device) -> 'Positives':
        """The same rows on another device."""
        return Positives(self.offset_R.to(device), self.index_P.to(device))


def positives_of_texts(owner_M: Tensor) -> Positives:
    """Text-to-image: every text is a query and has one right image, the one it describes.

    Args:
        owner_M: int64, shape (M,): index of the image a text describes.

    Raises:
        ValueError: If an index is negative.
    """
    if owner_M.numel() and int(owner_M.min()) < 0:
        raise ValueError(f'negative image index {int(owner_M.min())} in owner_M')
    offset_R = torch.arange(len(owner_M) + 1, dtype=torch.int64, device=owner_M.device)
    return Positives(offset_R, owner_M.to(torch.int64))


def positives_of_images(owner_M: Tensor, num_images: int) -> tuple[Tensor, Positives]:
    """Image-to-text: the images that have a text, and the texts that are right for each.

    An image without a text in the evaluated language has no rank; it stays a candidate of the other
    direction, but is no query here, hence the first return value.

    Args:
        owner_M: int64, shape (M,): index of the image a text describes.
        num_images: N.

    Returns:
        Indices of the images that are queries (int64, shape (Q,), ascending) and their right texts, Q rows.

    Raises:
        ValueError: If an owner is not in 0..N-1.
    """
    owner_M = owner_M.to(torch.int64)
    if owner_M.numel() and not 0 <= int(owner_M.min()) <= int(owner_M.max()) < num_images:
        raise ValueError(f'owner_M lies in {int(owner_M.min())}..{int(owner_M.max())}, outside of 0..{num_images - 1}')
    count_N = torch.bincount(owner_M, minlength=num_images)
    query_Q = torch.nonzero(count_N).flatten()
    # Stable, so that the texts of an image keep their order.
    index_P = torch.argsort(owner_M, stable=True)
    return query_Q, Positives(_offsets(count_N[query_Q]), index_P)


def _offsets(count_Q: Tensor) -> Tensor:
    return torch.cat([count_Q.new_zeros(1), count_Q.cumsum(0)])
