"""Fixtures for the tests that run the command-line tools: a warm launcher and one shared trained run."""

import ast
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')  # threads that wait actively for a busy core multiply the time
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
_SOURCES = 'train_dataloader.dataset.sources'


@dataclass
class Finished:
    """A run that has ended: exit code (negative: killed by that signal) and all that it printed."""

    code: int
    output: str


class WarmLauncher:
    """Client of warm_launcher.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / 'tests' / 'warm_launcher.py')],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / 'launcher.log').open('w'),
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
        )

    def __call__(
        self,
        *command: object,
        before: Sequence[Path] = (),
        meanwhile: Callable[[int], None] | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Finished:
        """Run a script of tools/ to its end.

        Args:
            command: name of the script and its arguments.
            before: Python files that the process runs first.
            meanwhile: called with the process's id while it runs.
            environment: variables that differ from those at the launcher's start.
        """
        with self.lock:
            self.count += 1
            log = self.folder / f'{self.count}.log'
            script, *arguments = map(str, command)
            request = {
                'command': [str(ROOT / 'tools' / script), *arguments],
                'before': [str(p) for p in before],
                'log': str(log),
                'environment': dict(environment),
            }
            code = self._run(request, meanwhile)
        return Finished(code, log.read_text(encoding='utf-8'))

    def _run(self, request: dict[str, Any], meanwhile: Callable[[int], None] | None) -> int:
        """Hand over a request and wait for the end of its process."""
        assert self.process.stdin and self.process.stdout
        assert self.process.poll() is None, (self.folder / 'launcher.log').read_text(encoding='utf-8')
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, (self.folder / 'launcher.log').read_text(encoding='utf-8')
        pid = json.loads(answer)['pid']
        if meanwhile:
            meanwhile(pid)
        return json.loads(self.process.stdout.readline())['code']

    def close(self) -> None:
        """End the launcher."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope='session', autouse=True)
def plain_configs() -> Iterator[None]:
    """A run stores its config without yapf, which takes seconds over it: longer than the training in most tests."""

    def check(text: str, **_: Any) -> tuple[str, bool]:
        ast.parse(text)  # an error stays one
        return text, True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', check)
        yield


@pytest.fixture(scope='session')
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmLauncher]:
    """Starts scripts in no time."""
    launcher = WarmLauncher(tmp_path_factory.mktemp('warm'))
    yield launcher
    launcher.close()


@pytest.fixture
def warm_scripts(warm: WarmLauncher, monkeypatch: pytest.MonkeyPatch) -> WarmLauncher:
    """Scripts of tools/ that a tool under test starts by `subprocess.run` start as fast: the launcher runs them."""
    run = subprocess.run

    def run_warm(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess:
        python, script = [*command, ''][:2]
        if python != sys.executable or not script.startswith('tools/'):
            return run(command, **options)
        assert (Path(options['cwd']) / script).is_file()
        done = warm(script.removeprefix('tools/'), *command[2:], environment=options['env'])
        options['stdout'].write(done.output)
        return subprocess.CompletedProcess(command, done.code)

    monkeypatch.setattr(subprocess, 'run', run_warm)
    return warm


def shrink(iterations: int, batch: int = 4, interval: int = 2) -> list[str]:
    """`--cfg-options` that make of the tiny config a run of seconds, with nothing left out."""
    return [
        f'train_cfg.max_iters={iterations}',
        f'train_cfg.val_interval={interval}',
        f'default_hooks.checkpoint.interval={interval}',
        'default_hooks.logger.interval=1',
        'log_processor.window_size=2',
        *(f'train_dataloader.sampler.batch_size.{source}={batch}' for source in ('strict', 'weak', 'parallel')),
        *(f'{_SOURCES}.{source}.num_scenes=100' for source in ('strict', 'weak', 'parallel')),
        f'{_SOURCES}.weak.pipeline.2.scorer.num_sentences=300',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'val_dataloader.dataset.num_scenes=6',
        'test_dataloader.dataset.num_scenes=8',
        'test_cfg.rerank_topk=4',
        'param_scheduler.0.end=2',
        'param_scheduler.1.begin=2',
        f'param_scheduler.1.end={iterations}',
    ]


@pytest.fixture(scope='session')
def shrunk() -> Callable[..., list[str]]:
    """See `shrink`."""
    return shrink


@pytest.fixture(scope='session')
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of configs/, beside which a test may put configs of its own that inherit from it."""
    folder = tmp_path_factory.mktemp('configs') / 'configs'
    shutil.copytree(ROOT / 'configs', folder)
    return folder


@dataclass
class TrainedRun:
    """A finished training: its config, the options it ran with, its work dir and what it printed."""

    config: Path
    options: list[str]
    work_dir: Path
    output: str
    seconds: float


@pytest.fixture(scope='session')
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """`python tools/train.py` on the shrunk tiny config, once for all tests and all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    config, options, work_dir = ROOT / 'configs/rc3/pretrain_tiny.py', shrink(4), base / 'trained_tiny'
    log = base / 'trained_tiny.log'
    start = time.monotonic()
    with (base / 'trained_tiny.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            # the config's own loader, with its worker process
            own = [o for o in options if 'num_workers' not in o and 'persistent_workers' not in o]
            command = [
                sys.executable,
                'tools/train.py',
                config,
                '--work-dir',
                work_dir,
                '--cfg-options',
                *own,
            ]
            done = subprocess.run(
                list(map(str, command)),
                cwd=ROOT,
                env=ENVIRONMENT,
                capture_output=True,
                text=True,
                timeout=240,
            )
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            log.write_text(done.stdout + done.stderr, encoding='utf-8')
    return TrainedRun(config, options, work_dir, log.read_text(encoding='utf-8'), time.monotonic() - start)
