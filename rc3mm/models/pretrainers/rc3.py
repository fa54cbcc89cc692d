"""The RC3 pre-trainer: encoders, fusion head and objectives put together by a config.

RC3: Regularized Contrastive Cross-lingual Cross-modal Pre-training (Zhou, Liang et al. 2023, arXiv 2305.07927).

Shapes: B images, P texts an image, M texts in all, T text tokens, V visual tokens, D fusion width, E embedding width.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from rc3mm.models.backbones import VisionLanguageModel
from rc3mm.models.layers import MaskedLMHead, WordTie, masked_mean, word_cross_entropy
from rc3mm.models.losses import Temperature
from rc3mm.models.objectives import ITM, BatchContext, ChunkedContext, Objective
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VisualTokens, VLDataSample

__all__ = ['RC3']


@MODELS.register_module()
class RC3(VisionLanguageModel):
    """Two towers, a fusion head over them, and any number of objectives.

    Args:
        objectives: name -> config; the name labels the loss.
        embed_dim: E, of the embeddings of both towers and of z.
        negatives_within: block size for hard negatives, see `BatchContext`.
        chunk_size: items that are encoded at a time; None for all of a process's batch. The contrast is still over the
            whole batch, losses and gradients are the same, and memory is that of a chunk, for a second forward pass;
            see `ChunkedContext`. Needs `negatives_within`.
        uniform_negatives: sources whose negatives are drawn at random, not by similarity. Weak texts tell a part of
            their image, so the text of another image that is most like this one is often true of it.
        **backbone: encoders, fusion head and visual forms, see `VisionLanguageModel`.

    Raises:
        ValueError: see `VisionLanguageModel`.
    """

    def __init__(
        self,
        objectives: Mapping[str, dict] | None = None,
        embed_dim: int = 256,
        negatives_within: int | None = None,
        uniform_negatives: Sequence[str] = (),
        chunk_size: int | None = None,
        **backbone: Any,
    ) -> None:
        super().__init__(**backbone)
        self.negatives_within, self.chunk_size = negatives_within, chunk_size
        self.uniform_negatives = tuple(uniform_negatives)

        width = self.fusion.width
        self.image_projection = nn.Linear(width, embed_dim)
        self.text_projection = nn.Linear(self.text_encoder.width, embed_dim)
        self.fused_projection = nn.Linear(width, embed_dim)
        self.tau_towers = Temperature()
        self.tau_fused = Temperature()
        embedding_width = self.text_encoder.word_embeddings.shape[1]
        self.lm_head = MaskedLMHead(width, embedding_width, self.text_encoder.vocab_size)
        built = {name: MODELS.build(config) for name, config in (objectives or {}).items()}
        self.objectives: Any = nn.ModuleDict(built)

    # -- projections: what contexts and evaluation loops call

    def embed_image(self, visual: VisualTokens, form: VisualForm) -> Tensor:
        """Unit-length image embeddings in a visual form, (B, E)."""
        return F.normalize(self.image_projection(masked_mean(visual.tokens_BVD, visual.visible_BV(form))), dim=-1)

    def embed_text(self, states_MTD: Tensor, mask_MT: Tensor) -> Tensor:
        """Unit-length text embeddings, (M, E)."""
        return F.normalize(self.text_projection(masked_mean(states_MTD, mask_MT)), dim=-1)

    def embed_fused(self, hidden: Tensor) -> Tensor:
        """z = normalise(projection(h)), (..., D) -> (..., E)."""
        return F.normalize(self.fused_projection(hidden), dim=-1)

    def word_loss(
        self, hidden_KD: Tensor, labels_K: Tensor, fused: bool, tie: WordTie | None = None
    ) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy of K masked words, and how many are told right, both scalars.

        Args:
            hidden_KD: states at the masked positions, of the fusion head or of the text encoder.
            labels_K: the words.
            fused: which of the two.
            tie: of the step's lookup of words, see `WordTie`.
        """
        hidden_KD = hidden_KD if fused else self.fusion.text_projection(hidden_KD)
        embedded_KE = self.lm_head.embed(hidden_KD)
        words_VE, bias_V = self.text_encoder.word_embeddings, self.lm_head.bias
        return word_cross_entropy(embedded_KE, words_VE, bias_V, labels_K, tie)

    def match_scores(self, fused_MD: Tensor) -> Tensor:
        """ITM log odds of fused representations, (M,).

        Raises:
            ValueError: the model was configured without an ITM objective.
        """
        for objective in self.objectives.values():
            if isinstance(objective, ITM):
                return objective.score(fused_MD)
        raise ValueError('re-ranking needs an ITM objective in `objectives`; add one or set `rerank_topk=0`')

    # -- the modes of `forward`

    def losses(self, inputs: dict[str, Any], data_samples: list[VLDataSample]) -> dict[str, Tensor]:
        """Losses of the objectives that run on the batch's source, and their diagnostics."""
        source = data_samples[0].source
        forms = self.sample_forms(inputs, len(inputs['text_ids']) // len(data_samples))
        usable = {name: objective for name, objective in self.objectives.items() if source in objective.sources}
        if not usable:
            raise ValueError(
                f'no objective runs on source "{source}"; the configured ones run on '
                f'{sorted({source for objective in self.objectives.values() for source in objective.sources})}'
            )
        seed = int(inputs.get('step_seed', 0))
        drawn = {name: it for name, it in usable.items() if it.runs_at(source, seed, name)}
        # a step in which chance left nobody would be lost
        losses = self._run(drawn, inputs, data_samples, forms) or self._run(usable, inputs, data_samples, forms)
        if not losses:
            raise ValueError(
                f'no objective has a loss for source "{source}" in the visual forms {sorted(set(forms))}: '
                f'{sorted(usable)}'
            )
        return losses

    def _run(
        self,
        objectives: Mapping[str, Objective],
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        forms: Sequence[VisualForm],
    ) -> dict[str, Tensor]:
        """Weighted losses `loss_<name>` and diagnostics `<name>_<diagnostic>` of some objectives."""
        losses: dict[str, Tensor] = {}
        for name, objective, context in self.contexts(objectives, inputs, data_samples, forms):
            for key, value in objective(context).items():
                losses[f'loss_{name}' if key == 'loss' else f'{name}_{key}'] = (
                    value * objective.loss_weight if key == 'loss' else value
                )
        return losses

    def contexts(
        self,
        objectives: Mapping[str, Objective],
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        forms: Sequence[VisualForm],
    ) -> Iterator[tuple[str, Objective, BatchContext]]:
        """Names, objectives, and the views that each is given: the same for all."""
        uniform = data_samples[0].source in self.uniform_negatives
        needs = [need for objective in objectives.values() for need in objective.needs]
        views = (self, inputs, data_samples, forms, self.negatives_within, uniform, needs)
        if self.chunk_size is None or len(data_samples) <= self.chunk_size:
            context = BatchContext(*views)
        else:
            context = ChunkedContext(*views, self.chunk_size)
        for name, objective in objectives.items():
            yield name, objective, context

    def outputs(self, inputs: dict[str, Any], form: VisualForm) -> dict[str, Tensor]:
        """`image_embeddings` (B, E) and `text_embeddings` (M, E), of what the batch has."""
        out: dict[str, Tensor] = {}
        if 'image' in inputs or 'roi_features' in inputs:
            out['image_embeddings'] = self.embed_image(self.encode_visual(inputs, [form]), form)
        if 'text_ids' in inputs:
            states = self.text_encoder(inputs['text_ids'], inputs['text_mask'], inputs.get('text_lengths'))
            out['text_embeddings'] = self.embed_text(states, inputs['text_mask'])
        return out

    def predict(self, inputs: dict[str, Any], data_samples: list[VLDataSample], form: VisualForm) -> list[VLDataSample]:
        """The data samples with the embeddings of both towers."""
        out = self.outputs(inputs, form)
        texts = out['text_embeddings'].split([len(sample.texts) for sample in data_samples])
        for position, sample in enumerate(data_samples):
            sample.text_embeddings = texts[position]
            if 'image_embeddings' in out:
                sample.image_embedding = out['image_embeddings'][position]
        return data_samples
