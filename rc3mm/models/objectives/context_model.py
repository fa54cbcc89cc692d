"""What the views of a batch need of a model.

Shapes: B images, R regions, F feature width, M texts, T text tokens, D fusion width, E embedding width, K positions.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from rc3mm.models.layers import WordTie
from rc3mm.structures import VisualForm, VisualTokens

__all__ = ['ContextModel']


class ContextModel(Protocol):
    """What a context needs of a model; `RC3` provides it."""

    text_encoder: nn.Module
    fusion: Any
    tau_towers: Callable[[], Tensor]
    tau_fused: Callable[[], Tensor]
    pad_id: int
    same_calls: bool

    def find_regions(self, inputs: dict[str, Any]) -> None: ...

    def encode_visual(self, inputs: dict[str, Any], forms: Sequence[VisualForm]) -> VisualTokens: ...

    def embed_image(self, visual: VisualTokens, form: VisualForm) -> Tensor: ...

    def embed_regions(self, features_BRF: Tensor, boxes_BR4: Tensor) -> Tensor: ...

    def embed_text(self, states_MTD: Tensor, mask_MT: Tensor) -> Tensor: ...

    def embed_fused(self, hidden: Tensor) -> Tensor: ...

    def word_loss(
        self, hidden_KD: Tensor, labels_K: Tensor, fused: bool, tie: WordTie | None = None
    ) -> tuple[Tensor, Tensor]: ...
