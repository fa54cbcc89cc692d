"""Translation of a text with the help of its image.

Shapes: B items, T text tokens, V visual tokens, S memory tokens (T + V), L target tokens, C candidates, D fusion width.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

from rc3mm.datasets.tokenizers import load_tokenizer
from rc3mm.models.backbones import VisionLanguageModel
from rc3mm.models.encoders.text_decoder import DecoderCache, DecoderMemory
from rc3mm.models.layers import MaskedLMHead
from rc3mm.models.layers.decoding import Hypotheses, beam_search, sequence_log_likelihood
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VisualTokens, VLDataSample
from rc3mm.utils.dist import all_reduce_sum, rank_and_world_size

__all__ = ['IMAGES', 'VLTranslator']

IMAGES = ('right', 'wrong', 'none')


@MODELS.register_module()
class VLTranslator(VisionLanguageModel):
    """A text decoder over the fused states of the source text and, behind them, the visual tokens.

    The fused states have seen the image already. The visual tokens stand beside them because the decoder's
    cross-attention starts as the fusion head's, which has learnt to read them. Words are embedded and told by the text
    encoder's embeddings, through the head of masked language modelling.

    When weights without a decoder are loaded, such as those of a pre-trained `RC3`, the decoder's layers start from the
    fusion head's, see `TextDecoder.copy_from_fusion`; the log says what was copied.

    Args:
        decoder: config of the decoder; its widths are set here, heads and `mlp_ratio` must be the fusion head's.
        tokenizer: of source and targets, see `load_tokenizer`.
        label_smoothing: share of the target's probability that is spread over the vocabulary.
        start_tokens: how many tokens of a target are given: the start token, or that and a language's tag.
        search: arguments of `beam_search`: `beams`, `max_length`, `length_penalty`, `min_length`.
        image: what is seen beside the text: the `right` image, for controls the `wrong` one (of another item of the
            batch), or `none` (no visual token at all, no image encoder runs).
        **backbone: see `VisionLanguageModel`.

    Raises:
        ValueError: an unknown `image`, no start token, a search longer than the decoder's positions, or a tokenizer
            without an end token or with more words than the text encoder.
    """

    def __init__(
        self,
        decoder: dict,
        tokenizer: str,
        label_smoothing: float = 0.1,
        start_tokens: int = 1,
        search: dict[str, Any] | None = None,
        image: str = 'right',
        **backbone: Any,
    ) -> None:
        super().__init__(**backbone)
        embeddings_VE, width = self.text_encoder.word_embeddings, self.fusion.width
        decoder = {'width': width, 'embedding_width': embeddings_VE.shape[1], 'memory_width': width, **decoder}
        self.decoder: Any = MODELS.build(decoder)
        self.lm_head = MaskedLMHead(self.decoder.width, embeddings_VE.shape[1], len(embeddings_VE))
        self.tokenizer = load_tokenizer(tokenizer)
        self.label_smoothing, self.start_tokens = label_smoothing, start_tokens
        self.search: dict[str, Any] = {'max_length': self.decoder.max_positions - start_tokens, **(search or {})}
        self.image = _check_image(image)
        self._check(tokenizer)
        self.register_load_state_dict_post_hook(_start_decoder)

    def _check(self, tokenizer: str) -> None:
        if self.start_tokens < 1:
            raise ValueError(f'start_tokens must be at least 1, got {self.start_tokens}')
        # the end token is never read
        if self.start_tokens + self.search['max_length'] - 1 > self.decoder.max_positions:
            raise ValueError(
                f'{self.start_tokens} start tokens and search.max_length {self.search["max_length"]} need more than '
                f'the {self.decoder.max_positions} positions of the decoder; raise its `max_positions`'
            )
        if self.tokenizer.sep_token_id is None:
            raise ValueError(f'the tokenizer "{tokenizer}" has no end token (`sep_token`)')
        if len(self.tokenizer) > self.text_encoder.vocab_size:
            raise ValueError(
                f'the tokenizer "{tokenizer}" has {len(self.tokenizer)} words, the text encoder '
                f'{self.text_encoder.vocab_size}; give both the same vocabulary'
            )

    # -- what the decoder looks at, and what it says

    def encode(
        self, inputs: dict[str, Any], data_samples: Sequence[VLDataSample], form: VisualForm, image: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """The memory, (B, S, D), and its mask, (B, S).

        Args:
            inputs: one text and one image an item.
            data_samples: tell which images differ; needed for the `wrong` image alone.
            form: how the images are seen.
            image: `right`, `wrong` or `none`; the model's own, unless given.

        Raises:
            ValueError: an unknown `image`, items with several texts or images, or a batch of a single image, in which
                there is no wrong one.
        """
        image = self.image if image is None else _check_image(image)
        states_BTD = self.text_encoder(inputs['text_ids'], inputs['text_mask'], inputs.get('text_lengths'))
        mask_BT = inputs['text_mask']
        if image == 'none':
            tokens_BVD = states_BTD.new_zeros(len(states_BTD), 0, self.fusion.width)
            visible_BV = mask_BT[:, :0]
        else:
            visual = self.encode_visual(inputs, [form])
            if len(visual.tokens_BVD) != len(states_BTD):
                raise ValueError(
                    f'translation takes one text and one image an item, got {len(states_BTD)} texts and '
                    f'{len(visual.tokens_BVD)} images'
                )
            visual = _exchange(visual, data_samples) if image == 'wrong' else visual
            tokens_BVD, visible_BV = visual.tokens_BVD, visual.visible_BV(form)
        fused_BTD = self.fusion(states_BTD[:, None], mask_BT[:, None], tokens_BVD, visible_BV[:, None])[:, 0]
        return torch.cat([fused_BTD, tokens_BVD.to(fused_BTD.dtype)], 1), torch.cat([mask_BT, visible_BV], 1)

    def read(self, ids_BGL: Tensor, memory: DecoderMemory, cache: DecoderCache | None = None) -> Tensor:
        """States of the decoder, (B, G, L, D), see `TextDecoder.forward`."""
        return self.decoder(ids_BGL, self.text_encoder.word_embeddings, memory, cache)

    def lm_logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary, (..., D) -> (..., vocabulary)."""
        return self.lm_head(hidden, self.text_encoder.word_embeddings)

    # -- the modes of `forward`

    def losses(self, inputs: dict[str, Any], data_samples: list[VLDataSample]) -> dict[str, Tensor]:
        """`loss_translation`, label-smoothed (Szegedy et al. 2016), and `translation_acc`, both of teacher forcing.

        A mean over the target tokens of the global batch; start tokens, which are given, are no targets.
        """
        form = (self.sample_forms(inputs, 1) or [self.test_form])[0]
        memory = self.decoder.read_memory(*self.encode(inputs, data_samples, form))
        ids_BL = inputs['target_ids']
        real_BL = inputs['target_mask'][:, 1:].clone()
        real_BL[:, : self.start_tokens - 1] = False
        targets_K = ids_BL[:, 1:][real_BL]
        logits_KV = self.lm_logits(self.read(ids_BL[:, None, :-1], memory)[:, 0][real_BL]).float()
        count = all_reduce_sum(torch.tensor(float(len(targets_K)), device=ids_BL.device)).clamp(min=1)
        loss = F.cross_entropy(logits_KV, targets_K, reduction='sum', label_smoothing=self.label_smoothing)
        hits = (logits_KV.argmax(1) == targets_K).float().sum() / max(len(targets_K), 1)
        return {'loss_translation': loss / count * rank_and_world_size()[1], 'translation_acc': hits.detach()}

    def outputs(self, inputs: dict[str, Any], form: VisualForm) -> dict[str, Tensor]:
        """`memory` (B, S, D) and `memory_mask` (B, S)."""
        memory_BSD, mask_BS = self.encode(inputs, (), form)
        return {'memory': memory_BSD, 'memory_mask': mask_BS}

    def predict(
        self, inputs: dict[str, Any], data_samples: list[VLDataSample], form: VisualForm, image: str | None = None
    ) -> list[VLDataSample]:
        """The data samples with `hypothesis`, a string, `hypothesis_ids`, and `hypothesis_score`.

        Args:
            inputs: a batch; of `target_ids` the start tokens alone are read.
            data_samples: one an item.
            form: how the images are seen.
            image: see `encode`.
        """
        found = self.translate(inputs, data_samples, form, image)
        texts = self.tokenizer.batch_decode(found.ids_BL, skip_special_tokens=True)
        ends_BL = found.ids_BL == self.tokenizer.sep_token_id
        lengths = (ends_BL.int().argmax(1) + 1).tolist() if len(texts) else []
        for position, (sample, text) in enumerate(zip(data_samples, texts, strict=True)):
            sample.hypothesis = text.strip()
            sample.hypothesis_ids = found.ids_BL[position, : lengths[position]]
            sample.hypothesis_score = found.scores_B[position]
        return data_samples

    @torch.no_grad()
    def translate(
        self,
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        form: VisualForm,
        image: str | None = None,
    ) -> Hypotheses:
        """The best translation of each item by `beam_search`; arguments of `predict`."""
        memory = self.decoder.read_memory(*self.encode(inputs, data_samples, form, image))
        cache = DecoderCache()

        def step(new_ids_BKn: Tensor, parents_BK: Tensor | None) -> Tensor:
            if parents_BK is not None:
                cache.select(parents_BK)
            return self.lm_logits(self.read(new_ids_BKn, memory, cache)[:, :, -1])

        start_ids_BS = inputs['target_ids'][:, : self.start_tokens]
        return beam_search(step, start_ids_BS, self.tokenizer.sep_token_id, self.pad_id, **self.search)

    @torch.no_grad()
    def log_likelihood(
        self,
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        ids_BCL: Tensor,
        mask_BCL: Tensor,
        form: VisualForm,
        image: str | None = None,
    ) -> Tensor:
        """Log probability of C translations of each item, (B, C); see `sequence_log_likelihood` and `encode`."""
        memory = self.decoder.read_memory(*self.encode(inputs, data_samples, form, image))
        return sequence_log_likelihood(lambda ids: self.read(ids, memory), self.lm_logits, ids_BCL, mask_BCL)


def _check_image(image: str) -> str:
    if image not in IMAGES:
        raise ValueError(f'image must be among {", ".join(IMAGES)}, got {image!r}')
    return image


def _exchange(visual: VisualTokens, data_samples: Sequence[VLDataSample]) -> VisualTokens:
    """Each item sees the image of the next item in the batch that has another one, the last looking at the first."""
    names = [sample.image_id for sample in data_samples]
    others = []
    for row, name in enumerate(names):
        order = [*range(row + 1, len(names)), *range(row)]
        other = next((number for number in order if names[number] != name), None)
        if other is None:
            raise ValueError(
                f'image="wrong" needs two different images a batch, this one has {name} alone; choose a batch size '
                'that leaves no batch of one image'
            )
        others.append(other)
    return visual.select(torch.tensor(others, device=visual.tokens_BVD.device))


def _start_decoder(model: torch.nn.Module, incompatible: Any) -> None:
    """After weights were loaded: if they had a fusion head and no decoder, copy the one into the other."""
    assert isinstance(model, VLTranslator)
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
