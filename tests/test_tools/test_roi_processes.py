"""tools/roi_processes.py: processes that meet, wait and end together; `scontrol`, a command of clusters, is a stub."""

import importlib
import multiprocessing
import os
import socket
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module('roi_processes')


def free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


# ------------------------------------------------------------------------------------------------ where to meet


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """A `scontrol` that knows the hosts of one list."""
    stub = tmp_path / 'scontrol'
    stub.write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames gpu[07-08,12]" ] || exit 1\nprintf "gpu07\\ngpu08\\ngpu12\\n"\n'
    )
    stub.chmod(0o755)
    return {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'WORLD_SIZE': '6'}


@pytest.mark.parametrize(
    ('launcher', 'variables', 'address'),
    [
        ('slurm', {'SLURM_JOB_NODELIST': 'gpu[07-08,12]'}, 'gpu07'),
        ('slurm', {'SLURM_STEP_NODELIST': 'gpu[07-08,12]', 'SLURM_JOB_NODELIST': 'gpu[01-99]'}, 'gpu07'),
        ('slurm', {'SLURM_JOB_NODELIST': 'gpu07'}, '127.0.0.1'),
        ('slurm', {'SLURM_JOB_NODELIST': 'gpu[07-08,12]', 'MASTER_ADDR': 'here'}, 'here'),
        ('mpi', {'OMPI_COMM_WORLD_LOCAL_SIZE': '6'}, '127.0.0.1'),
        ('mpi', {'OMPI_COMM_WORLD_LOCAL_SIZE': '3', 'MASTER_ADDR': 'here'}, 'here'),
        ('pytorch', {}, '127.0.0.1'),
        ('pytorch', {'LOCAL_WORLD_SIZE': '3', 'MASTER_ADDR': 'here'}, 'here'),
    ],
)
def test_processes_meet_at_the_first(
    module: ModuleType, cluster: dict[str, str], launcher: str, variables: dict[str, str], address: str
) -> None:
    assert module.meeting_place(launcher, cluster | variables) == address


@pytest.mark.parametrize(
    ('launcher', 'variables', 'said'),
    [
        ('slurm', {'SLURM_JOB_NODELIST': 'gpu[1-2]'}, 'several nodes, and `scontrol show hostnames` does not tell'),
        ('slurm', {'SLURM_JOB_NODELIST': 'gpu[07-08,12]', 'PATH': ''}, 'several nodes, and `scontrol show hostnames`'),
        ('mpi', {'OMPI_COMM_WORLD_LOCAL_SIZE': '3'}, 'several nodes; set MASTER_ADDR to the host of the first process'),
        ('pytorch', {'LOCAL_WORLD_SIZE': '3'}, 'several nodes; set MASTER_ADDR'),
    ],
)
def test_several_nodes_without_a_meeting_place_are_an_error(
    module: ModuleType, cluster: dict[str, str], launcher: str, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(module.CommandLineError, match=said.replace('[', r'\[')):
        module.meeting_place(launcher, cluster | variables)


@pytest.mark.parametrize('rank', [0, 1])
def test_who_never_comes_is_not_waited_for_long(module: ModuleType, monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    port = free_port()
    for name, value in dict(RANK=rank, WORLD_SIZE=2, LOCAL_RANK=0, MASTER_ADDR='127.0.0.1', MASTER_PORT=port).items():
        monkeypatch.setenv(name, str(value))
    started = time.monotonic()
    with pytest.raises(module.CommandLineError, match=rf'the 2 processes did not meet at 127.0.0.1:{port} within 0:0'):
        module.Processes('pytorch', meet=timedelta(seconds=1))
    assert time.monotonic() - started < 30


# ---------------------------------------------------------------------------------------------- waiting, ending


def _share(rank: int, port: int, folder: str, ready: Any) -> None:
    """One of two processes; what it meets with goes to a file."""
    sys.path.insert(0, str(TOOLS))
    from cli import CommandLineError
    from roi_processes import Processes

    log = open(Path(folder) / str(rank), 'w', buffering=1)
    os.environ |= dict(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK='0', MASTER_PORT=str(port))
    ready.wait()
    processes = Processes('pytorch', meet=timedelta(seconds=2))

    def slow() -> str:
        time.sleep(3)  # longer than the first ones wait for the last one to come
        return f'seen by {rank}'

    print(processes.from_first(slow), file=log)
    if rank == 1:
        time.sleep(3)
    processes.wait()

    def fail() -> None:
        raise CommandLineError(f'{rank} failed')

    try:
        processes.from_first(fail)
    except (CommandLineError, SystemExit) as end:
        print(repr(end), file=log)
    if rank == 1:
        os._exit(0)
    try:
        processes.wait()
    except CommandLineError as end:
        print(end, file=log)


def test_two_processes_wait_for_each_other_and_end_together(tmp_path: Path) -> None:
    context, port = multiprocessing.get_context('spawn'), free_port()
    ready = context.Barrier(2)
    processes = [context.Process(target=_share, args=(rank, port, str(tmp_path), ready)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = ((tmp_path / str(rank)).read_text().splitlines() for rank in range(2))
    assert first[:2] == ['seen by 0', "CommandLineError('0 failed')"]
    assert second == ['seen by 0', 'SystemExit(2)']
    assert 'another process has ended before its time' in first[2]


def test_several_processes_need_a_launcher(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(module.CommandLineError, match='without --launcher; add `--launcher pytorch`'):
        module.Processes('none')


def test_alone_there_is_nobody_to_wait_for(module: ModuleType) -> None:
    processes = module.Processes('none')
    assert (processes.rank, processes.world_size, processes.from_first(lambda: 3)) == (0, 1, 3)
    processes.wait()
    processes.end()
