"""Time region features: RoiExtractor in batches against loops over mmdet's inference_detector; prints one JSON line.

What each way does, all on the same detector (random weights), the same images and by the detector's own test pipeline:

  extractor  RoiExtractor.extract, --batch images at a time: resize, one backbone pass, RPN, box head on the proposals,
             selection of 36, pooling and box head at the final boxes, features and class distribution to numpy.
  plain      one image at a time: mmdet.apis.inference_detector, with a pipeline that was built once, and then the
             features of its detections (at most 36): mmdet hands out no feature maps, so the backbone runs again;
             pooling and box head at the boxes, features and class distribution to numpy.
  hooked     as plain, but a hook keeps the feature maps of inference_detector, so that the backbone runs once.

The score threshold of inference_detector is set so that about 300 pairs of proposal and class pass it, as with a
trained detector. The three take turns, round by round; medians are over the rounds. `ratio` is extractor to plain,
`ratio_hooked` extractor to hooked.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rc3mm.models.detectors import RoiExtractor
from rc3mm.models.detectors.two_stage import pool, prepare, propose, read_head

_ROOT = Path(__file__).resolve().parents[2]
_CASES = {  # detector, side of the images in pixels
    'emoji': (str(_ROOT / 'configs/detectors/faster_rcnn_emoji.py'), 48),
    'r50_fpn': ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 320),
}
_REGIONS = 36
_CANDIDATES = 300


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example:\n  python tools/benchmarks/roi_extraction.py --case r50_fpn --images 16 --rounds 3\n',
    )
    parser.add_argument('--case', choices=list(_CASES), default='emoji', help='detector and image size (%(default)s)')
    parser.add_argument('--batch', type=int, default=8, help='images in a batch of the extractor (%(default)s)')
    parser.add_argument('--images', type=int, default=64, help='images a round (%(default)s)')
    parser.add_argument('--rounds', type=int, default=5, help='rounds; one more warms up (%(default)s)')
    parser.add_argument('--size', type=int, help="side of the images in pixels; default: the case's own")
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='(%(default)s)')
    return parser.parse_args()


class Baseline:
    """Region features as one gets them from mmdet's own entry point.

    Args:
        extractor: whose detector is used.
        hooked: keep the feature maps of `inference_detector` instead of running the backbone again.
    """

    def __init__(self, extractor: RoiExtractor, hooked: bool) -> None:
        from mmcv.transforms import Compose

        self.extractor, self.hooked = extractor, hooked
        self.detector = extractor.detector
        self.detector.cfg = None  # the pipeline is given
        self.levels: Any = None
        steps: list[dict[str, Any]] = [dict(type='mmdet.LoadImageFromNDArray'), dict(type='mmdet.PackDetInputs')]
        if extractor.input_scale:
            scale, keep_ratio = extractor.input_scale
            steps.insert(1, dict(type='mmdet.Resize', scale=scale, keep_ratio=keep_ratio))
        steps[-1]['meta_keys'] = ('ori_shape', 'img_shape', 'scale_factor')[: 3 if extractor.input_scale else 2]
        self.pipeline = Compose(steps)

    def __call__(self, images_bgr: list[np.ndarray]) -> list[tuple[np.ndarray, ...]]:
        """Features, class distribution and boxes of each image."""
        if not self.hooked:
            return [self.one(image) for image in images_bgr]
        handle = self.detector.neck.register_forward_hook(lambda _, __, levels: setattr(self, 'levels', levels))
        try:
            return [self.one(image) for image in images_bgr]
        finally:
            handle.remove()

    @torch.no_grad()
    def one(self, image_bgr: np.ndarray) -> tuple[np.ndarray, ...]:
        """One image."""
        from mmdet.apis import inference_detector

        sample = inference_detector(self.detector, image_bgr, test_pipeline=self.pipeline)
        levels = self.levels
        if not self.hooked:
            data = self.pipeline({'img': image_bgr, 'img_id': 0})
            data = {'inputs': [data['inputs']], 'data_samples': [data['data_samples']]}
            levels = self.detector.extract_feat(self.detector.data_preprocessor(data, False)['inputs'])
        boxes = sample.pred_instances.bboxes[:_REGIONS]
        scale = boxes.new_tensor(sample.metainfo.get('scale_factor', (1.0, 1.0))).repeat(2)
        rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes * scale], 1)
        head = read_head(self.detector.roi_head.bbox_head, pool(self.detector, levels, rois))
        parts = (head.inputs.half(), head.class_probs.half(), boxes)
        return tuple(part.cpu().numpy() for part in parts)


@torch.no_grad()
def realistic_threshold(extractor: RoiExtractor, image: np.ndarray) -> float:
    """A score that `_CANDIDATES` pairs of proposal and class reach, so that mmdet thins out no more than it would with
    trained weights (random ones give all classes about the same score)."""
    size = (image.shape[0], image.shape[1])
    tensor = torch.from_numpy(extractor.resize(image).transpose(2, 0, 1).copy())
    detector = extractor.detector
    batch, samples = prepare(detector, [tensor], [size], extractor.device)
    levels = detector.extract_feat(batch)
    (boxes,) = propose(detector, levels, samples)
    rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1)
    scores = read_head(detector.roi_head.bbox_head, pool(detector, levels, rois)).class_probs[:, :-1].flatten()
    return float(scores.topk(min(_CANDIDATES, len(scores))).values[-1])


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """Time of one call, to its end on the device."""
    start = time.perf_counter()
    function()
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.manual_seed(0)
    detector, size = _CASES[args.case]
    size = args.size or size
    extractor = RoiExtractor(detector, min_regions=_REGIONS, max_regions=_REGIONS).to(args.device)
    if extractor.input_scale:  # time the size that was asked for, not the config's
        extractor.input_scale = extractor.input_scale._replace(scale=(size, size))
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(args.images)]
    threshold = realistic_threshold(extractor, images[0])
    extractor.detector.roi_head.test_cfg.update(score_thr=threshold, max_per_img=_REGIONS)
    reversed_images = [np.ascontiguousarray(image[..., ::-1]) for image in images]
    plain, hooked = Baseline(extractor, hooked=False), Baseline(extractor, hooked=True)
    batches = [images[start : start + args.batch] for start in range(0, len(images), args.batch)]
    ways: dict[str, Callable[[], object]] = {
        'extractor': lambda: [extractor.extract(batch) for batch in batches],
        'plain': lambda: plain(reversed_images),
        'hooked': lambda: hooked(reversed_images),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(args.rounds + 1):
        for name, function in ways.items():
            taken = seconds(function, extractor.device)
            if number:  # the first round warms up
                times[name].append(taken)
    rates = {name: len(images) / statistics.median(taken) for name, taken in times.items()}
    report = {
        'benchmark': 'roi_extraction',
        'case': args.case,
        'device': torch.cuda.get_device_name() if args.device.startswith('cuda') else 'cpu',
        'threads': torch.get_num_threads(),
        'image_size': size,
        'batch': args.batch,
        'images': len(images),
        'rounds': args.rounds,
        'images_per_second': {name: round(rate, 2) for name, rate in rates.items()},
        'ratio': round(rates['extractor'] / rates['plain'], 2),
        'ratio_hooked': round(rates['extractor'] / rates['hooked'], 2),
    }
    print(json.dumps(report))


if __name__ == '__main__':
    main()
