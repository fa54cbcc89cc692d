"""Regions of images, with their features, from any two-stage mmdet detector."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from mmengine.model import BaseModule
from torch import Tensor

from rc3mm.models.detectors.build import build_detector, load_weights, read_config, require_detector_packages
from rc3mm.models.detectors.input_scale import InputScale, read_input_scale
from rc3mm.models.detectors.region_tensors import RegionTensors
from rc3mm.models.detectors.selection import clip_boxes, has_area, number_to_keep, suppress
from rc3mm.models.detectors.two_stage import describe, prepare, propose, refine
from rc3mm.registry import MODELS
from rc3mm.structures.regions import Regions
from rc3mm.utils.resize import detector_size, resize_for_detector

__all__ = ['Feature', 'RoiExtractor']

Feature = Literal['head', 'pooled']


class _Chosen(NamedTuple):
    """Boxes of one image, or of several.

    Attributes:
        rois: (N, 5), number of the image in the batch, and the box in pixels of the batch.
        boxes: (N, 4), the same box in pixels of the original image.
        scores: (N,).
        labels: (N,).
    """

    rois: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor


@MODELS.register_module()
class RoiExtractor(BaseModule):
    """The regions that a detector sees, and a feature vector of each (Anderson et al. 2018, bottom-up attention).

    A proposal counts once, with its best class and the box that the detector refined for that class. Boxes of the
    same class that overlap are thinned out, the rest are ordered by score, and some are kept (see `min_regions`).
    Features, class and attribute probabilities are then taken at the final boxes: one more pass of the head, none of
    the backbone.

    The release of bottom-up attention does otherwise: it keeps the proposals themselves as boxes, unrefined, takes
    the features there, and the score of a proposal is its highest over all classes in which it survives the thinning
    out. So regions found here and files of the release must not be mixed in one experiment, not even with the
    release's weights.

    Images of one batch are padded to the largest, so where sizes differ, padding is seen near the right and the
    lower border; images of one padded size give what they give alone.

    Args:
        detector: path of an mmdet config file; `mmdet::` and the path of a config that mmdet ships; the model's entry
            of such a config; or a dictionary of `model` and `test_pipeline`.
        checkpoint: weights of the detector, `.pth` or `.safetensors`, or `emoji`, those of EmojiScenes' detector
            (configs/detectors/faster_rcnn_emoji.py), which ship with rc3mm; None leaves it untrained. Pretrained parts
            that the config names are never fetched.
        feature: `head`, what the box head classifies from (1024-d in FPN detectors); or `pooled`, the average over
            the ROI of what enters the box head (2048-d in C4 detectors, 256-d in FPN detectors).
        min_regions: an image has at least so many regions, if the detector finds as many; the same as `max_regions`
            for a fixed number (36), or 10 and 100 for the adaptive protocol.
        max_regions: an image has at most so many.
        score_thr: regions beyond `min_regions` must score more.
        nms_iou: overlap from which boxes of one class are thinned out; None for the detector's own.
        frozen: no gradients, and evaluation mode always.
        autocast: run the detector in bfloat16. Whether a surrounding autocast is on makes no difference, so that
            regions in a training in bfloat16 are those of a store.

    Raises:
        ImportError: mmdet or mmcv is missing.
        ValueError: limits or feature that make no sense, or a checkpoint that does not fit.
    """

    def __init__(
        self,
        detector: str | Mapping[str, Any],
        checkpoint: str | None = None,
        feature: Feature = 'head',
        min_regions: int = 36,
        max_regions: int = 36,
        score_thr: float = 0.0,
        nms_iou: float | None = None,
        frozen: bool = True,
        autocast: bool = False,
    ) -> None:
        super().__init__()
        if feature not in get_args(Feature):
            raise ValueError(f'feature must be one of {", ".join(get_args(Feature))}, got {feature!r}')
        if not 0 <= min_regions <= max_regions or max_regions < 1:
            raise ValueError(f'expected 0 <= min_regions <= max_regions, got {min_regions} and {max_regions}')
        require_detector_packages()
        config = read_config(detector)
        self.detector: Any = build_detector(config.model)
        self.input_scale: InputScale | None = read_input_scale(config.test_pipeline)
        self.feature, self.frozen, self.autocast = feature, frozen, autocast
        self.min_regions, self.max_regions, self.score_thr = min_regions, max_regions, score_thr
        self.nms_iou = float(self.detector.roi_head.test_cfg.nms.iou_threshold if nms_iou is None else nms_iou)
        names, digest = None, None
        if checkpoint is not None:
            digest, names = load_weights(self.detector, checkpoint)
        candidates = [found for found in (names, config.class_names) if found and len(found) == self.num_classes]
        self.class_names: tuple[str, ...] | None = candidates[0] if candidates else None
        self._loaded = checkpoint is not None
        self._origin = {
            'detector': config.name,
            'detector_sha256': config.digest,
            'checkpoint_sha256': digest,
        }
        if frozen:
            self.requires_grad_(False)
        self.train()

    # -- what it is

    @property
    def _head(self) -> Any:
        return self.detector.roi_head.bbox_head

    @property
    def feature_dim(self) -> int:
        """F, width of the features."""
        return self._head.fc_cls.in_features if self.feature == 'head' else self._head.in_channels

    @property
    def num_classes(self) -> int:
        """C, classes without the background."""
        return self._head.num_classes

    @property
    def num_attributes(self) -> int:
        """A, 0 without an attribute head."""
        return getattr(self._head, 'num_attributes', 0)

    @property
    def signature(self) -> dict[str, Any]:
        """What the features depend on, ready for JSON: two extractors with the same one give the same features."""
        return {
            **self._origin,
            'feature': self.feature,
            'feature_dim': self.feature_dim,
            'protocol': {
                'min_regions': self.min_regions,
                'max_regions': self.max_regions,
                'score_thr': self.score_thr,
                'nms_iou': self.nms_iou,
                'input_scale': self.input_scale and list(self.input_scale.scale),
                'keep_ratio': self.input_scale and self.input_scale.keep_ratio,
                'autocast': 'bfloat16' if self.autocast else None,
            },
        }

    @property
    def device(self) -> torch.device:
        """Where the detector is."""
        return next(self.detector.parameters()).device

    def train(self, mode: bool = True) -> 'RoiExtractor':
        """As any module, but a frozen extractor stays in evaluation mode."""
        super().train(mode and not self.frozen)
        return self

    def init_weights(self) -> None:
        """Initialise an extractor without checkpoint; weights that were loaded stay."""
        if not self._loaded:
            super().init_weights()

    # -- what it does

    def resize(self, image_HWC: np.ndarray) -> np.ndarray:
        """Resize one uint8 RGB image as the detector's own test pipeline does."""
        return resize_for_detector(image_HWC, *(self.input_scale or (None,)))

    def expected_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that `resize` gives an image of this height and width, in pixels."""
        return detector_size(height, width, *(self.input_scale or (None,)))

    def extract(self, images: Sequence[np.ndarray]) -> list[Regions]:
        """Regions of images of any size.

        Args:
            images: uint8 RGB arrays of shape (H, W, 3).

        Returns:
            One `Regions` an image, boxes in pixels of the image given, features in float16.

        Raises:
            ValueError: an image is not uint8 of shape (H, W, 3).
        """
        for position, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise ValueError(
                    f'image {position} is {image.dtype} of shape {image.shape}; expected uint8 RGB, (H, W, 3)'
                )
        resized = [np.ascontiguousarray(self.resize(image).transpose(2, 0, 1)) for image in images]
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        with torch.no_grad():
            found = self([torch.from_numpy(image) for image in resized], sizes)
        return [regions.numpy() for regions in found]

    def forward(
        self, images: Sequence[Tensor], original_sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[RegionTensors]:
        """Regions of one batch.

        Args:
            images: uint8 RGB tensors of shape (3, H, W), already resized; on any device.
            original_sizes: height and width of each image before it was resized, in pixels; None if none was.

        Returns:
            One `RegionTensors` an image; without any detection it has no rows.

        Raises:
            ValueError: an image is not uint8 of shape (3, H, W), or there are not as many sizes as images.
        """
        if not images:
            return []
        shown = [(image.shape[-2], image.shape[-1]) for image in images]
        sizes = shown if original_sizes is None else [(int(height), int(width)) for height, width in original_sizes]
        if len(sizes) != len(images):
            raise ValueError(f'{len(images)} images but {len(sizes)} original sizes')
        for position, image in enumerate(images):
            if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3 or not image.numel():
                raise ValueError(
                    f'image {position} is {image.dtype} of shape {tuple(image.shape)}; expected uint8 RGB, (3, H, W)'
                )
        precision = torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast)
        with precision, torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self._forward(images, sizes)

    def _forward(self, images: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[RegionTensors]:
        batch, samples = prepare(self.detector, images, sizes, self.device)
        limits = [
            (image.shape[-1], image.shape[-2], size[1], size[0]) for image, size in zip(images, sizes, strict=True)
        ]
        limits_B4 = torch.tensor(limits, dtype=torch.float32, device=self.device)
        levels = self.detector.extract_feat(batch)
        with torch.no_grad():
            chosen = self._choose(levels, samples, limits_B4)
        features, class_probs, attribute_probs = self._describe(levels, torch.cat([item.rois for item in chosen]))
        counts = [len(item.rois) for item in chosen]
        return [
            RegionTensors(vectors, item.boxes, item.scores, item.labels, classes, attributes, size)
            for item, vectors, classes, attributes, size in zip(
                chosen,
                features.split(counts),
                class_probs.split(counts),
                [None] * len(counts) if attribute_probs is None else attribute_probs.split(counts),
                sizes,
                strict=True,
            )
        ]

    def _choose(self, levels: Sequence[Tensor], samples: list[Any], limits_B4: Tensor) -> list[_Chosen]:
        """The final boxes of each image; `limits_B4`: its width and height, resized and original."""
        proposals = propose(self.detector, levels, samples)
        numbers = [torch.full_like(boxes[:, :1], number) for number, boxes in enumerate(proposals)]
        rois_N5 = torch.cat([torch.cat(numbers), torch.cat(proposals)], 1)
        head = describe(self.detector, levels, rois_N5)
        scores_N, labels_N = head.class_probs[:, :-1].max(1)
        limits_N4 = limits_B4[rois_N5[:, 0].long()]
        boxes_N4 = clip_boxes(refine(self._head, rois_N5, labels_N, head.deltas), limits_N4[:, :2])
        original_N4 = clip_boxes(boxes_N4 * (limits_N4[:, 2:] / limits_N4[:, :2]).repeat(1, 2), limits_N4[:, 2:])
        usable_N = has_area(boxes_N4) & has_area(original_N4)
        everything = _Chosen(torch.cat([rois_N5[:, :1], boxes_N4], 1), original_N4, scores_N, labels_N)
        parts = zip(*(part.split([len(boxes) for boxes in proposals]) for part in (*everything, usable_N)), strict=True)
        return [self._best(_Chosen(*(part[usable] for part in rest))) for *rest, usable in parts]

    def _best(self, found: '_Chosen') -> '_Chosen':
        """What is kept of one image."""
        order = suppress(found.rois[:, 1:], found.scores, found.labels, self.nms_iou)
        count = number_to_keep(found.scores[order], self.score_thr, self.min_regions, self.max_regions)
        return _Chosen(*(part[order[:count]] for part in found))

    def _describe(self, levels: Sequence[Tensor], rois_R5: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features, class and attribute probabilities at the final boxes."""
        head = describe(self.detector, levels, rois_R5)
        features = head.inputs if self.feature == 'head' else head.averages
        attributes = None
        if self.num_attributes:
            attributes = self._head.predict_attributes(head.inputs, head.class_probs.argmax(1))
        return features.float(), head.class_probs, attributes
