#!/usr/bin/env python3
"""Set rc3mm up: make a virtual environment, install everything in the right order, prove that it works.

    python3 tools/misc/setup_env.py            # or: make setup
    python3 tools/misc/setup_env.py --check    # only verify the environment that is there

The order matters, which is why one `pip install -r` is not enough: mmcv compiles its operators against the
torch it finds (without torch it quietly builds a package without operators), and three packages ask for a
second OpenCV that fights with the headless one. When all is well a run takes about a second; a set-up that
was interrupted, or that has lost files since, is mended by running it again. Packages come from whatever
index pip is configured with.
"""

from __future__ import annotations  # so that an older Python gets as far as the message that it is too old

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from env_state import (
    LOG,
    PYTHON,
    ROOT,
    STAMP,
    VENV,
    SetupError,
    check_compiler,
    damaged_packages,
    find_python,
    half_installed,
    installed_packages,
    is_up_to_date,
    read_requirements,
    site_packages,
    why_unusable,
    write_stamp,
)

CORES = min(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1, 16)
TRANSIENT = re.compile(
    r'timed out|Connection(Error| reset| aborted| broken)|Temporary failure|IncompleteRead|RemoteDisconnected'
    r'|ProtocolError|DO NOT MATCH THE HASHES|50[234] (Server|Bad|Service|Gateway)',
    re.IGNORECASE,
)
# mmcv asks its compilers for C++17, torch's headers need C++20: exchange the flag on the way to the compiler.
WRAPPER = """#!/bin/sh
for arg in "$@"; do shift; [ "$arg" = -std=c++17 ] && arg=-std=c++20; set -- "$@" "$arg"; done
exec {compiler} "$@"
"""
CHECK_OPS = """
import shutil, torch
from mmcv.ops import nms, roi_align
for device in ['cpu', 'cuda'] if torch.cuda.is_available() and shutil.which('nvcc') else ['cpu']:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], device=device)
    kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
    assert kept == [0, 2], f'mmcv.ops.nms kept {kept}, not [0, 2]'
    box = torch.tensor([[0.0, 0, 0, 4, 4]], device=device)
    pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), box, 2).tolist()
    assert pooled == [[[[1, 1], [1, 1]]]], f'mmcv.ops.roi_align gave {pooled}'
"""
CHECK_ALL = """
import cv2, mmcv, mmdet, mmdet.datasets, mmdet.models, mmengine.runner, pycocotools.mask, timm, torchvision
import transformers, rc3mm
kept = torchvision.ops.nms(boxes, torch.ones(3, device=boxes.device), 0.5)
assert len(kept) == 2, f'torchvision.ops.nms kept {kept}'
gui = cv2.getBuildInformation().partition('GUI:')[2].split()[0]
assert gui == 'NONE', f'cv2 is not the headless build (GUI: {gui})'
modules = (torch, torchvision, mmengine, mmcv, mmdet, transformers, timm, cv2, rc3mm)
print(', '.join(f'{module.__name__} {module.__version__}' for module in modules))
"""


def run_logged(command: list[str], env: dict[str, str] | None = None, attempts: int = 3) -> str:
    """Run a command into the log and return what it said; try again when a download broke off.

    Raises:
        SetupError: With the last lines that the command said, when it failed for good.
    """
    environment = {**os.environ, 'PIP_USER': '0', **(env or {})}
    for attempt in range(1, attempts + 1):
        with open(LOG, 'a+', encoding='utf-8', errors='replace') as log:
            log.write(f'\n$ {" ".join(command)}\n')
            log.flush()
            start = log.tell()
            done = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=VENV)
            log.seek(start)
            said = log.read()
        if done.returncode == 0:
            return said
        if attempt == attempts or not TRANSIENT.search(said):
            raise SetupError('\n'.join(said.splitlines()[-25:]))
        print(f'(download broke off, attempt {attempt + 1}) ', end='', flush=True)
        time.sleep(5 * attempt)
    raise AssertionError('unreachable')


def pip(*arguments: str, env: dict[str, str] | None = None) -> None:
    """Run the environment's pip."""
    run_logged([str(PYTHON), '-m', 'pip', *arguments], env)


def works(code: str) -> bool:
    """Tell whether some code runs in the environment."""
    try:
        run_logged([str(PYTHON), '-c', code], attempts=1)
    except SetupError:
        return False
    return True


def make_environment(python: str) -> None:
    """Make the environment, or make it anew if it is beyond repair, and mend the rest."""
    reason = why_unusable()
    if reason:
        if VENV.exists() and any(VENV.iterdir()):
            if VENV != ROOT / '.venv' and not (VENV / 'pyvenv.cfg').exists():
                raise SetupError(f'{VENV} is no virtual environment: name another folder in VENV')
            print(f'(made anew: {reason}) ', end='', flush=True)
            shutil.rmtree(VENV)
        made = subprocess.run([python, '-m', 'venv', str(VENV)], capture_output=True, text=True)
        if made.returncode != 0:
            advice = 'Install the venv module, for example: apt-get install python3-venv'
            raise SetupError(f'{made.stdout}{made.stderr}\n{advice}')
    STAMP.unlink(missing_ok=True)
    LOG.write_text('', encoding='utf-8')
    mend(site_packages())


