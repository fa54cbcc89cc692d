"""Scaled-dot-product attention over PyTorch's fused kernels, for self- and cross-attention alike."""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['Attention']


class Attention(nn.Module):
    """Multi-head attention from a query sequence to a context sequence.

    Args:
        width: D, of queries, context and output.
        heads: number of heads; must divide `width`.

    Raises:
        ValueError: `heads` does not divide `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f'width {width} is not a multiple of heads {heads}')
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, query_BQD: Tensor, context_BCD: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query_BQD: queries.
            context_BCD: what is attended to.
            mask: boolean, broadcastable to (B, 1, Q, C); True where attention is allowed. Each query must be allowed
                at least one place.

        Returns:
            Shape (B, Q, D).
        """
        B, Q, D = query_BQD.shape
        q = self.query(query_BQD).view(B, Q, self.heads, -1).transpose(1, 2)
        k, v = self.key_value(context_BCD).view(B, -1, 2, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(x.transpose(1, 2).reshape(B, Q, D))
