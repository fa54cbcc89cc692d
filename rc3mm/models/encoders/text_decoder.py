"""The text decoder: writes token by token, with an eye on a memory.

Shapes: B items, G strings an item (beams or candidates), L new tokens, A tokens read before, S memory tokens, D width,
E embedding width, H heads, d = D / H.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from rc3mm.models.encoders.fusion import FusionEncoder
from rc3mm.models.layers import Attention, KeysValues
from rc3mm.registry import MODELS

__all__ = ['CopyReport', 'DecoderCache', 'DecoderMemory', 'TextDecoder']


@dataclass(frozen=True)
class DecoderMemory:
    """What is attended to, ready for every layer; computed and held once an item, whatever the number of strings.

    Attributes:
        keys_values: of each layer, (B, H, S, d) each.
        mask_B11S: boolean, True where attention is allowed.
    """

    keys_values: tuple[KeysValues, ...]
    mask_B11S: Tensor


@dataclass
class DecoderCache:
    """Keys and values of the tokens that B x G strings have read so far; `TextDecoder.forward` adds to it.

    Attributes:
        keys_values: of each layer, (B, G, H, A, d) each; empty before the first token.
    """

    keys_values: list[KeysValues] = field(default_factory=list)

    @property
    def length(self) -> int:
        """A, the number of tokens read."""
        return self.keys_values[0][0].shape[3] if self.keys_values else 0

    def select(self, parents_BG: Tensor) -> None:
        """Go on from other strings of the same items: string g of item b from string `parents_BG[b, g]`."""
        rows_B1 = torch.arange(len(parents_BG), device=parents_BG.device)[:, None]
        self.keys_values = [
            (keys[rows_B1, parents_BG], values[rows_B1, parents_BG]) for keys, values in self.keys_values
        ]


class CopyReport(NamedTuple):
    """What a decoder took over from a fusion head.

    Attributes:
        copied: names of the decoder's parameters.
        fresh: name -> why it was not copied.
        unused: names of the fusion head's parameters that have no place in the decoder.
    """

    copied: tuple[str, ...]
    fresh: dict[str, str]
    unused: tuple[str, ...]


class DecoderLayer(nn.Module):
    """Pre-norm block with the parameters of a `FusionLayer`: causal self-attention, cross-attention, feed-forward.

    Args:
        width: D.
        heads: H.
        mlp_ratio: hidden width of the feed-forward part over D.
        dropout: on the output of each part.
    """

    called_beside_forward = ('read_memory',)  # for who puts sharded parameters together

    def __init__(self, width: int, heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.self_norm, self.self_attention = nn.LayerNorm(width), Attention(width, heads)
        self.cross_norm, self.cross_attention = nn.LayerNorm(width), Attention(width, heads)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def read_memory(self, memory_BSD: Tensor) -> KeysValues:
        """Keys and values of a memory, (B, H, S, d) each."""
        return self.cross_attention.keys_values(memory_BSD)

    def forward(
        self, x_BGLD: Tensor, past: KeysValues | None, causal_LT: Tensor | None, memory: KeysValues, mask_B11S: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """One layer.

        Args:
            x_BGLD: states of the new tokens.
            past: keys and values of the tokens before them, (B, G, H, A, d) each.
            causal_LT: boolean, which of the T = A + L tokens each may see; None for all.
            memory: keys and values of the memory.
            mask_B11S: see `DecoderMemory`.

        Returns:
            The states, and keys and values of all T tokens.
        """
        B, G, L, D = x_BGLD.shape
        x = x_BGLD.reshape(B * G, L, D)
        context = self.self_norm(x)
        keys, values = (part.unflatten(0, (B, G)) for part in self.self_attention.keys_values(context))
        if past is not None:
            keys, values = torch.cat([past[0], keys], 3), torch.cat([past[1], values], 3)
        seen = keys.flatten(0, 1), values.flatten(0, 1)
        x = x + self.dropout(self.self_attention.attend(context, seen, causal_LT))
        # All strings of an item ask its memory in one call, so that its keys and values are not repeated.
        x = x.view(B, G * L, D)
        x = x + self.dropout(self.cross_attention.attend(self.cross_norm(x), memory, mask_B11S))
        x = x + self.dropout(self.mlp(x))
        return x.view(B, G, L, D), (keys, values)


@MODELS.register_module()
class TextDecoder(BaseModule):
    """Token ids and a memory -> states that tell the next token.

    Words are embedded by a matrix that the caller hands in (the text encoder's, which the output layer is tied to as
    well: Press and Wolf 2017); positions are learned. The layers have the parameters of the fusion head's.

    Args:
        width: D.
        depth: number of layers.
        heads: H.
        mlp_ratio: hidden width of the feed-forward parts over D.
        dropout: on the input and on the output of each part.
        embedding_width: E; projected where it differs from `width`.
        memory_width: width of the memory; projected where it differs from `width`.
        max_positions: most tokens of a string, start and end token included.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        embedding_width: int | None = None,
        memory_width: int | None = None,
        max_positions: int = 128,
    ) -> None:
        super().__init__()
        self.width, self.heads, self.max_positions = width, heads, max_positions
        self.embedding_projection = _projection(embedding_width or width, width)
        self.memory_projection = _projection(memory_width or width, width)
        self.positions = nn.Parameter(torch.randn(max_positions, width) * 0.02)
        # The layers of a fusion head are used to normalised states of a text encoder.
        self.input_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers: Any = nn.ModuleList(DecoderLayer(width, heads, mlp_ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def read_memory(self, memory_BSM: Tensor, mask_BS: Tensor) -> DecoderMemory:
        """Keys and values of a memory, for as many calls as are made with it.

        Args:
            memory_BSM: what is attended to.
            mask_BS: boolean, True at real tokens; at least one of each item.
        """
        memory_BSD = self.memory_projection(memory_BSM)
        layers = (layer.read_memory(memory_BSD) for layer in self.layers)
        return DecoderMemory(tuple(layers), mask_BS[:, None, None])

    def forward(
        self, ids_BGL: Tensor, word_embeddings_VE: Tensor, memory: DecoderMemory, cache: DecoderCache | None = None
    ) -> Tensor:
        """Read on.

        No mask of the tokens is needed: padding comes behind the real ones, which never look ahead.

        Args:
            ids_BGL: token ids of G strings an item; those after the tokens in `cache`, where that is given.
            word_embeddings_VE: the word embedding matrix.
            memory: of B items.
            cache: of earlier tokens; the new ones are added to it.

        Returns:
            Shape (B, G, L, D); the state of a token tells the one after it.

        Raises:
            ValueError: more tokens than there are positions.
        """
        L, before = ids_BGL.shape[2], cache.length if cache else 0
        if before + L > self.max_positions:
            raise ValueError(
                f'{before + L} tokens for a decoder of {self.max_positions} positions; raise `max_positions`, or cut '
                'the targets (`max_length` of their transform)'
            )
        x = self.embedding_projection(F.embedding(ids_BGL, word_embeddings_VE))
        x = self.dropout(self.input_norm(x + self.positions[before : before + L]))
        ones = torch.ones(L, before + L, dtype=torch.bool, device=x.device)
        causal_LT = ones.tril(before) if L > 1 else None
        pasts = cache.keys_values if cache and cache.keys_values else [None] * len(self.layers)
        seen = []
        for layer, past, keys_values in zip(self.layers, pasts, memory.keys_values, strict=True):
            x, now = layer(x, past, causal_LT, keys_values, memory.mask_B11S)
            seen.append(now)
        if cache is not None:
            cache.keys_values = seen
        return self.norm(x)

    @torch.no_grad()
    def copy_from_fusion(self, fusion: FusionEncoder) -> CopyReport:
        """Start from a fusion head's layers, first to first, and its last normalisation.

        The feed-forward parts, norms and both attentions are copied wherever name and shape agree; nothing of a fusion
        head can stand for positions, input and projections.

        Raises:
            ValueError: another width, or another number of heads, with which the same weights would mean another thing.
        """
        theirs = {name: value for name, value in fusion.state_dict().items() if name.startswith(('layers.', 'norm.'))}
        layers: Any = fusion.layers
        heads = {layer.self_attention.heads for layer in layers} or {self.heads}
        if fusion.width != self.width or heads != {self.heads}:
            raise ValueError(
                f'the decoder has width {self.width} and {self.heads} heads, the fusion head width {fusion.width} and '
                f'{sorted(heads)}; make them equal to copy one into the other'
            )
        copied, fresh = [], {}
        for name, value in self.state_dict().items():
            if name not in theirs:
                fresh[name] = 'no counterpart'
            elif theirs[name].shape != value.shape:
                fresh[name] = f'shape {tuple(value.shape)}, there {tuple(theirs[name].shape)}'
            else:
                value.copy_(theirs[name])
                copied.append(name)
        unused = tuple(name for name in fusion.state_dict() if name not in copied)
        return CopyReport(tuple(copied), fresh, unused)


def _projection(width: int, to: int) -> nn.Module:
    return nn.Identity() if width == to else nn.Linear(width, to)
