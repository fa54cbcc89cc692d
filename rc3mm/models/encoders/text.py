"""The text encoder: any encoder of `transformers`, by name, local folder or configuration."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor
from transformers import AutoConfig, AutoModel

from rc3mm.models.layers import WordTie, by_length_groups
from rc3mm.registry import MODELS

__all__ = ['TextEncoder']


@MODELS.register_module()
class TextEncoder(BaseModule):
    """A multilingual encoder such as XLM-R (Conneau et al. 2020).

    Give either `pretrained` or `config`; with both, the weights are loaded and the configuration entries override.

    Args:
        pretrained: a hub name (`xlm-roberta-base`) or a local folder in Hugging Face format.
        config: entries of the `transformers` configuration; `model_type` defaults to `xlm-roberta`.
        gradient_checkpointing: recompute activations in the backward pass.
        length_groups: encode the rows of a batch in so many groups of like lengths, each padded to its own longest
            row; 1 for all at once.
        position_shift: in training, all tokens of a text but the first move so many positions to the right at most,
            at random (after SHAPE, Kiyono et al. 2021). A model with absolute positions else learns how far from the
            beginning a word stands, which the same sentence in another language does not keep to.

    Raises:
        ValueError: neither `pretrained` nor `config` is given, `length_groups` is below 1, or `position_shift` is below
            0 or asked of an encoder without absolute positions.
        FileNotFoundError: the weights can be neither found locally nor fetched.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        config: dict[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        length_groups: int = 1,
        position_shift: int = 0,
    ) -> None:
        super().__init__()
        if length_groups < 1:
            raise ValueError(f'length_groups must be at least 1, got {length_groups}')
        self.length_groups = length_groups
        if pretrained is None and config is None:
            raise ValueError('TextEncoder needs `pretrained` (a name or a local folder) or `config` (to start afresh)')
        self.model: Any = self._load(pretrained, config or {}) if pretrained else self._build(dict(config or {}))
        model: Any = self.model
        if getattr(model, 'pooler', None) is not None:
            model.pooler = None  # never used here, and its parameters would never learn
        if position_shift < 0 or (position_shift and not hasattr(model, 'embeddings')):
            raise ValueError(f'position_shift {position_shift} must be 0 or more, and 0 for {type(model).__name__}')
        self.position_shift = position_shift
        if gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={'use_reentrant': False})

    @staticmethod
    def _build(config: dict[str, Any]) -> torch.nn.Module:
        model_type = config.pop('model_type', 'xlm-roberta')
        return AutoModel.from_config(AutoConfig.for_model(model_type, **config))

    @staticmethod
    def _load(pretrained: str, config: dict[str, Any]) -> torch.nn.Module:
        try:
            return AutoModel.from_pretrained(pretrained, **config)
        except (OSError, ValueError) as error:
            raise FileNotFoundError(
                f'the text encoder "{pretrained}" could be neither found on this disk nor fetched. Download it where '
                f'there is a network (`hf download {pretrained} --local-dir weights/text`) and set '
                f'`text_encoder.pretrained` to that folder. ({str(error).splitlines()[0]})'
            ) from error

    @property
    def width(self) -> int:
        """D, the width of the hidden states."""
        return self.model.config.hidden_size

    @property
    def vocab_size(self) -> int:
        """Rows of the word embedding."""
        return self.word_embeddings.shape[0]

    @property
    def word_embeddings(self) -> Tensor:
        """The word embedding matrix, shape (vocabulary, embedding width), to tie an output layer to."""
        return self.model.get_input_embeddings().weight

    def forward(
        self, ids_MT: Tensor, mask_MT: Tensor, lengths: Sequence[int] | None = None, tie: WordTie | None = None
    ) -> Tensor:
        """Encode token ids.

        Args:
            ids_MT: token ids.
            mask_MT: boolean, True at real tokens.
            lengths: real tokens of each row, as the collate function counts them; without them, all rows are encoded
                at once, since asking the mask would make a GPU wait.
            tie: to an output layer of the same words in the same step, or None.

        Returns:
            Hidden states of the last layer, shape (M, T, D); what stands at padding means nothing.
        """
        if tie is None and (lengths is None or self.length_groups == 1):
            return self._encode(mask_MT, input_ids=ids_MT)
        # looked up once, not by group: each lookup has a gradient of the size of the whole vocabulary
        words_MTE = (tie or WordTie()).look_up(ids_MT, self.model.get_input_embeddings())
        if lengths is None or self.length_groups == 1:
            return self._encode(mask_MT, inputs_embeds=words_MTE)
        return by_length_groups(
            lambda words, mask: self._encode(mask, inputs_embeds=words), words_MTE, mask_MT, lengths, self.length_groups
        )

    def _encode(self, mask_MT: Tensor, **words: Tensor) -> Tensor:
        positions = self._shifted_positions(mask_MT) if self.training and self.position_shift else None
        return self.model(attention_mask=mask_MT.long(), position_ids=positions, **words).last_hidden_state

    def _shifted_positions(self, mask_MT: Tensor) -> Tensor:
        embeddings = self.model.embeddings
        M, T = mask_MT.shape
        counts_behind_padding = hasattr(embeddings, 'create_position_ids_from_input_ids')  # RoBERTa and its kin
        first = embeddings.padding_idx + 1 if counts_behind_padding else 0
        room = max(self.model.config.max_position_embeddings - first - T, 0)
        shift_M1 = torch.randint(min(self.position_shift, room) + 1, (M, 1), device=mask_MT.device)
        place_T = torch.arange(T, device=mask_MT.device)
        return first + place_T + shift_M1 * (place_T > 0)
