"""The RC3 pre-trainer: encoders, fusion head and objectives put together by a config.

RC3: Regularized Contrastive Cross-lingual Cross-modal Pre-training (Zhou, Liang et al. 2023, arXiv 2305.07927).

Shapes: B images, P texts an image, M texts in all, T text tokens, V visual tokens, D fusion width, E embedding width.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from rc3mm.models.layers import MaskedLMHead, masked_mean
from rc3mm.models.losses import Temperature
from rc3mm.models.objectives import ITM, BatchContext, VisualTokens
from rc3mm.models.pretrainers.regions import extract_regions
from rc3mm.models.pretrainers.view_forms import ViewForms, check_forms
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VLDataSample

__all__ = ['RC3', 'NonFiniteLossError']


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite; the message names the objective, the iteration and the samples."""


@MODELS.register_module()
class RC3(BaseModel):
    """Two towers, a fusion head over them, and any number of objectives.

    Args:
        text_encoder: config of the text encoder.
        fusion: config of the fusion head; its text width is set here.
        patch_encoder: config of the patch encoder, or None for a model of regions alone.
        roi_encoder: config of the ROI encoder, or None for a model of patches alone.
        roi_extractor: config of a `RoiExtractor` that finds the regions of batches that carry none, or None. It needs
            `detector_image` (transform `DetectorImage`), or takes `image` as it is.
        objectives: name -> config; the name labels the loss.
        embed_dim: E, of the embeddings of both towers and of z.
        form_probs: probability of each way to choose visual forms in training: `roi`, `patch`, `both` (all texts of
            an image see that form) and `split` (one text sees regions, the other patches).
        test_form: visual form used in `predict` and `tensor` mode, unless the caller names one.
        negatives_within: block size for hard negatives, see `BatchContext`.
        uniform_negatives: sources whose negatives are drawn at random, not by similarity. Weak texts tell a part of
            their image, so the text of another image that is most like this one is often true of it.
        data_preprocessor: config of the data preprocessor.

    Raises:
        ValueError: neither a patch nor a ROI encoder is given, or a form is asked for that no encoder provides.
    """

    def __init__(
        self,
        text_encoder: dict,
        fusion: dict,
        patch_encoder: dict | None = None,
        roi_encoder: dict | None = None,
        roi_extractor: dict | None = None,
        objectives: Mapping[str, dict] | None = None,
        embed_dim: int = 256,
        form_probs: Mapping[str, float] | None = None,
        test_form: str = 'both',
        negatives_within: int | None = None,
        uniform_negatives: Sequence[str] = (),
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor or dict(type='VLDataPreprocessor')))
        if patch_encoder is None and roi_encoder is None:
            raise ValueError('RC3 needs a patch encoder, a ROI encoder, or both')
        self.text_encoder: Any = MODELS.build(text_encoder)
        self.fusion: Any = MODELS.build({'text_width': self.text_encoder.width, **fusion})
        width = self.fusion.width
        self.patch_encoder: Any = MODELS.build({'width': width, **patch_encoder}) if patch_encoder else None
        self.roi_encoder: Any = MODELS.build({'width': width, **roi_encoder}) if roi_encoder else None
        self.roi_extractor: Any = MODELS.build(roi_extractor) if roi_extractor else None
        self.region_counts: Counter[str] = Counter()  # images asked for by their regions, and those without any
        self.form_sampler = ViewForms(form_probs or {test_form: 1.0})
        self.test_form = VisualForm(test_form)
        self.negatives_within = negatives_within
        self.uniform_negatives = tuple(uniform_negatives)

        self.image_projection = nn.Linear(width, embed_dim)
        self.text_projection = nn.Linear(self.text_encoder.width, embed_dim)
        self.fused_projection = nn.Linear(width, embed_dim)
        self.tau_towers = Temperature()
        self.tau_fused = Temperature()
        embedding_width = self.text_encoder.word_embeddings.shape[1]
        self.lm_head = MaskedLMHead(width, embedding_width, self.text_encoder.vocab_size)
        built = {name: MODELS.build(config) for name, config in (objectives or {}).items()}
        self.objectives: Any = nn.ModuleDict(built)
        check_forms(self.form_sampler.forms | {self.test_form}, patch_encoder is not None, roi_encoder is not None)

    @property
    def pad_id(self) -> int:
        """Token id of padding."""
        return int(self.text_encoder.model.config.pad_token_id)

    # -- encoders and projections: what contexts, tasks and evaluation loops call

    def encode_visual(self, inputs: dict[str, Any], forms: Sequence[VisualForm]) -> VisualTokens:
        """Visual tokens of the given forms; no encoder runs that no form needs.

        An image without regions is shown as patches wherever regions are asked for.

        Args:
            inputs: what `vl_collate` makes of images and regions, with normalised images. Without `roi_features` the
                ROI extractor, if there is one, finds the regions, and adds them to `inputs`.
            forms: the forms that will be asked of the result.

        Raises:
            KeyError: the batch lacks what a form needs.
        """
        parts, masks, is_roi = [], [], []
        patch_rows: Tensor | None = None  # None: of all images
        needs_patches = any(form is not VisualForm.ROI for form in forms)
        if needs_patches and inputs.get('roi_only'):
            raise KeyError('this batch holds regions alone (`drop_image=True` of LoadRegions); choose the form `roi`')
        if any(form is not VisualForm.PATCH for form in forms):
            if 'roi_features' not in inputs and self.roi_extractor is not None:
                inputs.update(extract_regions(self.roi_extractor, inputs))
            self._require(inputs, 'roi_features', forms)
            parts.append(self.embed_regions(inputs['roi_features'], inputs['roi_boxes']))
            masks.append(inputs['roi_mask'])
            is_roi.append(torch.ones(parts[-1].shape[1], dtype=torch.bool, device=parts[-1].device))
            missing = inputs.get('roi_missing') or []
            self.region_counts.update(images=len(inputs['roi_mask']), missing=len(missing))
            if missing and self.patch_encoder is None:
                raise KeyError(
                    f'{len(missing)} of {len(inputs["roi_mask"])} images of a batch have no regions, and this model '
                    'has no patch encoder to show them by; extract their regions, or give `patch_encoder`'
                )
            if not needs_patches and missing:
                needs_patches, patch_rows = True, torch.tensor(missing, device=parts[-1].device)
        if needs_patches:
            self._require(inputs, 'image', forms)
            tokens, mask = self._encode_patches(inputs, patch_rows)
            parts.append(tokens)
            masks.append(mask)
            is_roi.append(torch.zeros(tokens.shape[1], dtype=torch.bool, device=tokens.device))
        return VisualTokens(torch.cat(parts, 1), torch.cat(masks, 1), torch.cat(is_roi))

    def _encode_patches(self, inputs: dict[str, Any], rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Patch tokens (B, V, D) and their mask (B, V); of the given rows only, or of all that have an image."""
        image, image_rows = inputs['image'], inputs.get('image_rows')
        if image_rows is None and rows is None:
            tokens = self.patch_encoder(image)
            return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        B = len(inputs['roi_mask'])
        held = torch.arange(B, device=image.device) if image_rows is None else image_rows
        wanted = held if rows is None else rows
        if not torch.isin(wanted, held).all():
            raise KeyError('some images of this batch have neither regions nor an image to fall back to')
        some = self.patch_encoder(image[torch.searchsorted(held, wanted)])
        tokens = some.new_zeros(B, *some.shape[1:]).index_copy(0, wanted, some)
        mask = torch.zeros(B, dtype=torch.bool, device=image.device).index_fill(0, wanted, True)
        return tokens, mask[:, None].expand(-1, tokens.shape[1])

    def embed_regions(self, features_BRF: Tensor, boxes_BR4: Tensor) -> Tensor:
        """Region tokens, (B, R, D); boxes as shares of width and height."""
        return self.roi_encoder(features_BRF, boxes_BR4)

    @staticmethod
    def _require(inputs: dict[str, Any], key: str, forms: Sequence[VisualForm]) -> None:
        if key not in inputs:
            wanted = ', '.join(sorted(set(forms)))
            raise KeyError(
                f'visual form {wanted} needs `{key}`, which this batch lacks (it has {sorted(inputs)}); add it in the '
                'dataset or its pipeline, or choose another `form_probs` or `test_form`'
            )

    def embed_image(self, visual: VisualTokens, form: VisualForm) -> Tensor:
        """Unit-length image embeddings in a visual form, (B, E)."""
        return F.normalize(self.image_projection(masked_mean(visual.tokens_BVD, visual.visible_BV(form))), dim=-1)

    def embed_text(self, states_MTD: Tensor, mask_MT: Tensor) -> Tensor:
        """Unit-length text embeddings, (M, E)."""
        return F.normalize(self.text_projection(masked_mean(states_MTD, mask_MT)), dim=-1)

    def embed_fused(self, hidden: Tensor) -> Tensor:
        """z = normalise(projection(h)), (..., D) -> (..., E)."""
        return F.normalize(self.fused_projection(hidden), dim=-1)

    def lm_logits(self, hidden_KD: Tensor, fused: bool) -> Tensor:
        """Vocabulary logits at K masked positions, from fused states or from the text encoder's own."""
        hidden_KD = hidden_KD if fused else self.fusion.text_projection(hidden_KD)
        return self.lm_head(hidden_KD, self.text_encoder.word_embeddings)

    def fuse_pairs(
        self, states_MTD: Tensor, mask_MT: Tensor, visual: VisualTokens, owner_M: Tensor, form: VisualForm
    ) -> Tensor:
        """h of arbitrary (image, text) pairs, (M, D): text m with image owner_M[m]."""
        rows = visual.select(owner_M)
        return self.fusion(
            states_MTD[:, None],
            mask_MT[:, None],
            rows.tokens_BVD,
            rows.visible_BV(form)[:, None],
            pooled=True,
        )[:, 0]

    def match_scores(self, fused_MD: Tensor) -> Tensor:
        """ITM log odds of fused representations, (M,).

        Raises:
            ValueError: the model was configured without an ITM objective.
        """
        for objective in self.objectives.values():
            if isinstance(objective, ITM):
                return objective.score(fused_MD)
        raise ValueError('re-ranking needs an ITM objective in `objectives`; add one or set `rerank_topk=0`')

    # -- MMEngine's entry points

    def forward(
        self, inputs: dict[str, Any], data_samples: Sequence[VLDataSample] | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | list[VLDataSample]:
        """One call for everything, as MMEngine's Runner expects.

        Args:
            inputs: tensors of the batch, see `rc3mm.datasets.collate.vl_collate`.
            data_samples: one an image (or text pair).
            mode: `loss` (dictionary of losses), `predict` (data samples with embeddings), `tensor` (embeddings).

        Raises:
            ValueError: an unknown mode.
            NonFiniteLossError: a loss is NaN or infinite.
        """
        if mode == 'loss':
            return self._losses(inputs, list(data_samples or ()))
        if mode == 'predict':
            return self._predict(inputs, list(data_samples or ()))
        if mode == 'tensor':
            return self._embed(inputs)
        raise ValueError(f'mode must be loss, predict or tensor, got {mode!r}')

    def _losses(self, inputs: dict[str, Any], data_samples: list[VLDataSample]) -> dict[str, Tensor]:
        forms = self.form_sampler.sample(
            inputs, len(inputs['text_ids']) // len(data_samples), can_extract=self.roi_extractor is not None
        )
        uniform = data_samples[0].source in self.uniform_negatives
        context = BatchContext(self, inputs, data_samples, forms, self.negatives_within, uniform)
        usable = {name: objective for name, objective in self.objectives.items() if context.source in objective.sources}
        if not usable:
            raise ValueError(
                f'no objective runs on source "{context.source}"; the configured ones run on '
                f'{sorted({source for objective in self.objectives.values() for source in objective.sources})}'
            )
        seed = int(inputs.get('step_seed', 0))
        drawn = {name: it for name, it in usable.items() if it.runs_at(context.source, seed, name)}
        # a step in which chance left nobody would be lost
        losses = self._run(drawn, context) or self._run(usable, context)
        if not losses:
            raise ValueError(
                f'no objective has a loss for source "{context.source}" in the visual forms {sorted(set(forms))}: '
                f'{sorted(usable)}'
            )
        self._check_finite(losses, data_samples, inputs)
        return losses

    @staticmethod
    def _run(objectives: Mapping[str, Any], context: BatchContext) -> dict[str, Tensor]:
        """Weighted losses `loss_<name>` and diagnostics `<name>_<diagnostic>` of some objectives."""
        losses: dict[str, Tensor] = {}
        for name, objective in objectives.items():
            for key, value in objective(context).items():
                losses[f'loss_{name}' if key == 'loss' else f'{name}_{key}'] = (
                    value * objective.loss_weight if key == 'loss' else value
                )
        return losses

    @staticmethod
    def _check_finite(losses: dict[str, Tensor], data_samples: list[VLDataSample], inputs: dict[str, Any]) -> None:
        named = {name: value for name, value in losses.items() if name.startswith('loss_')}
        if not named or torch.isfinite(torch.stack([value.detach() for value in named.values()])).all():
            return
        bad = [f'{name} = {float(value.detach())}' for name, value in named.items() if not torch.isfinite(value)]
        ids = [sample.image_id for sample in data_samples]
        raise NonFiniteLossError(
            f'{", ".join(bad)} at iteration {inputs.get("iteration", "?")} on source "{data_samples[0].source}", '
            f'samples: {", ".join(ids)}'
        )

    def _embed(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        if 'image' in inputs or 'roi_features' in inputs:
            out['image_embeddings'] = self.embed_image(self.encode_visual(inputs, [self.test_form]), self.test_form)
        if 'text_ids' in inputs:
            states = self.text_encoder(inputs['text_ids'], inputs['text_mask'], inputs.get('text_lengths'))
            out['text_embeddings'] = self.embed_text(states, inputs['text_mask'])
        return out

    def _predict(self, inputs: dict[str, Any], data_samples: list[VLDataSample]) -> list[VLDataSample]:
        out = self._embed(inputs)
        texts = out['text_embeddings'].split([len(sample.texts) for sample in data_samples])
        for position, sample in enumerate(data_samples):
            sample.text_embeddings = texts[position]
            if 'image_embeddings' in out:
                sample.image_embedding = out['image_embeddings'][position]
        return data_samples
