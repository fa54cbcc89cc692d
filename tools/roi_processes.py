"""How the processes of extract_roi_features.py find each other, agree, and wait; regions are not exchanged."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist
from cli import CommandLineError, check_launcher

_MEET = timedelta(minutes=5)  # all are started at about the same time
_WAIT = timedelta(days=7)  # for the first process's look at the images, and for the slowest process's share
_VARIABLES = {
    'pytorch': {name: name for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')},
    'slurm': {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'},
    'mpi': {name: f'OMPI_COMM_WORLD_{name.removeprefix("WORLD_")}' for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')},
}
T = TypeVar('T')


class Processes:
    """All processes that share the work; gloo will do.

    Args:
        launcher: how they were started: `none`, `pytorch`, `slurm` or `mpi`.
        meet: how long the first ones wait for the last one to come.

    Raises:
        CommandLineError: there are several processes but no launcher, its variables are not set, or the processes do
            not meet.
    """

    def __init__(self, launcher: str, meet: timedelta = _MEET) -> None:
        check_launcher(launcher)
        self.rank, self.world_size = 0, 1
        if launcher == 'none':
            return
        for name, own in _VARIABLES[launcher].items():
            os.environ.setdefault(name, os.environ.get(own, ''))
            if not os.environ[name]:
                raise CommandLineError(f'--launcher {launcher}: {own} is not set; start with torchrun, srun or mpirun')
        os.environ['MASTER_ADDR'] = meeting_place(launcher, os.environ)
        os.environ.setdefault('MASTER_PORT', '29500')
        try:
            dist.init_process_group('gloo', timeout=meet)
        except (RuntimeError, ValueError) as error:
            raise CommandLineError(
                f'the {os.environ["WORLD_SIZE"]} processes did not meet at {os.environ["MASTER_ADDR"]}:'
                f'{os.environ["MASTER_PORT"]} within {meet}: {str(error).splitlines()[0]}; set MASTER_ADDR and '
                'MASTER_PORT to where every process reaches the first, and GLOO_SOCKET_IFNAME to the network interface '
                'if there are several'
            ) from error
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        # Patience only now that all are known to be there.
        self._group: Any = dist.new_group(backend='gloo', timeout=_WAIT)

    def from_first(self, step: Callable[[], T]) -> T:
        """What a step, taken by the first process alone, gives; where it fails there, all end and the first says why.

        Args:
            step: its result can be pickled.

        Raises:
            CommandLineError: the first process has died.
        """
        if self.world_size == 1:
            return step()
        verdict: list[Any] = [False, None]
        failure: Exception | None = None
        if self.rank == 0:
            try:
                verdict = [True, step()]
            except Exception as error:
                failure = error
        _together(lambda: dist.broadcast_object_list(verdict, src=0, group=self._group))
        if failure is not None:
            raise failure
        if not verdict[0]:
            raise SystemExit(2)
        return verdict[1]

    def wait(self) -> None:
        """Wait until all have come here.

        Raises:
            CommandLineError: a process has died before.
        """
        if self.world_size > 1:
            _together(lambda: dist.barrier(group=self._group))

    def end(self) -> None:
        """Part from the others."""
        if dist.is_initialized():
            dist.destroy_process_group()


def _together(step: Callable[[], object]) -> None:
    try:
        step()
    except RuntimeError as error:  # its connection is closed
        raise CommandLineError(
            'another process has ended before its time, and its output says why; finished shards are kept, and the '
            'same command goes on'
        ) from error


def meeting_place(launcher: str, environment: Mapping[str, str]) -> str:
    """The host of the first process: what MASTER_ADDR says, else the first of SLURM's nodes, else this machine.

    Args:
        launcher: `pytorch`, `slurm` or `mpi`.
        environment: the variables.

    Raises:
        CommandLineError: there are several nodes, and none can be told to be the first.
    """
    if address := environment.get('MASTER_ADDR'):
        return address
    several = False
    if launcher == 'slurm':
        nodes = environment.get('SLURM_STEP_NODELIST') or environment.get('SLURM_JOB_NODELIST', '')
        if several := bool({',', '['} & set(nodes)):
            if host := _first_host(nodes, environment):
                return host
    else:
        local = 'LOCAL_WORLD_SIZE' if launcher == 'pytorch' else 'OMPI_COMM_WORLD_LOCAL_SIZE'
        several = environment.get(local, environment['WORLD_SIZE']) != environment['WORLD_SIZE']
    if several:
        reason = ', and `scontrol show hostnames` does not tell the first of them' if launcher == 'slurm' else ''
        raise CommandLineError(
            f'--launcher {launcher}: there are several nodes{reason}; set MASTER_ADDR to the host of the first process'
        )
    return '127.0.0.1'


def _first_host(nodes: str, environment: Mapping[str, str]) -> str | None:
    """First of the hosts that SLURM's own tool makes of a list such as `node[07-09,12]`."""
    scontrol = shutil.which('scontrol', path=environment.get('PATH'))
    if scontrol is None:
        return None
    done = subprocess.run([scontrol, 'show', 'hostnames', nodes], capture_output=True, text=True, timeout=60)
    hosts = done.stdout.split()
    return hosts[0] if done.returncode == 0 and hosts else None
