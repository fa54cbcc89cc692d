"""What the set-up wants and what it finds: requirements, interpreters, and the health of an environment.

Used by setup_env.py, which acts on it. Only the standard library: nothing is installed yet when this runs.
"""

from __future__ import annotations  # so that an older Python gets as far as the message that it is too old

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.path.abspath(ROOT / os.environ.get('VENV', '.venv')))
PYTHON = VENV / 'bin' / 'python'
LOG = VENV / 'setup.log'  # everything that pip and the compiler said
STAMP = VENV / 'setup.json'  # written after a verified set-up only
MINIMUM = (3, 11)
HASHED = ('requirements/*.txt', 'setup.py', 'tools/misc/*_env.py', 'tools/misc/env_*.py')


class SetupError(Exception):
    """What went wrong and what to do about it, in words for the person at the terminal."""


def read_requirements(name: str) -> tuple[list[str], list[str]]:
    """Return the plain lines of requirements/<name>.txt, and those whose comment starts with `no-deps`."""
    plain, no_deps = [], []
    for line in (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines():
        text, _, comment = line.partition('#')
        if text.strip():
            (no_deps if comment.strip().startswith('no-deps') else plain).append(text.strip())
    return plain, no_deps


def fingerprint(python_version: str) -> str:
    """Return a hash of all that decides what is installed."""
    digest = hashlib.sha256(python_version.encode())
    for file in sorted(file for pattern in HASHED for file in ROOT.glob(pattern)):
        digest.update(file.name.encode() + b'\0' + file.read_bytes() + b'\0')
    return digest.hexdigest()


def site_packages() -> Path:
    """Return the folder that the environment's packages lie in."""
    return next(iter(sorted(VENV.glob('lib/python3*/site-packages'))), VENV / 'site-packages')


def installed_packages(site: Path) -> dict[str, str]:
    """Return name -> version of the distributions in a site-packages folder."""
    names = (info.stem.rpartition('-') for info in site.glob('*.dist-info'))
    return {name.lower().replace('_', '-'): version for name, _, version in names}


def damaged_packages(site: Path) -> list[str]:
    """Return the distributions of which a recorded file is missing or has another size than recorded."""
    damaged = []
    for info in sorted(site.glob('*.dist-info')):
        with open(info / 'RECORD', newline='', encoding='utf-8') as file:
            if not all(_is_whole(site / path, size) for path, _, size in csv.reader(file)):
                damaged.append(info.stem.rpartition('-')[0].lower().replace('_', '-'))
    return damaged


def _is_whole(path: Path, size: str) -> bool:
    if path.suffix == '.pyc':  # a cache: Python writes it again
        return True
    try:
        found = path.stat().st_size
    except OSError:
        return False
    return not size or found == int(size)


def half_installed(site: Path) -> list[Path]:
    """Return what an interrupted pip left behind: folders set aside, and packages without their records."""
    needed = ('RECORD', 'METADATA')
    half = [i for i in site.glob('*.dist-info') if not all((i / name).exists() for name in needed)]
    return [*site.glob('~*'), *half]


def is_up_to_date() -> bool:
    """Tell quickly whether the last set-up was verified, is of this state of the files, and is whole."""
    try:
        stamp = json.loads(STAMP.read_text(encoding='utf-8'))
        site = site_packages()
        installed = installed_packages(site)
        return (
            stamp['venv'] == str(VENV)
            and stamp['fingerprint'] == fingerprint(python_version(PYTHON))
            and all(installed.get(name) == version for name, version in stamp['packages'].items())
            and not half_installed(site)
            and not damaged_packages(site)
        )
    except (OSError, ValueError, LookupError, AttributeError, TypeError, SetupError):
        return False


def write_stamp() -> None:
    """Remember that this state was verified."""
    packages = installed_packages(site_packages())
    stamp = {'venv': str(VENV), 'fingerprint': fingerprint(python_version(PYTHON)), 'packages': packages}
    STAMP.write_text(json.dumps(stamp, indent=1), encoding='utf-8')


def why_unusable() -> str:
    """Return why the environment has to be made anew, or nothing."""
    if not VENV.exists():
        return 'there is none yet'
    try:
        version = python_version(PYTHON)
    except SetupError:
        return 'it has no working interpreter'
    if not is_new_enough(version):
        return f'it runs Python {version}'
    try:
        config = (VENV / 'pyvenv.cfg').read_text(encoding='utf-8')
    except OSError:
        return ''  # an environment of another kind
    made = re.search(r'^command = .* -m venv (?:.* )?(/.*)$', config, flags=re.MULTILINE)
    if made and os.path.realpath(made[1]) != str(VENV.resolve()):
        return f'it was made as {made[1]}, and its scripts still point there'
    return ''


def ask(python: str | Path, expression: str) -> str:
    """Return what an interpreter answers to an expression on platform or sysconfig."""
    command = [str(python), '-c', f'import platform, sysconfig; print({expression})']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f'{python} does not run: {error}') from error


def python_version(python: str | Path) -> str:
    """Return the version of an interpreter, such as 3.11.7."""
    return ask(python, 'platform.python_version()')


def is_new_enough(version: str) -> bool:
    """Tell whether a Python version is one that rc3mm runs on."""
    return tuple(int(part) for part in version.split('.')[:2]) >= MINIMUM


def find_python() -> str:
    """Return an interpreter that is new enough: PYTHON if given, else this one, else one on the PATH."""
    given = os.environ.get('PYTHON')
    seen = []
    for python in [given] if given else [sys.executable, 'python3.12', 'python3.11']:
        try:
            version = python_version(python)
        except SetupError:
            seen.append(f'{python} does not run')
            continue
        if is_new_enough(version):
            return python
        seen.append(f'{python} is {version}')
    raise SetupError(
        f'rc3mm needs Python 3.11 or 3.12 ({", ".join(seen)}).\n'
        'Install python3.12 with its venv and dev packages, then: make setup PYTHON=python3.12'
    )


def check_compiler(python: str | Path) -> None:
    """Raise unless mmcv's operators can be compiled for this interpreter."""
    compiler = os.environ.get('CXX', 'c++').split()[0]
    if shutil.which(compiler) is None:
        raise SetupError(
            f"There is no C++ compiler ({compiler}) on the PATH, and mmcv's operators are compiled.\n"
            'Install one, for example: apt-get install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora)'
        )
    header = Path(ask(python, 'sysconfig.get_path("include")')) / 'Python.h'
    if not header.exists():
        raise SetupError(
            f"{header} is missing, and mmcv's operators are compiled.\n"
            "Install Python's headers, for example: apt-get install python3-dev (or python3.12-dev)"
        )
