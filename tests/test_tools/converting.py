"""Runs the converters to shards, as they are and killed in the middle."""

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path

from rc3mm.datasets.shards import DropReport, ShardSet

Warm = Callable[..., 'object']
# A real SIGKILL, at the call of `{function}` of a given number, in front of it or behind it.
_KILL = """
import os, signal
import {module} as module
real, calls = {target}.{function}, [0]
def dying(*args, **kwargs):
    calls[0] += 1
    if calls[0] == {number} and not {behind}:
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(*args, **kwargs)
    if calls[0] == {number} and {behind}:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
{target}.{function} = dying
"""
ADD = ('rc3mm.datasets.shards.writer', 'module.ShardWriter', 'add')
RENAME = ('os', 'os', 'replace')


def killer(path: Path, at: tuple[str, str, str], number: int, behind: bool = True) -> Path:
    """A script that makes a process kill itself."""
    module, target, function = at
    text = _KILL.format(module=module, target=target, function=function, number=number, behind=behind)
    path.write_text(text, encoding='utf-8')
    return path


def content(folder: Path) -> dict[str, str]:
    """Name -> digest of the shards and the index of a set."""
    paths = [*folder.glob('*.parquet'), *folder.glob('index/*')]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def report_of(folder: Path) -> DropReport:
    """The report in the manifest of a set."""
    return DropReport.from_json(ShardSet(folder).manifest.report)


def assert_killed_and_finished(
    warm: Warm, tool: str, command: Callable[[Path], list], folder: Path, kills: list
) -> None:
    """A conversion that is killed time and again ends with the bytes and the report of one that is not.

    Args:
        warm: starts scripts.
        tool: name of the script.
        command: its arguments, by folder of the set.
        folder: where to work.
        kills: (place, number of the call, behind it or not) for one run after the other.
    """
    done = warm(tool, *command(folder / 'whole'))
    assert done.code == 0, done.output
    for round_, kill in enumerate(kills):
        script = killer(folder / f'kill{round_}.py', *kill)
        killed = warm(tool, *command(folder / 'killed'), before=[script])
        assert killed.code == -signal.SIGKILL, (kill, killed.output)
    done = warm(tool, *command(folder / 'killed'))
    assert done.code == 0, done.output
    assert content(folder / 'killed') == content(folder / 'whole')
    assert report_of(folder / 'killed').to_json() == report_of(folder / 'whole').to_json()
    names = sorted(entry.name for entry in (folder / 'killed').iterdir())
    assert names == sorted(entry.name for entry in (folder / 'whole').iterdir())
    manifests = [json.loads((folder / name / 'manifest.json').read_text()) for name in ('killed', 'whole')]
    assert manifests[0]['shards'] == manifests[1]['shards']
