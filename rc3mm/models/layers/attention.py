"""Scaled-dot-product attention over PyTorch's fused kernels, for self- and cross-attention alike."""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['Attention', 'KeysValues']

KeysValues = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Multi-head attention from a query sequence to a context sequence.

    `forward` is `keys_values`, then `attend`; who asks one context several times computes its keys and values once.

    Args:
        width: D, of queries, context and output.
        heads: number of heads H, of width d = D / H; must divide `width`.

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

    def keys_values(self, context_BCD: Tensor) -> KeysValues:
        """Keys and values of a context, (B, H, C, d) each."""
        return self.split_keys_values(self.key_value(context_BCD))

    def split_keys_values(self, projected_BCE: Tensor) -> KeysValues:
        """What `key_value` made of a context, (B, C, 2 D), by heads: keys and values, (B, H, C, d) each."""
        B, C, E = projected_BCE.shape
        keys, values = projected_BCE.view(B, C, 2, self.heads, E // 2 // self.heads).permute(2, 0, 3, 1, 4)
        return keys, values

    def attend(self, query_BQD: Tensor, keys_values: KeysValues, mask: Tensor | None = None) -> Tensor:
        """As `forward`, with keys and values at hand."""
        return self.out(self.mix(self.query(query_BQD), keys_values, mask))

    def mix(self, query_BQD: Tensor, keys_values: KeysValues, mask: Tensor | None) -> Tensor:
        """Values mixed by attention, (B, Q, D), for queries that are projected already; `out` is still to come."""
        B, Q, D = query_BQD.shape
        query_BHQd = query_BQD.view(B, Q, self.heads, D // self.heads).transpose(1, 2)
        x_BHQd = F.scaled_dot_product_attention(query_BHQd, *keys_values, attn_mask=mask)
        return x_BHQd.transpose(1, 2).reshape(B, Q, D)

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
        return self.attend(query_BQD, self.keys_values(context_BCD), mask)
