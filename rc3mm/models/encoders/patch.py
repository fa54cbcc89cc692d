"""The patch encoder: any Vision Transformer of `timm`, by name."""

from typing import Any

import timm
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from rc3mm.registry import MODELS
from rc3mm.utils.checkpoint import load_state_dict, read_checkpoint

__all__ = ['PatchEncoder']


@MODELS.register_module()
class PatchEncoder(BaseModule):
    """Image -> patch tokens in the width of the fusion head, with the form embedding added.

    Args:
        model_name: name of a timm model that yields a token sequence (`vit_base_patch16_224`).
        width: D, of the tokens handed on.
        pretrained: load timm's published weights.
        checkpoint: a local weight file instead (`.safetensors` or `.pth`).
        gradient_checkpointing: recompute activations in the backward pass.
        **kwargs: passed on to `timm.create_model` (`img_size`, `patch_size`, `embed_dim`, `depth`, ...).

    Raises:
        ValueError: the model does not yield a token sequence.
        FileNotFoundError: published weights were asked for and can be neither found nor fetched.
    """

    def __init__(
        self,
        model_name: str,
        width: int,
        pretrained: bool = False,
        checkpoint: str | None = None,
        gradient_checkpointing: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        try:
            self.model = timm.create_model(model_name, pretrained=pretrained, num_classes=0, **kwargs)
        except (OSError, RuntimeError) as error:
            if not pretrained:
                raise
            raise FileNotFoundError(
                f'the weights of timm\'s "{model_name}" could not be fetched. Download them where there is a network '
                f'and set `patch_encoder.checkpoint` to the file. ({str(error).splitlines()[0]})'
            ) from error
        if not hasattr(self.model, 'patch_embed') or not hasattr(self.model, 'num_prefix_tokens'):
            raise ValueError(f'{model_name} is no Vision Transformer of timm; PatchEncoder needs a token sequence')
        if checkpoint:
            load_state_dict(self.model, read_checkpoint(checkpoint)['state_dict'])
        self.has_learnt = pretrained or checkpoint is not None
        self.model.set_grad_checkpointing(gradient_checkpointing)
        self.projection = nn.Linear(self.model.num_features, width)
        self.norm = nn.LayerNorm(width)
        self.form_embedding = nn.Parameter(torch.randn(width) * 0.02)

    def init_weights(self) -> None:
        """As MMEngine calls it before training; what was loaded stays, which timm's own initialisation would undo."""
        if not self.has_learnt:
            super().init_weights()

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Encode normalised images.

        Args:
            image_B3HW: float images, normalised.

        Returns:
            Patch tokens with the model's prefix tokens first, shape (B, V, D).
        """
        tokens_BVE = self.model.forward_features(image_B3HW)
        return self.norm(self.projection(tokens_BVE) + self.form_embedding)
