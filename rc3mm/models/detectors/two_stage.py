"""The steps of a two-stage mmdet detector, one function each: prepare, propose, pool, read the head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ['HeadOutput', 'describe', 'pool', 'prepare', 'propose', 'read_head', 'refine']

_BYTES_AT_ONCE = 1 << 29  # of ROI features; what the head makes of them in a C4 detector takes several times as much


class HeadOutput(NamedTuple):
    """What the box head says of N regions.

    Attributes:
        inputs: (N, F), the vectors that it classifies from.
        averages: (N, channels), the averages of what enters it.
        class_probs: (N, C + 1), float32, the background last.
        deltas: (N, 4) or (N, 4 * C), float32, its corrections of the boxes.
    """

    inputs: Tensor
    averages: Tensor
    class_probs: Tensor
    deltas: Tensor


def prepare(
    detector: Any, images: Sequence[Tensor], sizes: Sequence[tuple[int, int]], device: torch.device
) -> tuple[Tensor, list[Any]]:
    """Normalise and pad images by the detector's own preprocessor.

    Args:
        detector: from mmdet.
        images: uint8 RGB, each (3, H, W).
        sizes: height and width of each image before it was resized.
        device: of the detector.

    Returns:
        The batch (B, 3, H, W), and mmdet's record of each image.
    """
    from mmdet.structures import DetDataSample

    shapes = [tuple(image.shape[-2:]) for image in images]
    samples = [
        DetDataSample(
            metainfo={
                'img_shape': shape,
                'ori_shape': size,
                'scale_factor': (shape[1] / size[1], shape[0] / size[0]),
            }
        )
        for shape, size in zip(shapes, sizes, strict=True)
    ]
    inputs: Any = [image.to(device, non_blocking=True).flip(0) for image in images]  # mmdet loads blue first
    if len(set(shapes)) == 1:
        inputs = torch.stack(inputs)  # normalised in one piece
    # A preprocessor remembers its device itself, and does not notice when the module around it moves.
    preprocessor = detector.data_preprocessor.to(device)
    data = preprocessor({'inputs': inputs, 'data_samples': samples}, training=False)
    return data['inputs'], data['data_samples']


def propose(detector: Any, levels: Sequence[Tensor], samples: list[Any]) -> list[Tensor]:
    """Proposals of the RPN, by its own test settings.

    Args:
        detector: from mmdet.
        levels: feature maps of the batch.
        samples: the records of `prepare`.

    Returns:
        Boxes (P, 4) of each image in pixels of the batch, best first.
    """
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    rpn = detector.rpn_head
    if type(rpn).predict is not BaseDenseHead.predict:  # a cascade: it works on boxes at every stage
        with torch.autocast(levels[0].device.type, enabled=False):
            found = rpn.predict(tuple(level.float() for level in levels), samples, rescale=False)
    else:
        # Anchors take the type of the scores; in bfloat16 they would lie up to two pixels off.
        outputs = [[None if map_ is None else map_.float() for map_ in maps] for maps in rpn(levels)]
        found = rpn.predict_by_feat(*outputs, batch_img_metas=[sample.metainfo for sample in samples], rescale=False)
    return [instances.bboxes for instances in found]


def pool(detector: Any, levels: Sequence[Tensor], rois_N5: Tensor) -> Tensor:
    """ROI features as they enter the box head, shape (N, channels, height, width).

    Args:
        detector: from mmdet.
        levels: feature maps of the batch.
        rois_N5: number of the image in the batch, x1, y1, x2, y2.
    """
    roi_head = detector.roi_head
    extractor = roi_head.bbox_roi_extractor
    # mmcv's RoIAlign knows no bfloat16.
    pooled = extractor(tuple(level.float() for level in levels[: extractor.num_inputs]), rois_N5)
    return roi_head.shared_head(pooled) if roi_head.with_shared_head else pooled


def read_head(head: Any, pooled: Tensor) -> HeadOutput:
    """One pass of the box head over ROI features."""
    with _watching(head.fc_cls) as inputs:
        logits, deltas = head(pooled)
    # Some losses (seesaw) come with an activation of their own.
    own = head.loss_cls.get_activation if head.custom_cls_channels else None
    probs = own(logits.float()) if own else logits.float().softmax(-1)
    return HeadOutput(inputs[0], pooled.mean((-2, -1)), probs, deltas.float())


def describe(detector: Any, levels: Sequence[Tensor], rois_N5: Tensor) -> HeadOutput:
    """What the box head says of any number of ROIs: `pool` and `read_head` in chunks, which bound the memory.

    Args:
        detector: from mmdet.
        levels: feature maps of the batch.
        rois_N5: number of the image in the batch, x1, y1, x2, y2.
    """
    extractor = detector.roi_head.bbox_roi_extractor
    # Cast here, not chunk by chunk.
    levels = [level.float() for level in levels[: extractor.num_inputs]]
    head = detector.roi_head.bbox_head
    chunks = rois_N5.split(_rois_at_once(extractor))
    parts = [read_head(head, pool(detector, levels, rois)) for rois in chunks]
    return HeadOutput(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _rois_at_once(extractor: Any) -> int:
    height, width = extractor.roi_layers[0].output_size
    return max(_BYTES_AT_ONCE // (4 * extractor.out_channels * height * width), 1)


@contextmanager
def _watching(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Note what goes into a layer."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()


def refine(head: Any, rois_N5: Tensor, labels_N: Tensor, deltas: Tensor) -> Tensor:
    """Boxes (N, 4), corrected for one class each, not clipped."""
    return head.regress_by_class(rois_N5[:, 1:], labels_N, deltas, {'img_shape': None})
