"""The fusion head: text tokens attend to themselves and to the visual tokens.

Shapes: B images, P texts an image, N = B x P texts, T text tokens, K text tokens that are no padding, V visual tokens,
D width, H heads, d = D / H.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rc3mm.models.layers import Attention, KeysValues, Layout
from rc3mm.registry import MODELS

__all__ = ['FusionEncoder', 'VisualMemory']


@dataclass(frozen=True)
class VisualMemory:
    """Visual tokens, ready for every layer's cross-attention, whatever the number of texts that look at them.

    Attributes:
        keys_values: of each layer, (B, H, V, d) each.
    """

    keys_values: tuple[KeysValues, ...]

    def select(self, rows_M: Tensor) -> 'VisualMemory':
        """That of images by number, repeats allowed."""
        return VisualMemory(
            tuple((keys.index_select(0, rows_M), values.index_select(0, rows_M)) for keys, values in self.keys_values)
        )

    def append(self, other: 'VisualMemory', kept: int) -> 'VisualMemory':
        """The first `kept` tokens of each image, and behind them another memory's of the same images."""
        return VisualMemory(
            tuple(
                (torch.cat([keys[:, :, :kept], more_keys], 2), torch.cat([values[:, :, :kept], more_values], 2))
                for (keys, values), (more_keys, more_values) in zip(self.keys_values, other.keys_values, strict=True)
            )
        )


@dataclass(frozen=True)
class Asked:
    """Tokens whose states are wanted.

    Attributes:
        layout: where they stand, in rows of their own.
        tokens_W: their numbers among the packed tokens; None for all.
    """

    layout: Layout
    tokens_W: Tensor | None = None

    def select(self, x_KD: Tensor) -> Tensor:
        """Theirs, of what all packed tokens have."""
        return x_KD if self.tokens_W is None else x_KD.index_select(0, self.tokens_W)


class FusionLayer(nn.Module):
    """Pre-norm block: self-attention over the text, cross-attention to the image, feed-forward.

    Args:
        width: D.
        heads: attention heads.
        mlp_ratio: hidden width of the feed-forward part over D.
        dropout: on the output of each part.
    """

    called_beside_forward = ('read_visual',)  # for who puts sharded parameters together

    def __init__(self, width: int, heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.self_norm, self.self_attention = nn.LayerNorm(width), Attention(width, heads)
        self.cross_norm, self.cross_attention = nn.LayerNorm(width), Attention(width, heads)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def read_visual(self, visual_BVD: Tensor) -> KeysValues:
        """Keys and values of visual tokens, (B, H, V, d) each."""
        return self.cross_attention.keys_values(visual_BVD)

    def forward(
        self,
        x_KD: Tensor,
        layout: Layout,
        text_mask_N11T: Tensor,
        visual: KeysValues,
        visual_mask_BPV: Tensor,
        asked: Asked,
    ) -> Tensor:
        """One layer; the states of the tokens that are asked for, (W, D).

        Args:
            x_KD: states of the packed tokens.
            layout: where they stand.
            text_mask_N11T: see `FusionEncoder.forward`.
            visual: keys and values of the images.
            visual_mask_BPV: see `FusionEncoder.forward`.
            asked: tokens that the next layer, or the caller, needs.
        """
        context = self.self_norm(x_KD)
        attention = self.self_attention
        keys_values = attention.split_keys_values(layout.pad(attention.key_value(context)))
        queries = asked.layout.pad(attention.query(asked.select(context)))
        x = asked.select(x_KD)
        x = x + self.dropout(attention.out(asked.layout.pack(attention.mix(queries, keys_values, text_mask_N11T))))
        # All texts of an image attend to it in one call, so its keys and values are held once.
        attention = self.cross_attention
        queries = asked.layout.pad(attention.query(self.cross_norm(x)))
        B, P, _ = visual_mask_BPV.shape
        Q = asked.layout.width
        mask = visual_mask_BPV.repeat_interleave(Q, dim=1).unsqueeze(1)
        seen = attention.mix(queries.view(B, P * Q, -1), visual, mask).view(B * P, Q, -1)
        x = x + self.dropout(attention.out(asked.layout.pack(seen)))
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
        self.layers: Any = nn.ModuleList(FusionLayer(width, heads, mlp_ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.gradient_checkpointing = gradient_checkpointing

    def read_visual(self, visual_BVD: Tensor) -> VisualMemory:
        """Keys and values of visual tokens, for as many calls as are made with them."""
        return VisualMemory(tuple(layer.read_visual(visual_BVD) for layer in self.layers))

    def forward(
        self,
        text_BPTE: Tensor,
        text_mask_BPT: Tensor,
        visual: Tensor | VisualMemory,
        visual_mask_BPV: Tensor,
        pooled: bool = False,
        queries_BPQD: Tensor | None = None,
        query_mask_BPQ: Tensor | None = None,
        lengths: Sequence[int] | None = None,
        at: tuple[Tensor, Sequence[int]] | None = None,
    ) -> Tensor:
        """Fuse.

        Args:
            text_BPTE: states of the text encoder for P texts of each image.
            text_mask_BPT: boolean, True at real tokens; the first token of each text is real.
            visual: visual tokens (B, V, D), or what `read_visual` made of them; held once an image and shared by its
                texts.
            visual_mask_BPV: boolean, the visual tokens that each text may see (its visual form).
            pooled: return the first token alone; the last layer then computes nothing else.
            queries_BPQD: further tokens behind the text's, such as masked regions to be predicted.
            query_mask_BPQ: boolean, True at real ones; needed with `queries_BPQD`.
            lengths: real tokens of each of the N texts; with them nothing is computed on padding. Not with queries.
            at: the places of the tokens that are wanted, (W,), ascending in the flattened (N, T), and how many of them
                each text has; the last layer then computes nothing else. Not with `pooled` or queries.

        Returns:
            Shape (B, P, T, D), or (B, P, T + Q, D) with queries, or (B, P, D) if `pooled`: h(i, t), the
            visio-textual representation; or (W, D) with `at`. What stands at padding means nothing.
        """
        x: Tensor = self.text_projection(text_BPTE)
        if queries_BPQD is not None and query_mask_BPQ is not None:
            x = torch.cat([x, queries_BPQD], 2)
            text_mask_BPT = torch.cat([text_mask_BPT, query_mask_BPQ], 2)
            lengths = None
        B, P, T, D = x.shape
        N = B * P
        memory = visual if isinstance(visual, VisualMemory) else self.read_visual(visual)
        layout = Layout(N, T) if lengths is None else Layout.of_lengths(lengths, T, x.device)
        everything = Asked(layout)
        if pooled:
            first = torch.arange(N, device=x.device) * T
            last = Asked(Layout(N, 1), layout.packed_places(first))
        elif at is not None:
            last = Asked(Layout.of_lengths(at[1], max(*at[1], 1), x.device), layout.packed_places(at[0]))
        else:
            last = everything
        mask_N11T = text_mask_BPT.reshape(N, 1, 1, T)
        x = layout.pack(x.reshape(N, T, D))
        for number, (layer, keys_values) in enumerate(zip(self.layers, memory.keys_values, strict=True)):
            asked = last if number == len(self.layers) - 1 else everything
            arguments = (x, layout, mask_N11T, keys_values, visual_mask_BPV, asked)
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                x = layer(*arguments)
        x = self.norm(x)
        if at is not None:
            return x
        return x.view(B, P, D) if pooled else layout.pad(x).view(B, P, T, D)
