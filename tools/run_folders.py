"""Trainings and tests as folders: each is run once, resumed if it was interrupted, and read if it is there."""

import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cli import CommandLineError
from mmengine.config import Config
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rc3mm.engine.hooks.report import read_history
from rc3mm.utils.checkpoint import find_chosen_checkpoint

__all__ = ['ROOT', 'Run', 'call', 'digest_of', 'execute_all', 'execute_as_ready']

ROOT = Path(__file__).resolve().parents[1]
K = TypeVar('K', bound=Hashable)
_LAST = 0.1  # share of a training whose losses are averaged


@dataclass
class Run:
    """One training with its tests.

    Attributes:
        name: what it is called in tables, such as an arm of an ablation.
        seed: of weights, order and draws.
        config: path of its config file.
        digest: of the config and the options, see `digest_of`.
        options: `--cfg-options` of training and tests.
        tests: name -> further `--cfg-options` of a test.
        folder: where it works.
        results: name of a test -> metrics.
        losses: name -> mean over the last tenth of the training.
        checkpoint: weights to be tested as they are; None to train.
    """

    name: str
    seed: int
    config: str
    digest: str
    options: list[str]
    tests: dict[str, list[str]]
    folder: Path
    results: dict[str, dict[str, float]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    checkpoint: str | None = None


def call(command: Sequence[str], log: Path, threads: int) -> None:
    """Run one command to its end.

    Raises:
        CommandLineError: it failed; the message has its last lines.
    """
    environment = {**os.environ, 'OMP_NUM_THREADS': str(threads), 'MKL_NUM_THREADS': str(threads)}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('a', encoding='utf-8') as file:
        file.write(f'$ {shlex.join(command)}\n')
        file.flush()
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT, check=False)
    if done.returncode:
        last = ' | '.join(log.read_text(encoding='utf-8', errors='replace').splitlines()[-3:])
        raise CommandLineError(f'{shlex.join(command)} ended with code {done.returncode}; see {log}: {last}')


def digest_of(config: str, options: Sequence[str]) -> str:
    """Stands for what a run is made of. Not for threads: parsing a config changes the state of the interpreter."""
    cfg = Config.fromfile(config)
    for key in ('ablation', 'few_shot', 'suite'):  # what is to be done with runs, not what one is made of
        cfg.pop(key, None)
    text = json.dumps([cfg.to_dict(), options], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_same(run: Run) -> None:
    """Note what a run is made of, or compare it with what is noted."""
    note = run.folder / 'made_of.json'
    if not note.exists():
        run.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({'sha256': run.digest, 'options': run.options}, indent=1), encoding='utf-8')
    elif json.loads(note.read_text(encoding='utf-8'))['sha256'] != run.digest:
        raise CommandLineError(
            f'{run.folder} holds a run of another config or other options (see {note}); name another --work-dir, or '
            'remove the folder'
        )


def execute(run: Run, threads: int) -> Run:
    """Train and test one run, or read what is there of it.

    Raises:
        CommandLineError: a command failed, or the folder holds a run of another config or other options.
    """
    log, python = run.folder / 'log.txt', sys.executable
    check_same(run)
    checkpoint = run.checkpoint or _train(run, log, threads)
    for name, options in run.tests.items():
        out = run.folder / f'test_{name}.json'
        if not out.exists():
            test = [python, 'tools/test.py', run.config, checkpoint, '--work-dir', str(run.folder / f'test_{name}')]
            more = [*run.options, *options]
            call([*test, '--out', str(out), *(['--cfg-options', *more] if more else [])], log, threads)
        run.results[name] = json.loads(out.read_text(encoding='utf-8'))['metrics']
    for name, points in read_history(run.folder).items():
        if name.startswith('loss_'):
            last = [value for step, value in points if step > points[-1][0] * (1 - _LAST)]
            run.losses[name] = statistics.fmean(last)
    return run


def _train(run: Run, log: Path, threads: int) -> str:
    """Train, unless that is done; returns the path of the checkpoint that the training chose.

    Raises:
        CommandLineError: training failed, or the checkpoint is gone.
    """
    done = run.folder / 'trained'
    if not done.exists():
        train = [sys.executable, 'tools/train.py', run.config, '--work-dir', str(run.folder), '--resume']
        call([*train, '--cfg-options', *run.options, 'test_after_train=False'], log, threads)
        done.touch()
    chosen = find_chosen_checkpoint(run.folder)
    if chosen is None or not chosen.is_file():
        raise CommandLineError(f'{run.folder} was trained, but {chosen or "its checkpoint"} is gone; remove the folder')
    return str(chosen)


def execute_all(runs: Sequence[Run], jobs: int, ended: Callable[[Run], None] = lambda run: None) -> list[Run]:
    """Execute runs, some at a time, with a bar of progress.

    Args:
        runs: what to do.
        jobs: how many at a time, each with its share of the cores.
        ended: called with each run that has ended.
    """
    finished = execute_as_ready(dict.fromkeys(range(len(runs))), lambda number: runs[number], jobs, ended)
    return [finished[number] for number in range(len(runs))]


def execute_as_ready(
    steps: Mapping[K, K | None],
    plan: Callable[[K], Run | None],
    jobs: int,
    ended: Callable[[Run], None] = lambda run: None,
) -> dict[K, Run]:
    """Execute runs of which some begin where others have ended, some at a time, with a bar of progress.

    Args:
        steps: key of each run, the urgent ones first -> key of the run that has to end before, or None.
        plan: makes a run when its turn has come, or leaves it out (None). It is called in this thread.
        jobs: how many at a time, each with its share of the cores.
        ended: called with each run that has ended.

    Returns:
        The runs that were executed.

    Raises:
        CommandLineError: the first run that failed; all that do not depend on it are executed before.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    parts = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    waiting, working = dict(steps), {}
    finished: dict[K, Run] = {}
    failure: CommandLineError | None = None
    console = Console(stderr=True)
    with Progress(*parts, TimeRemainingColumn(), console=console) as progress, ThreadPoolExecutor(jobs) as pool:
        bar = progress.add_task('runs', total=len(waiting))
        while waiting or working:
            ready = [key for key, before in waiting.items() if before is None or before in finished]
            if not ready and not working:
                break  # what is left would begin where a failed run should have ended
            for key in ready[: jobs - len(working)]:
                del waiting[key]
                if run := plan(key):
                    working[pool.submit(execute, run, threads)] = key
                else:
                    progress.advance(bar)
            for future in wait(working, return_when=FIRST_COMPLETED).done:
                key = working.pop(future)
                try:
                    finished[key] = future.result()
                except CommandLineError as error:
                    failure = failure or error
                else:
                    ended(finished[key])
                progress.advance(bar)
    if failure:
        raise failure
    return finished