def mend(site: Path) -> None:
    """Remove what is half installed, damaged or in the way; the later steps install it again."""
    for path in half_installed(site):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not works('import pip._internal.cli.main'):
        for path in [*site.glob('pip'), *site.glob('pip-*.dist-info')]:
            shutil.rmtree(path)
        run_logged([str(PYTHON), '-m', 'ensurepip', '--upgrade'])
    opencv = [name for name in installed_packages(site) if name.startswith('opencv-')]
    doomed = set(damaged_packages(site)) | (set(opencv) if opencv != ['opencv-python-headless'] else set())
    if doomed:
        print(f'(mending {", ".join(sorted(doomed))}) ', end='', flush=True)
        pip('uninstall', '--yes', *sorted(doomed - {'pip'}))


def install_torch() -> None:
    """Install torch and its pair before everything that is compiled against it."""
    pip('install', *(line for line in read_requirements('runtime')[0] if line.startswith('torch')))


def install_packages() -> None:
    """Install what comes as ready-made wheels, resolved in one go."""
    files = ('build', 'runtime', 'tests', 'detector')
    pip('install', *(line for name in files for line in read_requirements(name)[0]))


def install_mmcv() -> None:
    """Install mmcv, from pip's cache of built wheels where that works, and see that its operators run."""
    mmcv = next(line for line in read_requirements('detector')[1] if line.startswith('onedl-mmcv'))
    with tempfile.TemporaryDirectory(prefix='rc3mm-') as folder:
        env = build_variables(Path(folder))
        pip('install', '--no-deps', '--no-build-isolation', mmcv, env=env)
        if works(CHECK_OPS):
            return
        print('(rebuilding: the operators do not run) ', end='', flush=True)  # pip's cache does not tell
        force = ('--no-cache-dir', '--force-reinstall')
        pip('install', '--no-deps', '--no-build-isolation', *force, mmcv, env=env)


def build_variables(folder: Path) -> dict[str, str]:
    """Return the environment variables for compiling mmcv; the compiler wrappers are written to `folder`.

    The CUDA operators are built where torch sees a GPU and nvcc is there, the CPU operators alone elsewhere.
    """
    variables = {'MMCV_WITH_OPS': '1', 'MAX_JOBS': str(CORES)}
    variables['CXX'] = write_wrapper(folder / 'c++', os.environ.get('CXX', 'c++'))
    nvcc = shutil.which('nvcc')
    if nvcc and works('import torch; assert torch.cuda.is_available()'):
        variables['PYTORCH_NVCC'] = write_wrapper(folder / 'nvcc', nvcc)
    else:
        variables.update(FORCE_CUDA='0', CUDA_VISIBLE_DEVICES='')
    return variables


def write_wrapper(path: Path, compiler: str) -> str:
    """Write the script that stands in for a compiler and exchanges the flag."""
    path.write_text(WRAPPER.format(compiler=compiler), encoding='utf-8')
    path.chmod(0o755)
    return str(path)


def install_rest() -> None:
    """Install mmdet, whose own metadata would bring the second OpenCV, and rc3mm as an editable package."""
    pip('install', '--no-deps', '--no-build-isolation', *read_requirements('detector')[1])
    pip('install', '--no-deps', '--no-build-isolation', '--editable', str(ROOT))


def verify() -> None:
    """Run a real operation of all that is known to break, in one process, and print the versions."""
    said = run_logged([str(PYTHON), '-c', CHECK_OPS + CHECK_ALL], attempts=1)
    print(f'{said.splitlines()[-1]} ... ', end='')


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a step's title, then the seconds it took, or what failed and how to go on."""
    start = time.monotonic()
    print(f'{title} ... ', end='', flush=True)
    try:
        yield
    except SetupError as error:
        where = f'The whole log: {LOG}\n' if LOG.exists() else ''
        raise SetupError(
            f'failed after {time.monotonic() - start:.0f} s\n\n{error}\n\n{where}'
            'Mend what the lines above say and run it again: it goes on from here.\n'
            f'If it fails in the same way on a healthy network: rm -rf {VENV}, and once more.'
        ) from error
    print(f'{time.monotonic() - start:.0f} s', flush=True)


def set_up() -> None:
    """Run all the steps, and remember the result."""
    python = find_python()
    check_compiler(python)
    steps = (
        (f'environment {VENV}', lambda: make_environment(python)),
        ('torch, torchvision: several GB, 1 to 10 minutes', install_torch),
        ('other packages', install_packages),
        (f"mmcv's operators: compiled once, about {22 // CORES + 1} minutes, see {LOG}", install_mmcv),
        ('mmdet, rc3mm', install_rest),
        ('verification', verify),
    )
    for number, (title, action) in enumerate(steps, start=1):
        with step(f'[{number}/{len(steps)}] {title}'):
            action()
    write_stamp()


def check() -> None:
    """Verify the environment without changing it."""
    reason = why_unusable()
    if reason:
        raise SetupError(f'{VENV} cannot be used: {reason}. Run: make setup')
    with step(f'verification of {VENV}'):
        damaged = damaged_packages(site_packages())
        if damaged:
            raise SetupError(f'these packages lost files: {", ".join(damaged)}')
        verify()


def main() -> int:
    """Parse the command line and do what it asks."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='environment variables:\n'
        '  VENV     the folder of the environment (default: .venv)\n'
        '  PYTHON   the interpreter that makes it (default: the one that runs this, if it is new enough)\n'
        '  CXX      the C++ compiler (default: c++)',
    )
    parser.add_argument('--check', action='store_true', help='install nothing, verify what is there')
    arguments = parser.parse_args()
    start = time.monotonic()
    try:
        if arguments.check:
            check()
        elif is_up_to_date():
            print(f'{VENV} is up to date ({time.monotonic() - start:.1f} s)')
        else:
            set_up()
            print(f'Ready in {time.monotonic() - start:.0f} s')
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted. Run it again: it goes on from here.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
