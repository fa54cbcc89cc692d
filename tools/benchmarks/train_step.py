"""Time one training step by part; prints one JSON line.

Parts are measured by hooks around the real step of a config's model on real batches of its loader, so they add up to
the step. FLOPs are counted by `torch.utils.flop_counter` (matrix products, convolutions, attention), and compared with
the rate of a large matrix product measured in the same run.
"""

import argparse
import json
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rc3mm.engine import BFloat16OptimWrapper
from rc3mm.registry import DATA_SAMPLERS, DATASETS, MODELS
from rc3mm.utils.allocator import keep_freed_memory

PARTS = {'text_encoder': 'text', 'patch_encoder': 'visual', 'roi_encoder': 'visual', 'fusion': 'fusion'}


def main() -> None:
    """Measure and print."""
    args = parse_args()
    kept = args.keep_freed_memory and keep_freed_memory()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope('rc3mm')
    torch.manual_seed(0)
    device = torch.device(get_device())
    model = MODELS.build(cfg.model).to(device).train()
    wrapper_cfg = dict(cfg.optim_wrapper)
    if args.amp:
        wrapper_cfg['type'] = 'BFloat16OptimWrapper'
    wrapper = build_optim_wrapper(model, wrapper_cfg)
    batches = load_batches(cfg, args.batches)
    bench = Bench(model, wrapper, device)
    sources: dict[str, dict[str, Any]] = {}
    first = next(iter(batches.values()))[0][0]
    bench.step(first)  # makes the optimiser's state
    for source, (batch_list, data_seconds) in batches.items():
        flop = statistics.mean(bench.count_flop(batch) for batch in batch_list)  # and warms up
        bench.reset()
        for number in range(args.steps):
            bench.step(batch_list[number % len(batch_list)])
        sources[source] = {'samples': len(batch_list[0]['data_samples']), 'gflop': round(flop / 1e9, 2)}
        sources[source] |= bench.summary(data_seconds)
    peak = peak_memory(device)
    if args.trace:
        bench.trace(first, args.trace)
    rates = {str(dtype).removeprefix('torch.'): matmul_rate(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    dtype = 'bfloat16' if isinstance(wrapper, BFloat16OptimWrapper) else 'float32'
    ratios = cfg.train_dataloader.sampler.get('ratios') or dict.fromkeys(sources, 1.0)
    total = mixture(sources, dict(ratios))
    report = {
        'benchmark': 'train_step',
        'config': args.config,
        'device': torch.cuda.get_device_name() if device.type == 'cuda' else f'cpu, {torch.get_num_threads()} threads',
        'dtype': dtype,
        'torch': torch.__version__,
        'keeps_freed_memory': bool(kept),
        **{key: round(value, 4) for key, value in total.items()},
        'matmul_tflops': {name: round(rate / 1e12, 4) for name, rate in rates.items()},
        'share_of_matmul_rate': round(total['gflop_per_second'] * 1e9 / rates[dtype], 3),
        'samples_per_float32_tflop': round(total['samples_per_second'] / (rates['float32'] / 1e12), 2),
        'peak_memory_mb': round(peak / 2**20),
        'sources': sources,
    }
    print(json.dumps(report))


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example:\n  python tools/benchmarks/train_step.py configs/rc3/pretrain_tiny.py --steps 10\n',
    )
    parser.add_argument('config', help='a pre-training config')
    parser.add_argument('--steps', type=int, default=8, help='timed steps a source (median is reported)')
    parser.add_argument('--batches', type=int, default=4, help='different batches a source')
    parser.add_argument('--amp', action='store_true', help="bfloat16 autocast, if it is not the config's already")
    parser.add_argument(
        '--keep-freed-memory',
        action=argparse.BooleanOptionalAction,
        default=not torch.cuda.is_available(),
        help='as tools/train.py does without a GPU: pages are not given back between the steps',
    )
    parser.add_argument('--trace', metavar='FILE', help='write a trace of one step (.json), for chrome://tracing')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override config entries')
    return parser.parse_args()


def load_batches(cfg: Config, count: int) -> dict[str, tuple[list[dict[str, Any]], float]]:
    """Batches of each source as the loader's workers make them, and the median seconds that making one takes."""
    loader = cfg.train_dataloader
    dataset = DATASETS.build(loader.dataset)
    sampler = DATA_SAMPLERS.build(dict(loader.sampler), default_args=dict(dataset=dataset))
    collate: dict[str, Any] = dict(loader.collate_fn)
    function: Callable[..., dict[str, Any]] = collate.pop('type')
    found: dict[str, tuple[list[dict[str, Any]], list[float]]] = defaultdict(lambda: ([], []))
    wanted = {name for name, share in zip(sampler.names, sampler.probabilities, strict=True) if share > 0}
    for draws in sampler:
        name = sampler.names[draws[0].source]
        if len(found[name][0]) < count:
            start = time.perf_counter()
            batch = function(dataset[draws], **collate)
            found[name][1].append(time.perf_counter() - start)
            found[name][0].append(batch)
        if all(len(found[name][0]) >= count for name in wanted):
            break
    return {name: (items, statistics.median(seconds)) for name, (items, seconds) in found.items()}


class Bench:
    """One training step, clocked by part.

    Args:
        model: on `device`, in training mode.
        wrapper: its optimiser wrapper.
        device: for synchronisation.
    """

    def __init__(self, model: nn.Module, wrapper: Any, device: torch.device) -> None:
        self.model, self.wrapper, self.device = model, wrapper, device
        self.reset()
        for name, part in PARTS.items():
            module = getattr(model, name, None)
            if module is not None:
                module.register_forward_pre_hook(lambda *_, part=part: self.starts.append(self.now()))
                module.register_forward_hook(lambda *_, part=part: self.stop(part))

    def reset(self) -> None:
        """Forget what was measured."""
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.current: dict[str, float] = defaultdict(float)
        self.starts: list[float] = []
        self.flops: list[int] = []

    def now(self) -> float:
        """The time, after the device has finished what it was given."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter()

    def stop(self, part: str) -> None:
        """Book the time since the part started."""
        self.current[part] += self.now() - self.starts.pop()

    @contextmanager
    def clocked(self, part: str) -> Iterator[None]:
        """Book the time of a block."""
        start = self.now()
        yield
        self.current[part] += self.now() - start

    def step(self, batch: dict[str, Any]) -> None:
        """One full step, on a copy of the batch (the preprocessor works in place)."""
        self.current = defaultdict(float)
        batch = {'inputs': dict(batch['inputs']), 'data_samples': batch['data_samples']}
        with self.clocked('step'):
            with self.clocked('preprocess'):
                data = self.model.data_preprocessor(batch, True)
            with self.clocked('forward'), self.wrapper.optim_context(self.model):
                losses = self.model(**data, mode='loss')
            total, _ = self.model.parse_losses(losses)
            with self.clocked('backward'):
                self.wrapper.backward(total)
            with self.clocked('optimizer'):
                self.wrapper.step()
                self.wrapper.zero_grad()
        inside = sum(self.current[part] for part in set(PARTS.values()))
        self.current['losses'] = self.current.pop('forward') - inside
        for part, seconds in self.current.items():
            self.seconds[part].append(seconds)

    def summary(self, data_seconds: float) -> dict[str, Any]:
        """Medians by part, of the steps since the last reset."""
        medians = {part: statistics.median(values) for part, values in self.seconds.items()}
        step = medians.pop('step')
        return {
            'step_seconds': round(step, 4),
            'seconds': {'data (in a worker)': round(data_seconds, 4)}
            | {part: round(value, 4) for part, value in sorted(medians.items())},
        }

    def count_flop(self, batch: dict[str, Any]) -> int:
        """Floating-point operations of a step: matrix products, convolutions and attention, forward and backward.

        The gradients of word_cross_entropy come in its forward pass, and are counted as well.
        """
        batch = {'inputs': dict(batch['inputs']), 'data_samples': batch['data_samples']}
        with FlopCounterMode(display=False) as counter:
            data = self.model.data_preprocessor(batch, True)
            with self.wrapper.optim_context(self.model):
                losses = self.model(**data, mode='loss')
            self.model.parse_losses(losses)[0].backward()
        self.wrapper.zero_grad()
        return counter.get_total_flops()

    def trace(self, batch: dict[str, Any], path: str) -> None:
        """Write a trace of one step by `torch.profiler`."""
        with torch.profiler.profile(record_shapes=True) as profiler:
            self.step(batch)
        profiler.export_chrome_trace(path)


def mixture(sources: dict[str, dict[str, Any]], ratios: dict[str, float]) -> dict[str, float]:
    """Samples and operations a second when sources are drawn by their ratios."""
    total = sum(ratios[name] for name in sources)
    weight = {name: ratios[name] / total for name in sources}
    seconds = sum(weight[name] * sources[name]['step_seconds'] for name in sources)
    samples = sum(weight[name] * sources[name]['samples'] for name in sources)
    gflop = sum(weight[name] * sources[name]['gflop'] for name in sources)
    return {
        'samples_per_second': samples / seconds,
        'seconds_per_iteration': seconds,
        'gflop_per_sample': gflop / samples,
        'gflop_per_second': gflop / seconds,
    }


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int = 2048, repeats: int = 5) -> float:
    """Floating-point operations a second of a square matrix product, the best of several."""
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    best = float('inf')
    for _ in range(repeats + 1):
        if device.type == 'cuda':
            torch.cuda.synchronize()
        start = time.perf_counter()
        a @ b
        if device.type == 'cuda':
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's allocator, or of the whole process on a CPU."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == '__main__':
    main()
