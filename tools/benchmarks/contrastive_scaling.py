"""Memory and communication of the contrastive losses on each rank, by number of processes; prints one JSON line.

Each of several gloo processes holds the embeddings of `--batch` pairs and computes the loss of the global batch and its
gradients, once with the local loss (a process scores its own rows, B x N) and once without (all rows, N x N). Counted
are the bytes that the collectives hand to a rank, and the peak of the bytes of live tensors beside the embeddings. The
growth is the exponent of both in the global batch N, from the last two numbers of processes: 1 is linear.
"""

import argparse
import json
import math
import multiprocessing
import os
import socket
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rc3mm.models.losses import info_nce, pair_similarities

_EXAMPLES = """\
examples:
  python tools/benchmarks/contrastive_scaling.py
  python tools/benchmarks/contrastive_scaling.py --processes 2 4 8 --batch 64 --dim 768

every process computes on one thread; seconds say little where there are fewer cores than processes
"""


def main() -> None:
    """Measure and print."""
    args = parse_args()
    multiprocessing.get_context('forkserver').set_forkserver_preload(['rc3mm.models.losses'])
    cases = [case for processes in args.processes for case in measure(processes, args.batch, args.dim)]
    report = {
        'benchmark': 'contrastive_scaling',
        'device': f'cpu, gloo, {os.cpu_count()} cores, one thread a process',
        'batch_of_a_process': args.batch,
        'dim': args.dim,
        'versions': {'torch': str(torch.__version__)},
        'cases': cases,
        'growth': {
            name: {key: growth([case for case in cases if case['local_loss'] is local], key) for key in KEYS}
            for name, local in (('local_loss', True), ('all_rows', False))
        },
    }
    print(json.dumps(report))


KEYS = ('received_bytes', 'peak_bytes')
LOSSES = (True, False)  # local, of all rows


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EXAMPLES
    )
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2, 4], help='numbers of processes (1 2 4)')
    parser.add_argument('--batch', type=int, default=256, help='pairs of each process (256)')
    parser.add_argument('--dim', type=int, default=256, help='width of the embeddings (256)')
    return parser.parse_args()


def growth(cases: Sequence[dict[str, Any]], key: str) -> float | None:
    """Exponent of a number in the global batch, from the last two cases; None where there is nothing to compare."""
    if len(cases) < 2 or not cases[-2][key]:
        return None
    before, after = cases[-2:]
    return round(math.log(after[key] / before[key]) / math.log(after['global_batch'] / before['global_batch']), 3)


def measure(processes: int, batch: int, dim: int) -> list[dict[str, Any]]:
    """Both losses on so many processes; of each the largest number of any rank."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        arguments = (processes, port, batch, dim, folder)
        mp.start_processes(_process, args=arguments, nprocs=processes, start_method='forkserver')
        ranks = [json.loads((Path(folder) / str(rank)).read_text()) for rank in range(processes)]
    return [
        {
            'processes': processes,
            'global_batch': processes * batch,
            'local_loss': local,
            **{key: max(rank[place][key] for rank in ranks) for key in ranks[0][place]},
        }
        for place, local in enumerate(LOSSES)
    ]


def _process(rank: int, processes: int, port: int, batch: int, dim: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=processes)
    try:
        received: list[int] = []
        for name in ('all_gather_single', 'all_reduce'):
            setattr(dist, name, _counting(getattr(dist, name), received))
        steps = [_counted_step(batch, dim, local, received) for local in LOSSES]
        (Path(folder) / str(rank)).write_text(json.dumps(steps))
    finally:
        dist.destroy_process_group()


def _counted_step(batch: int, dim: int, local: bool, received: list[int]) -> dict[str, Any]:
    """Bytes and seconds of one loss with its backward pass."""
    a, b = (torch.nn.functional.normalize(torch.randn(batch, dim), dim=1).requires_grad_() for _ in range(2))
    tau = torch.tensor(0.07, requires_grad=True)
    received.clear()
    dist.barrier()
    start = time.perf_counter()
    with LiveBytes() as live:
        info_nce(pair_similarities(a, b, local_loss=local), tau).backward()
    return {
        'received_bytes': sum(received),
        'peak_bytes': live.peak,
        'seconds': round(time.perf_counter() - start, 4),
    }


def _counting(collective: Callable[..., Any], received: list[int]) -> Callable[..., Any]:
    """The collective, which notes the bytes of its result."""

    def counted(out: Tensor, *args: Any, **kwargs: Any) -> Any:
        received.append(out.numel() * out.element_size())
        return collective(out, *args, **kwargs)

    return counted


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within a block, while they live.

    Attributes:
        peak: the most that lived at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See `TorchDispatchMode`."""
        held = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in self.known | held:
                    self.known.add(storage._cdata)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


if __name__ == '__main__':
    main()
