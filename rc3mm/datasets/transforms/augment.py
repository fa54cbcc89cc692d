"""Random changes of images: torchvision's, seeded item by item."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from rc3mm.registry import TRANSFORMS

__all__ = ['Augment']


@TRANSFORMS.register_module()
class Augment:
    """Transforms of `torchvision.transforms.v2`, of an image and of its regions alike, on uint8.

    What they draw depends on the item's seed alone: not on workers, on processes, or on what came before; and what
    others draw from PyTorch's generator does not depend on them. Regions that leave the picture are dropped. Put it
    behind `DecodeImage` and `LoadRegions`; captions that tell left from right bear no flip.

    Required keys: `image`, `rng`. Modified keys: `image` (uint8, HWC); `roi_boxes`, `roi_features` and
    `roi_class_probs` if present.

    Args:
        transforms: in order, as configs whose type is a name in `torchvision.transforms.v2`, such as
            `dict(type='RandomResizedCrop', size=224, scale=(0.5, 1.0))`, or as callables.

    Raises:
        ValueError: there is no transform, torchvision has none of that name, or an image comes out of another kind than
            uint8 with three channels (normalisation is the data preprocessor's).
    """

    def __init__(self, transforms: Sequence[dict[str, Any] | Callable[..., Any]]) -> None:
        if not transforms:
            raise ValueError('Augment needs at least one transform')
        self.transforms = v2.Compose([_build(step) if isinstance(step, dict) else step for step in transforms])

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Change the sample's image."""
        pixels = torch.from_numpy(np.require(sample['image'], requirements=['C', 'W'])).permute(2, 0, 1)
        boxes: Any = None
        if 'roi_boxes' in sample:
            corners = torch.from_numpy(np.array(sample['roi_boxes'], np.float32))
            form: Any = tv_tensors.BoundingBoxFormat.XYXY
            boxes = tv_tensors.BoundingBoxes(corners, format=form, canvas_size=pixels.shape[1:])
        with _seeded(int(sample['rng'].integers(1 << 63))):
            changed, boxes = self.transforms(pixels, boxes)
        if changed.dtype != torch.uint8 or changed.ndim != 3 or len(changed) != 3:
            raise ValueError(
                f'Augment made {changed.dtype} of shape {tuple(changed.shape)} of image {sample.get("image_id")}; '
                'leave out what converts or normalises: images stay uint8 up to the device'
            )
        sample['image'] = changed.permute(1, 2, 0).numpy()
        if boxes is not None:
            corners = boxes.as_subclass(torch.Tensor)
            inside = ((corners[:, 2:] - corners[:, :2]) > 0).all(1).numpy()
            sample['roi_boxes'] = corners.numpy()[inside]
            for key in ('roi_features', 'roi_class_probs'):
                if key in sample:
                    sample[key] = sample[key][inside]
        return sample


def _build(config: dict[str, Any]) -> Callable[..., Any]:
    arguments = dict(config)
    name = str(arguments.pop('type', None))
    if not isinstance(getattr(v2, name, None), type):
        raise ValueError(f'torchvision.transforms.v2 has no transform {name!r}')
    return getattr(v2, name)(**arguments)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """PyTorch's generator of the CPU starts from a seed within the block, and is afterwards as it was before."""
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)
