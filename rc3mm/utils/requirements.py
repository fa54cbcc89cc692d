"""Files that a config needs and that nobody can ship: checked all at once, before anything is built."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

__all__ = ['MissingRequirement', 'check_required_files', 'find_missing', 'format_missing']

_REQUIRED = {'path', 'what', 'get'}
_OPTIONAL = {'layout', 'hub', 'phases'}
_PHASES = ('train', 'test')
_TIMEOUT = 5.0  # seconds to wait for the hub


class MissingRequirement(NamedTuple):
    """What a config needs and this machine lacks.

    Attributes:
        paths: the files or folders that are missing.
        what: what they are.
        get: where to get them.
        layout: how they are laid out, possibly in several lines; may be empty.
    """

    paths: list[str]
    what: str
    get: str
    layout: str


def check_required_files(cfg: Mapping[str, Any], phase: str = 'train') -> None:
    """End the program with one message (exit code 2) if files that a config names are missing.

    A config lists them as `required_files`, a list of dictionaries:

    - `path`: a file or folder, or a list of them;
    - `what`: what it is; `get`: where to get it; `layout` (optional): how it is laid out;
    - `hub` (optional): `name:file`, a model of the Hugging Face hub that does instead, if the file is in
      the local cache or can be fetched;
    - `phases` (optional): the phases that need it, of `train` and `test`; both if left out.

    Args:
        cfg: the config.
        phase: `train` or `test`.

    Raises:
        SystemExit: something is missing; the message goes to stderr, on the first local process only.
        ValueError: an entry of `required_files` has unknown keys or lacks one.
    """
    missing = find_missing(cfg.get('required_files') or (), phase)
    if missing:
        if os.environ.get('LOCAL_RANK', '0') == '0':
            print(format_missing(missing), file=sys.stderr, flush=True)
        raise SystemExit(2)


def find_missing(entries: Sequence[Mapping[str, Any]], phase: str = 'train') -> list[MissingRequirement]:
    """The entries that this machine lacks, see `check_required_files`; an empty folder counts as missing."""
    found = []
    for number, entry in enumerate(entries):
        _check_entry(number, entry)
        if phase not in entry.get('phases', _PHASES):
            continue
        paths = [entry['path']] if isinstance(entry['path'], str) else list(entry['path'])
        absent = [path for path in paths if not _is_there(Path(path))]
        if absent and not ('hub' in entry and _is_on_hub(entry['hub'])):
            found.append(MissingRequirement(absent, entry['what'], entry['get'], entry.get('layout', '')))
    return found


def _check_entry(number: int, entry: Mapping[str, Any]) -> None:
    known = _REQUIRED <= set(entry) <= _REQUIRED | _OPTIONAL
    if not known or not set(entry.get('phases', _PHASES)) <= set(_PHASES):
        raise ValueError(
            f'required_files[{number}] needs {", ".join(sorted(_REQUIRED))} and may have '
            f'{", ".join(sorted(_OPTIONAL))} (phases: of {", ".join(_PHASES)}); it is {dict(entry)}'
        )


def format_missing(missing: Sequence[MissingRequirement]) -> str:
    """One message for people about all that is missing."""
    count = sum(len(requirement.paths) for requirement in missing)
    lines = [f'This config needs files that are not there ({count} missing):']
    for requirement in missing:
        lines += ['', *(f'  {path}' for path in requirement.paths)]
        lines += [f'    what:   {requirement.what}', f'    get:    {requirement.get}']
        if requirement.layout:
            first, *others = requirement.layout.strip('\n').splitlines()
            lines += [f'    layout: {first}', *(f'            {line}' for line in others)]
    lines += [
        '',
        'If they lie elsewhere, name their folders: RC3MM_DATA=/path/to/data RC3MM_WEIGHTS=/path/to/weights',
        '(the defaults are data and weights, from where the program is started).',
    ]
    return '\n'.join(lines)


def _is_there(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.is_file()


def _is_on_hub(reference: str) -> bool:
    """Whether `name:file` is in the local cache of the hub, or can be fetched right now."""
    name, _, file = reference.partition(':')
    if isinstance(try_to_load_from_cache(name, file), str):
        return True
    try:
        get_hf_file_metadata(hf_hub_url(name, file), timeout=_TIMEOUT)
    except Exception:  # no network, a proxy, offline mode, a wrong name: it cannot be had now
        return False
    return True
