"""Pooling of token sequences."""

from torch import Tensor

__all__ = ['masked_mean']


def masked_mean(x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over the tokens where the mask is True.

    Args:
        x_BTD: token features.
        mask_BT: boolean.

    Returns:
        Shape (B, D); zero for a row with no token.
    """
    weight_BT1 = mask_BT.unsqueeze(-1).to(x_BTD.dtype)
    return (x_BTD * weight_BT1).sum(1) / weight_BT1.sum(1).clamp(min=1)
