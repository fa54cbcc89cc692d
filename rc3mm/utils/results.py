"""results.json: the numbers of a run together with all that is needed to trust and repeat them."""

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from rc3mm.version import __version__

__all__ = ['collect_environment', 'git_revision', 'write_results']

PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'transformers', 'timm', 'numpy')


def write_results(
    path: str | Path,
    metrics: Mapping[str, Any],
    *,
    setting: str,
    split: str,
    num_items: int,
    config_text: str,
    seed: int | None,
    timings: Mapping[str, float] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a results file, whole or not at all.

    Numbers that are not finite become null: JSON has no NaN, and readers other than Python refuse it.

    Args:
        path: The file; parent folders are made. An older file is replaced in one step.
        metrics: Flat names and numbers; tensors and NumPy numbers of one element are converted.
        setting: Name of the setting, such as 'zero-shot'.
        split: Name of the split, such as 'test'.
        num_items: Number of items evaluated on.
        config_text: The whole config, as text.
        seed: None if the run had none.
        timings: Seconds by name.
        extra: More entries, such as the checkpoint's name.

    Raises:
        ValueError: If `extra` uses the name of another entry.
        TypeError: If something has no place in JSON.
    """
    results: dict[str, Any] = {
        'setting': setting,
        'split': split,
        'num_items': num_items,
        'metrics': dict(metrics),
        'seed': seed,
        'timings': dict(timings or {}),
        'git': git_revision(),
        'environment': collect_environment(),
        'config': config_text,
    }
    taken = sorted(results.keys() & (extra or {}).keys())
    if taken:
        raise ValueError(f'extra entries may not replace {taken}')
    results.update(extra or {})
    text = json.dumps(_plain(results), indent=2, ensure_ascii=False, allow_nan=False)
    _write_atomically(Path(path), text + '\n')


def collect_environment() -> dict[str, Any]:
    """Versions of rc3mm, Python and the packages a result depends on, and the machine's processors.

    Packages that are not installed are None. Where a package is installed from a distribution of another name
    (a fork), that name is added in brackets. Nothing that names the host or its user is recorded.
    """
    versions: dict[str, str | None] = {'rc3mm': __version__, 'python': platform.python_version()}
    distributions = metadata.packages_distributions()
    for package in PACKAGES:
        names = distributions.get(package)
        if not names:
            versions[package] = None
            continue
        # What was imported knows more than its metadata: torch's own version names the CUDA it is built for.
        version = getattr(sys.modules.get(package), '__version__', metadata.version(names[0]))
        versions[package] = str(version) if names[0] == package else f'{version} ({names[0]})'
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        'versions': versions,
        'platform': f'{platform.system()} {platform.release()} {platform.machine()}',
        'cpu': _cpu_name(),
        'cpu_count': os.cpu_count(),
        'gpus': gpus,
        'cuda': torch.version.cuda,
    }


def git_revision() -> dict[str, Any]:
    """`revision` (None outside of a checkout of rc3mm) and `dirty`: whether tracked files differ from it."""
    unknown = {'revision': None, 'dirty': None}
    # An installed copy may lie inside of somebody else's repository, whose revision says nothing about rc3mm.
    if _git('ls-files', '--error-unmatch', Path(__file__).name) is None:
        return unknown
    revision = _git('rev-parse', 'HEAD')
    status = _git('status', '--porcelain', '--untracked-files=no')
    return unknown if revision is None or status is None else {'revision': revision, 'dirty': bool(status)}


def _git(*arguments: str) -> str | None:
    """Output of a git command run beside this file, or None if it fails or there is no git."""
    try:
        done = subprocess.run(
            ['git', *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def _plain(value: Any) -> Any:
    """Turn mappings, sequences, paths, tensors and NumPy values into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, 'tolist'):
        return _plain(value.tolist())
    return value


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a file can be moved in one step only within one file system.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp lets nobody but the owner read; a results file is for the group as well.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
