"""What models that write or judge text have in common: a decoder over the fused states, and its words.

Shapes: B items, G strings an item, T text tokens, V visual tokens, L tokens, K tokens to be told, C candidates, D
fusion width.
"""

from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from rc3mm.datasets.tokenizers import load_tokenizer
from rc3mm.models.backbones import VisionLanguageModel
from rc3mm.models.encoders.text_decoder import DecoderCache, DecoderMemory
from rc3mm.models.layers import MaskedLMHead
from rc3mm.models.layers.decoding import sequence_log_likelihood
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VisualTokens
from rc3mm.utils.dist import all_reduce_sum, rank_and_world_size

__all__ = ['TextDecodingModel']


class TextDecodingModel(VisionLanguageModel):
    """A text decoder over the fused states of a text, which have seen the image; a base of tasks.

    The visual tokens themselves are not shown to it, as in ALBEF and CCLM: the decoder's cross-attention starts as the
    fusion head's, which has learnt to read them, and it would name what is in the image in any order, whatever the text
    says. Words are embedded and told by the text encoder's embeddings, through the head of masked language modelling.

    When weights without a decoder are loaded, such as those of a pre-trained `RC3`, the decoder's layers start from the
    fusion head's, see `TextDecoder.copy_from_fusion`; the log says what was copied.

    Args:
        decoder: config of the decoder; its widths are set here, heads and `mlp_ratio` must be the fusion head's.
        tokenizer: of all texts, see `load_tokenizer`.
        **backbone: see `VisionLanguageModel`.

    Raises:
        ValueError: a tokenizer without an end token or with more words than the text encoder.
    """

    def __init__(self, decoder: dict, tokenizer: str, **backbone: Any) -> None:
        super().__init__(**backbone)
        embeddings_VE, width = self.text_encoder.word_embeddings, self.fusion.width
        decoder = {'width': width, 'embedding_width': embeddings_VE.shape[1], 'memory_width': width, **decoder}
        self.decoder: Any = MODELS.build(decoder)
        self.lm_head = MaskedLMHead(self.decoder.width, embeddings_VE.shape[1], len(embeddings_VE))
        self.tokenizer = load_tokenizer(tokenizer)
        if self.tokenizer.sep_token_id is None:
            raise ValueError(f'the tokenizer "{tokenizer}" has no end token (`sep_token`)')
        if len(self.tokenizer) > self.text_encoder.vocab_size:
            raise ValueError(
                f'the tokenizer "{tokenizer}" has {len(self.tokenizer)} words, the text encoder '
                f'{self.text_encoder.vocab_size}; give both the same vocabulary'
            )
        self.register_load_state_dict_post_hook(_start_decoder)

    def fused_memory(
        self, states_BTD: Tensor, mask_BT: Tensor, visual: VisualTokens | None, form: VisualForm
    ) -> tuple[Tensor, Tensor]:
        """What the decoder looks at, (B, T, D), and its mask, (B, T).

        Args:
            states_BTD: of the text encoder, one text an item.
            mask_BT: of the texts.
            visual: one image an item; None for none at all.
            form: how the images are seen.

        Raises:
            ValueError: items with several texts or images.
        """
        if visual is None:
            tokens_BVD = states_BTD.new_zeros(len(states_BTD), 0, self.fusion.width)
            visible_BV = mask_BT[:, :0]
        else:
            tokens_BVD, visible_BV = visual.tokens_BVD, visual.visible_BV(form)
            if len(tokens_BVD) != len(states_BTD):
                raise ValueError(
                    f'{type(self).__name__} takes one text and one image an item, got {len(states_BTD)} texts and '
                    f'{len(tokens_BVD)} images'
                )
        return self.fusion(states_BTD[:, None], mask_BT[:, None], tokens_BVD, visible_BV[:, None])[:, 0], mask_BT

    def read(self, ids_BGL: Tensor, memory: DecoderMemory, cache: DecoderCache | None = None) -> Tensor:
        """States of the decoder, (B, G, L, D), see `TextDecoder.forward`."""
        return self.decoder(ids_BGL, self.text_encoder.word_embeddings, memory, cache)

    def lm_logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary, (..., D) -> (..., vocabulary)."""
        return self.lm_head(hidden, self.text_encoder.word_embeddings)

    def teacher_forcing(self, ids_BL: Tensor, told_Bl: Tensor, memory: DecoderMemory) -> tuple[Tensor, Tensor]:
        """Logits of chosen tokens, (K, vocabulary), each told from the right ones before it, and these tokens, (K,).

        Args:
            ids_BL: one string an item, the start token first.
            told_Bl: boolean, (B, L - 1), which of the tokens behind the first are to be told.
            memory: of the items.
        """
        logits_KV = self.lm_logits(self.read(ids_BL[:, None, :-1], memory)[:, 0][told_Bl]).float()
        return logits_KV, ids_BL[:, 1:][told_Bl]

    def likelihoods(self, memory: DecoderMemory, ids_BCL: Tensor, mask_BCL: Tensor) -> Tensor:
        """Log probability of C strings for each item, (B, C), see `sequence_log_likelihood`."""
        return sequence_log_likelihood(lambda ids: self.read(ids, memory), self.lm_logits, ids_BCL, mask_BCL)

    @staticmethod
    def mean_of_global_batch(total: Tensor, count: Tensor) -> Tensor:
        """A sum over what this process counts -> its part in the mean over all processes.

        The mean of all processes' parts, which is what gradients are averaged to, is the mean over the global batch.
        """
        return total / all_reduce_sum(count.float()).clamp(min=1) * rank_and_world_size()[1]


def _start_decoder(model: torch.nn.Module, incompatible: Any) -> None:
    """After weights were loaded: if they had a fusion head and no decoder, copy the one into the other."""
    assert isinstance(model, TextDecodingModel)
    missing = set(incompatible.missing_keys)
    names = {f'decoder.{name}' for name in model.decoder.state_dict()}
    if not names <= missing or any(name.startswith('fusion.') for name in missing):
        return
    report = model.decoder.copy_from_fusion(model.fusion)
    copied = {f'decoder.{name}' for name in report.copied}
    # in place: the caller says what is left as missing
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if name not in copied]
    fresh = ', '.join(f'{name} ({why})' for name, why in report.fresh.items())
    print_log(f'the decoder starts from the fusion head ({len(copied)} tensors); fresh: {fresh}', logger='current')
