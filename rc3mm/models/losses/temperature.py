"""The learnable temperature of the contrastive losses."""

import math

import torch
from torch import Tensor, nn

__all__ = ['Temperature']


class Temperature(nn.Module):
    """tau > 0, learnt in log space and kept inside [minimum, maximum].

    Args:
        init: start value (0.07 as in CLIP and CCLM).
        minimum: lower clamp.
        maximum: upper clamp.
        learnable: keep it fixed if False.

    Raises:
        ValueError: the start value is outside the clamp.
    """

    def __init__(
        self, init: float = 0.07, minimum: float = 0.001, maximum: float = 0.5, learnable: bool = True
    ) -> None:
        super().__init__()
        if not 0 < minimum <= init <= maximum:
            raise ValueError(f'temperature {init} is not inside [{minimum}, {maximum}]')
        self.log_range = (math.log(minimum), math.log(maximum))
        self.log_tau = nn.Parameter(torch.tensor(math.log(init)), requires_grad=learnable)

    def forward(self) -> Tensor:
        """The temperature, a scalar tensor with gradient."""
        # The parameter itself is clamped, not its image: a clamped image has no gradient and would never come back.
        self.clamp()
        return self.log_tau.squeeze().exp()  # a sharded parameter has one dimension

    def clamp(self) -> None:
        """Put the parameter back inside the range."""
        with torch.no_grad():
            self.log_tau.clamp_(*self.log_range)
