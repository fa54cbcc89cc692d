"""What pre-training and all tasks share: the encoders, the fusion head over them, and how a batch is seen.

Shapes: B images, M texts in all, T text tokens, V visual tokens, D fusion width.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from rc3mm.models import layers
from rc3mm.models.backbones.regions import extract_regions
from rc3mm.models.backbones.view_forms import ViewForms, check_forms
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VisualTokens, VLDataSample
from rc3mm.utils.dist import all_reduce_sum

__all__ = ['NonFiniteLossError', 'VisionLanguageModel']


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite; the message names the objective, the iteration and the samples."""


class VisionLanguageModel(BaseModel):
    """Two encoders and a fusion head; a subclass says what is learnt with them.

    Its parts have the same names in every subclass, so the weights of one load into another.

    Args:
        text_encoder: config of the text encoder.
        fusion: config of the fusion head; its text width is set here.
        patch_encoder: config of the patch encoder, or None for a model of regions alone.
        roi_encoder: config of the ROI encoder, or None for a model of patches alone.
        roi_extractor: config of a `RoiExtractor` that finds the regions of batches that carry none, or None. It needs
            `detector_image` (transform `DetectorImage`), or takes `image` as it is.
        form_probs: probability of each way to choose visual forms in training: `roi`, `patch`, `both` (all texts of
            an image see that form) and `split` (one text sees regions, the other patches).
        test_form: visual form used in `predict` and `tensor` mode, unless the caller names one.
        data_preprocessor: config of the data preprocessor.
        compile_layers: options of `torch.compile` for the layers of both encoders, `{}` for its defaults; None to
            compile nothing. The first steps then take a minute or two longer.

    Attributes:
        same_calls: in training every rank calls the same layers, whatever its images lack; set where parameters are
            spread over ranks, which put each layer together at every call.

    Raises:
        ValueError: neither a patch nor a ROI encoder is given, or a form is asked for that no encoder provides.
    """

    same_calls = False

    def __init__(
        self,
        text_encoder: dict,
        fusion: dict,
        patch_encoder: dict | None = None,
        roi_encoder: dict | None = None,
        roi_extractor: dict | None = None,
        form_probs: Mapping[str, float] | None = None,
        test_form: str = 'both',
        data_preprocessor: dict | None = None,
        compile_layers: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor or dict(type='VLDataPreprocessor')))
        if patch_encoder is None and roi_encoder is None:
            raise ValueError(f'{type(self).__name__} needs a patch encoder, a ROI encoder, or both')
        self.text_encoder: Any = MODELS.build(text_encoder)
        self.fusion: Any = MODELS.build({'text_width': self.text_encoder.width, **fusion})
        width = self.fusion.width
        self.patch_encoder: Any = MODELS.build({'width': width, **patch_encoder}) if patch_encoder else None
        self.roi_encoder: Any = MODELS.build({'width': width, **roi_encoder}) if roi_encoder else None
        self.roi_extractor: Any = MODELS.build(roi_extractor) if roi_extractor else None
        self.region_counts: Counter[str] = Counter()  # images asked for by their regions, and those without any
        self.form_sampler = ViewForms(form_probs or {test_form: 1.0})
        self.test_form = VisualForm(test_form)
        if compile_layers is not None:
            for encoder in filter(None, (self.text_encoder, self.patch_encoder)):
                layers.compile_layers(encoder, **compile_layers)
        check_forms(self.form_sampler.forms | {self.test_form}, patch_encoder is not None, roi_encoder is not None)

    @property
    def pad_id(self) -> int:
        """Token id of padding."""
        return int(self.text_encoder.model.config.pad_token_id)

    def sample_forms(self, inputs: dict[str, Any], num_texts: int) -> list[VisualForm]:
        """The visual form that each of the P texts of an image sees in this training batch, see `ViewForms`."""
        return self.form_sampler.sample(inputs, num_texts, can_extract=self.roi_extractor is not None)

    # -- encoders

    def encode_visual(self, inputs: dict[str, Any], forms: Sequence[VisualForm]) -> VisualTokens:
        """Visual tokens of the given forms; no encoder runs that no form needs.

        An image without regions is shown as patches wherever regions are asked for. An image that several items share
        (`share_images` of `vl_collate`) is encoded once, and comes once for each of them.

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
            self.find_regions(inputs)
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
            if not needs_patches:
                if self.same_calls and self.training and self._others_lack_regions(bool(missing)):
                    parts[-1] = parts[-1] + self._encode_no_image()
                if missing:
                    needs_patches, patch_rows = True, torch.tensor(missing, device=parts[-1].device)
        if needs_patches:
            self._require(inputs, 'image', forms)
            tokens, mask = self._encode_patches(inputs, patch_rows)
            parts.append(tokens)
            masks.append(mask)
            is_roi.append(torch.zeros(tokens.shape[1], dtype=torch.bool, device=tokens.device))
        visual = VisualTokens(torch.cat(parts, 1), torch.cat(masks, 1), torch.cat(is_roi))
        return visual.select(inputs['image_index']) if 'image_index' in inputs else visual

    def find_regions(self, inputs: dict[str, Any]) -> None:
        """Add the regions of a batch that carries none, if there is a ROI extractor; see `extract_regions`."""
        if 'roi_features' not in inputs and self.roi_extractor is not None:
            inputs.update(extract_regions(self.roi_extractor, inputs))

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

    def _others_lack_regions(self, missing: bool) -> bool:
        """Whether another rank has images without regions, to be shown as patches, and this one has none."""
        device = next(self.parameters()).device
        return bool(all_reduce_sum(torch.tensor(float(missing), device=device)) > 0) and not missing

    def _encode_no_image(self) -> Tensor:
        """Zero, from the patch encoder's run on no image at all."""
        size = self.patch_encoder.model.patch_embed.img_size
        empty = torch.zeros(0, 3, *size, device=next(self.parameters()).device)
        return self.patch_encoder(empty).sum()

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

    def fuse_pairs(
        self, states_MTD: Tensor, mask_MT: Tensor, visual: VisualTokens, owner_M: Tensor, form: VisualForm
    ) -> Tensor:
        """h of arbitrary (image, text) pairs, (M, D): text m with image owner_M[m]; each image is read once."""
        memory = self.fusion.read_visual(visual.tokens_BVD).select(owner_M)
        visible_M1V = visual.visible_BV(form).index_select(0, owner_M)[:, None]
        return self.fusion(states_MTD[:, None], mask_MT[:, None], memory, visible_M1V, pooled=True)[:, 0]

    def fuse(self, states_MTD: Tensor, mask_MT: Tensor, visual: VisualTokens, form: VisualForm) -> Tensor:
        """h of each text with the image of the same row, (M, D)."""
        visible_M1V = visual.visible_BV(form)[:, None]
        return self.fusion(states_MTD[:, None], mask_MT[:, None], visual.tokens_BVD, visible_M1V, pooled=True)[:, 0]

    # -- MMEngine's entry point

    def forward(
        self, inputs: dict[str, Any], data_samples: Sequence[VLDataSample] | None = None, mode: str = 'tensor'
    ) -> Any:
        """One call for everything, as MMEngine's Runner expects.

        Args:
            inputs: tensors of the batch, see `rc3mm.datasets.collate.vl_collate`.
            data_samples: one an item.
            mode: `loss` (dictionary of losses), `predict` (data samples with predictions), `tensor` (raw outputs).

        Raises:
            ValueError: an unknown mode.
            NonFiniteLossError: a loss is NaN or infinite.
        """
        samples = list(data_samples or ())
        if mode == 'loss':
            losses = self.losses(inputs, samples)
            self._check_finite(losses, samples, inputs)
            return losses
        if mode == 'predict':
            return self.predict(inputs, samples, self.test_form)
        if mode == 'tensor':
            return self.outputs(inputs, self.test_form)
        raise ValueError(f'mode must be loss, predict or tensor, got {mode!r}')

    def losses(self, inputs: dict[str, Any], data_samples: list[VLDataSample]) -> dict[str, Tensor]:
        """Weighted losses `loss_<name>`, and diagnostics under other names."""
        raise NotImplementedError

    def predict(self, inputs: dict[str, Any], data_samples: list[VLDataSample], form: VisualForm) -> list[VLDataSample]:
        """The data samples with what the model makes of them, images seen in the given form."""
        raise NotImplementedError

    def outputs(self, inputs: dict[str, Any], form: VisualForm) -> Any:
        """What the model computes, as tensors, images seen in the given form."""
        raise NotImplementedError

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
