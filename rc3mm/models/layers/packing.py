"""Rows of different lengths as one sequence of real tokens, so that nothing is computed on padding.

Shapes: N rows, T tokens of the longest, K real tokens in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ['Layout']


@dataclass(frozen=True)
class Layout:
    """Where tokens that lie one behind the other stand in padded rows.

    Linear layers, norms and activations take the packed tokens; attention takes the rows.

    Attributes:
        rows: N.
        width: T.
        places_K: the place of each packed token in the flattened rows, ascending; None if every place holds one.
    """

    rows: int
    width: int
    places_K: Tensor | None = None

    @classmethod
    def of_lengths(cls, lengths: Sequence[int], width: int, device: torch.device) -> 'Layout':
        """Rows padded behind; the lengths are known without asking the device."""
        if all(length == width for length in lengths):
            return cls(len(lengths), width)
        real_NT = torch.arange(width) < torch.tensor(lengths)[:, None]
        return cls(len(lengths), width, real_NT.flatten().nonzero().squeeze(1).to(device, non_blocking=True))

    def pack(self, x_NTD: Tensor) -> Tensor:
        """Rows, (N, T, D) -> real tokens, (K, D)."""
        flat = x_NTD.flatten(0, 1)
        return flat if self.places_K is None else flat.index_select(0, self.places_K)

    def pad(self, x_KD: Tensor) -> Tensor:
        """Real tokens, (K, D) -> rows, (N, T, D), zero where none is."""
        if self.places_K is not None:
            x_KD = x_KD.new_zeros(self.rows * self.width, x_KD.shape[1]).index_copy(0, self.places_K, x_KD)
        return x_KD.view(self.rows, self.width, -1)

    def packed_places(self, places_W: Tensor) -> Tensor:
        """Places in the flattened rows, each a real token's -> the numbers of these tokens."""
        if self.places_K is None:
            return places_W
        numbers = torch.arange(len(self.places_K), device=places_W.device)
        of_place = places_W.new_zeros(self.rows * self.width).index_copy(0, self.places_K, numbers)
        return of_place.index_select(0, places_W)
