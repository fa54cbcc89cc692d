"""Translation of a text with the help of its image.

Shapes: B items, T text tokens, L target tokens, K beams or target tokens in all, C candidates, D fusion width.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rc3mm.models.encoders.text_decoder import DecoderCache
from rc3mm.models.layers.decoding import Hypotheses, beam_search
from rc3mm.models.tasks.text_decoding import TextDecodingModel
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VisualTokens, VLDataSample

__all__ = ['IMAGES', 'VLTranslator']

IMAGES = ('right', 'wrong', 'none')


@MODELS.register_module()
class VLTranslator(TextDecodingModel):
    """A decoder that writes what a source text with an image means, see `TextDecodingModel`.

    Args:
        decoder: see `TextDecodingModel`.
        tokenizer: of source and targets, see `load_tokenizer`.
        label_smoothing: share of the target's probability that is spread over the vocabulary.
        start_tokens: how many tokens of a target are given: the start token, or that and a language's tag.
        search: arguments of `beam_search`: `beams`, `max_length`, `length_penalty`, `min_length`.
        image: what is seen beside the text: the `right` image, for controls the `wrong` one (of another item of the
            batch), or `none` (no visual token at all, no image encoder runs).
        **backbone: see `VisionLanguageModel`.

    Raises:
        ValueError: an unknown `image`, no start token, a search longer than the decoder's positions, or a tokenizer
            that does not fit, see `TextDecodingModel`.
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
        super().__init__(decoder, tokenizer, **backbone)
        self.label_smoothing, self.start_tokens = label_smoothing, start_tokens
        self.search: dict[str, Any] = {'max_length': self.decoder.max_positions - start_tokens, **(search or {})}
        self.image = _check_image(image)
        if start_tokens < 1:
            raise ValueError(f'start_tokens must be at least 1, got {start_tokens}')
        # the end token is never read
        if start_tokens + self.search['max_length'] - 1 > self.decoder.max_positions:
            raise ValueError(
                f'{start_tokens} start tokens and search.max_length {self.search["max_length"]} need more than '
                f'the {self.decoder.max_positions} positions of the decoder; raise its `max_positions`'
            )

    # -- what the decoder looks at

    def encode(
        self, inputs: dict[str, Any], data_samples: Sequence[VLDataSample], form: VisualForm, image: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """The memory, (B, T, D), and its mask, (B, T).

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
        visual = None if image == 'none' else self.encode_visual(inputs, [form])
        if visual is not None and image == 'wrong':
            visual = _exchange(visual, data_samples)
        return self.fused_memory(states_BTD, inputs['text_mask'], visual, form)

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
        logits_KV, targets_K = self.teacher_forcing(ids_BL, real_BL, memory)
        count = torch.tensor(len(targets_K), device=ids_BL.device)
        total = F.cross_entropy(logits_KV, targets_K, reduction='sum', label_smoothing=self.label_smoothing)
        hits = (logits_KV.argmax(1) == targets_K).float().sum() / max(len(targets_K), 1)
        return {'loss_translation': self.mean_of_global_batch(total, count), 'translation_acc': hits.detach()}

    def outputs(self, inputs: dict[str, Any], form: VisualForm) -> dict[str, Tensor]:
        """`memory` (B, T, D) and `memory_mask` (B, T)."""
        memory_BTD, mask_BT = self.encode(inputs, (), form)
        return {'memory': memory_BTD, 'memory_mask': mask_BT}

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
        return self.likelihoods(memory, ids_BCL, mask_BCL)


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
