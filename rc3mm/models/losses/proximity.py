"""Running means of the proximity of translations and of unrelated pairs."""

import torch
from torch import Tensor, nn

__all__ = ['ProximityMeans']


class ProximityMeans(nn.Module):
    """s_pos and s_neg of R-XVtCL: exponential means of the diagonal and off-diagonal of s on strict batches.

    Buffers, so they are saved in checkpoints; updated from global means, so they are equal on every rank.

    Args:
        momentum: weight of the past at each update.
    """

    s_pos: Tensor
    s_neg: Tensor
    updates: Tensor

    def __init__(self, momentum: float = 0.98) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer('s_pos', torch.tensor(1.0))
        self.register_buffer('s_neg', torch.tensor(0.0))
        self.register_buffer('updates', torch.tensor(0))

    @torch.no_grad()
    def update(self, s_pos: Tensor, s_neg: Tensor) -> None:
        """Take in one strict batch; the first one is taken as it is."""
        weight = torch.where(self.updates == 0, 0.0, self.momentum)
        self.s_pos.copy_(weight * self.s_pos + (1 - weight) * s_pos)
        self.s_neg.copy_(weight * self.s_neg + (1 - weight) * s_neg)
        self.updates += 1
