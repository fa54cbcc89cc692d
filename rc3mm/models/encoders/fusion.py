"""The fusion head: text tokens attend to themselves and to the visual tokens."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rc3mm.models.layers import Attention
from rc3mm.registry import MODELS

__all__ = ['FusionEncoder']


class FusionLayer(nn.Module):
    """Pre-norm block: self-attention over the text, cross-attention to the image, feed-forward.

    Args:
        width: D.
        heads: attention heads.
        mlp_ratio: hidden width of the feed-forward part over D.
        dropout: on the output of each part.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.self_norm, self.self_attention = nn.LayerNorm(width), Attention(width, heads)
        self.cross_norm, self.cross_attention = nn.LayerNorm(width), Attention(width, heads)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_BPTD: Tensor,
        text_mask_BPT: Tensor,
        visual_BVD: Tensor,
        visual_mask_BPV: Tensor,
        first_only: bool,
    ) -> Tensor:
        """One layer; see `FusionEncoder.forward`. With `first_only`, only the first text token is computed."""
        B, P, T, D = x_BPTD.shape
        context = self.self_norm(x_BPTD).view(B * P, T, D)
        Q = 1 if first_only else T
        x = x_BPTD.reshape(B * P, T, D)[:, :Q]
        x = x + self.dropout(self.self_attention(context[:, :Q], context, text_mask_BPT.reshape(B * P, 1, 1, T)))
        # All texts of an image attend to it in one call, so its keys and values are computed and held once.
        x = x.view(B, P * Q, D)
        mask = visual_mask_BPV.repeat_interleave(Q, dim=1).unsqueeze(1)
        x = x + self.dropout(self.cross_attention(self.cross_norm(x), visual_BVD, mask))
        x = x.view(B, P, Q, D)
        return x + self.dropout(self.mlp(x))


@MODELS.register_module()
class FusionEncoder(BaseModule):
    """Text tokens of P texts an image -> states that have seen the image.

    Args:
        width: D, of visual tokens and states.
        depth: number of layers.
        heads: attention heads.
        text_width: width of the text encoder's states; projected where it differs from `width`.
        mlp_ratio: hidden width of the feed-forward parts over D.
        dropout: on the output of each part.
        gradient_checkpointing: recompute activations in the backward pass.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        text_width: int | None = None,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        text_width = text_width or width
        self.text_projection = nn.Identity() if text_width == width else nn.Linear(text_width, width)
        self.layers = nn.ModuleList(FusionLayer(width, heads, mlp_ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.gradient_checkpointing = gradient_checkpointing

    def forward(
        self,
        text_BPTE: Tensor,
        text_mask_BPT: Tensor,
        visual_BVD: Tensor,
        visual_mask_BPV: Tensor,
        pooled: bool = False,
        queries_BPQD: Tensor | None = None,
        query_mask_BPQ: Tensor | None = None,
    ) -> Tensor:
        """Fuse.

        Args:
            text_BPTE: states of the text encoder for P texts of each image.
            text_mask_BPT: boolean, True at real tokens; the first token of each text is real.
            visual_BVD: visual tokens, held once an image and shared by its texts.
            visual_mask_BPV: boolean, the visual tokens that each text may see (its visual form).
            pooled: return the first token alone; the last layer then computes nothing else.
            queries_BPQD: further tokens behind the text's, such as masked regions to be predicted.
            query_mask_BPQ: boolean, True at real ones; needed with `queries_BPQD`.

        Returns:
            Shape (B, P, T, D), or (B, P, T + Q, D) with queries, or (B, P, D) if `pooled`: h(i, t), the
            visio-textual representation.
        """
        x: Tensor = self.text_projection(text_BPTE)
        if queries_BPQD is not None and query_mask_BPQ is not None:
            x = torch.cat([x, queries_BPQD], 2)
            text_mask_BPT = torch.cat([text_mask_BPT, query_mask_BPQ], 2)
        for number, layer in enumerate(self.layers):
            first_only = pooled and number == len(self.layers) - 1
            arguments = (x, text_mask_BPT, visual_BVD, visual_mask_BPV, first_only)
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                x = layer(*arguments)
        x = self.norm(x)
        return x[:, :, 0] if pooled else x
