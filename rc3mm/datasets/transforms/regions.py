"""Regions of a detector: from a store, or the image that the detector will see."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rc3mm.datasets.transforms.image import DecodeImage
from rc3mm.registry import DATASETS, TRANSFORMS
from rc3mm.structures import Regions
from rc3mm.utils.resize import resize_for_detector

__all__ = ['DetectorImage', 'LoadRegions', 'check_detector_sees_all']


class _Source(Protocol):
    def get(self, image_id: str) -> Regions: ...


@TRANSFORMS.register_module()
class LoadRegions:
    """Add the regions of the sample's image, kept in a `RoiStore` or in any other region source.

    An image that the source does not know gets no region (R = 0): the model then shows its patches wherever regions
    are asked for, and `RegionCoverageHook` counts and reports it.

    Required keys: `image_id`; `image` unless `drop_image`. Added keys: `roi_features` (float16 or float32, (R, F)),
    `roi_boxes` (float32, (R, 4), in pixels of `image`, else of `image_size`), `image_size` (height, width), and
    `roi_class_probs` ((R, C + 1)) if asked for. With `drop_image`, `image`, `image_path` and `image_bytes` are removed
    where regions are found: put the transform before `DecodeImage`, and nothing is decoded in vain. `roi_only` then
    says that images are a mere makeshift: no batch is shown in another form than `roi`.

    Args:
        source: config of a region source, such as `dict(type=RoiStore, path=..., feature_dim=2048)`.
        feature_dim: F, for images without regions.
        num_regions: the first so many regions of each image; None for all.
        class_probs: add the detector's class distributions, for MRM; their width is `num_classes`.
        num_classes: C + 1, needed with `class_probs`.
        drop_image: for the visual form `roi` alone, see above.

    Raises:
        ValueError: the source's features are not `feature_dim` wide, it lacks class distributions that are asked for,
            or an image has yet to be decoded although it is to be kept.
    """

    def __init__(
        self,
        source: dict[str, Any] | _Source,
        feature_dim: int,
        num_regions: int | None = None,
        class_probs: bool = False,
        num_classes: int = 0,
        drop_image: bool = False,
    ) -> None:
        if num_regions is not None and num_regions < 1:
            raise ValueError(f'num_regions must be at least 1, or None for all, got {num_regions}')
        if class_probs and num_classes < 2:
            raise ValueError('LoadRegions: class_probs needs num_classes, the width of the distributions')
        self.source: Any = DATASETS.build(dict(source)) if isinstance(source, dict) else source
        self.feature_dim = feature_dim
        self.num_regions = num_regions
        self.class_probs = class_probs
        self.num_classes = num_classes
        self.drop_image = drop_image

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Add the sample's regions."""
        image_id = sample['image_id']
        if not self.drop_image and 'image' not in sample and {'image_path', 'image_bytes'} & set(sample):
            raise ValueError(
                'LoadRegions stands before DecodeImage: put it behind, or set `drop_image=True` for regions alone'
            )
        if self.drop_image:
            sample['roi_only'] = True
        try:
            regions: Regions = self.source.get(image_id)
        except KeyError:
            return sample | self._nothing()
        if not len(regions):
            return sample | self._nothing()
        if regions.features.shape[1] != self.feature_dim:
            raise ValueError(
                f'{self.source}: regions of {image_id} are {regions.features.shape[1]}-d, the config says '
                f'feature_dim={self.feature_dim}; correct `feature_dim` here and in `roi_encoder`, or extract them anew'
            )
        first = slice(self.num_regions)
        boxes = np.asarray(regions.boxes[first], dtype=np.float32)
        height, width = regions.image_size
        if self.drop_image:
            for key in ('image', 'image_path', 'image_bytes'):
                sample.pop(key, None)
        if 'image' in sample:
            shown_height, shown_width = sample['image'].shape[:2]
            boxes = boxes * np.array([shown_width / width, shown_height / height] * 2, dtype=np.float32)
            height, width = shown_height, shown_width
        sample['roi_boxes'] = np.clip(boxes, 0, np.array([width, height] * 2, dtype=np.float32))
        sample['roi_features'] = regions.features[first]
        sample['image_size'] = (height, width)
        if self.class_probs:
            sample['roi_class_probs'] = self._class_probs(regions, image_id)[first]
        return sample

    def _nothing(self) -> dict[str, Any]:
        empty: dict[str, Any] = {
            'roi_features': np.zeros((0, self.feature_dim), np.float16),
            'roi_boxes': np.zeros((0, 4), np.float32),
        }
        if self.class_probs:
            empty['roi_class_probs'] = np.zeros((0, self.num_classes), np.float16)
        return empty

    def _class_probs(self, regions: Regions, image_id: str) -> np.ndarray:
        probs = regions.class_probs
        if probs is None or probs.shape[1] != self.num_classes:
            found = 'none' if probs is None else f'{probs.shape[1]} classes'
            raise ValueError(
                f'{self.source}: regions of {image_id} have class distributions over {found}, the config asks for '
                f'{self.num_classes}; correct `num_classes`, or set `class_probs=False` and leave MRM out'
            )
        return probs


@TRANSFORMS.register_module()
class DetectorImage:
    """Keep the image as the ROI extractor will see it, before it is resized for the patch encoder.

    Required keys: `image`. Added keys: `detector_image` (uint8, HWC), `image_size` (height, width of `image` now).

    Args:
        scale: as of the detector's test pipeline (`RoiExtractor.input_scale`); None for the image as it is.
        keep_ratio: keep the ratio of the sides.
    """

    def __init__(self, scale: Sequence[int] | None = None, keep_ratio: bool = True) -> None:
        self.scale = (int(scale[0]), int(scale[1])) if scale is not None else None
        self.keep_ratio = keep_ratio

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Add the detector's image."""
        image = sample['image']
        sample['image_size'] = image.shape[:2]
        sample['detector_image'] = resize_for_detector(image, self.scale, self.keep_ratio)
        return sample


def check_detector_sees_all(transforms: Sequence[Any]) -> None:
    """Refuse a pipeline whose detector would see images that were read smaller than they are.

    Raises:
        ValueError: there are both a `DetectorImage` and a `DecodeImage` with `at_least`.
    """
    smaller = any(isinstance(step, DecodeImage) and step.at_least is not None for step in transforms)
    if smaller and any(isinstance(step, DetectorImage) for step in transforms):
        raise ValueError(
            'DetectorImage needs images in the size that they have, as a store of regions was made of; leave '
            '`at_least` of DecodeImage out'
        )
