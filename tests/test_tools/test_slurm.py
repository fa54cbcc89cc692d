"""slurm_train.sh and the usage texts of the shell scripts; `srun`, the cluster's own command, is a stub."""

import os
import subprocess
from pathlib import Path

import pytest

from rc3mm.engine.runner import first_host

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def run_slurm_train(tmp_path: Path, *arguments: str, **environment: str) -> list[str]:
    """Run the script with an srun that prints its arguments, one a line, and some variables."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nfor a in "$@"; do echo "$a"; done\necho "threads=$OMP_NUM_THREADS"\n')
    srun.chmod(0o755)
    names = ('GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'SRUN_ARGS', 'OMP_NUM_THREADS', 'PYTHON')
    env = {key: value for key, value in os.environ.items() if key not in names}
    env |= {'PATH': f'{tmp_path}:{env["PATH"]}', **environment}
    done = subprocess.run([TOOLS / 'slurm_train.sh', *arguments], env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_defaults(tmp_path: Path) -> None:
    lines = run_slurm_train(tmp_path, 'gpu', 'my job', 'c.py', 'work dirs/w')
    assert lines == [
        *('-p', 'gpu', '--job-name=my job', '--gres=gpu:8', '--ntasks=8', '--ntasks-per-node=8'),
        *('--cpus-per-task=5', '--kill-on-bad-exit=1', 'python', '-u', f'{TOOLS}/train.py', 'c.py'),
        *('--work-dir', 'work dirs/w', '--launcher', 'slurm', 'threads=1'),
    ]


def test_environment_and_further_arguments(tmp_path: Path) -> None:
    lines = run_slurm_train(
        *(tmp_path, 'gpu', 'j', 'c.py', 'w', '--amp', '--cfg-options', 'a.b=[1, 2]'),
        GPUS='4',
        CPUS_PER_TASK='2',
        SRUN_ARGS='--time=2-0 --qos=long',
        PYTHON='python3.12',
        OMP_NUM_THREADS='3',
    )
    assert {'--gres=gpu:4', '--ntasks=4', '--ntasks-per-node=4', '--cpus-per-task=2', 'python3.12'} <= set(lines)
    assert {'--time=2-0', '--qos=long', 'threads=3'} <= set(lines)
    assert lines[-6:-1] == ['--launcher', 'slurm', '--amp', '--cfg-options', 'a.b=[1, 2]']
    assert '--ntasks-per-node=8' in run_slurm_train(tmp_path, 'gpu', 'j', 'c.py', 'w', GPUS='16')


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_usage_without_arguments(script: str) -> None:
    done = subprocess.run([TOOLS / script], capture_output=True, text=True)  # run as a command: it is executable
    assert done.returncode == 2
    assert done.stdout == '' and done.stderr.startswith('usage: ') and 'PYTHON' in done.stderr


def test_processes_without_gpus_meet_on_the_first_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_host(None) == '127.0.0.1'
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames gpu[07-08]" ] && printf "gpu07\\ngpu08\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    assert first_host('gpu[07-08]') == 'gpu07'
