"""Run a function on real gloo processes."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Processes are forks of one that has imported all this and computed nothing; it is started with the first of them.
IMPORTS = ['pytest', 'rc3mm.datasets', 'rc3mm.engine', 'rc3mm.models', 'transformers.models.xlm_roberta']


def _entry(rank: int, world_size: int, port: int, function: Callable[..., Any], args: tuple, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=world_size)
    try:
        torch.save(function(*args), Path(folder) / f'{rank}.pt')
    finally:
        dist.destroy_process_group()


def run_on_processes(function: Callable[..., Any], args: tuple, folder: Path, world_size: int = 2) -> list[Any]:
    """Results of `function(*args)` on each of `world_size` processes of one gloo group, in rank order.

    Args:
        function: importable at module level; returns tensors and plain containers.
        args: its arguments.
        folder: an empty folder for the results.
        world_size: number of processes.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    multiprocessing.get_context('forkserver').set_forkserver_preload(IMPORTS)
    arguments = (world_size, port, function, args, str(folder))
    mp.start_processes(_entry, args=arguments, nprocs=world_size, start_method='forkserver')
    return [torch.load(folder / f'{rank}.pt', weights_only=True) for rank in range(world_size)]
