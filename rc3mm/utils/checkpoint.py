"""Checkpoint files: written atomically, read without executing code, loaded with a report.

A checkpoint is either a `.safetensors` file (weights alone) or a `.pth` file of tensors and plain containers,
which `torch.load(weights_only=True)` reads. Anything else in a pickle is refused: a pickle can run any code
when it is read.
"""

import os
import pickle
import pickletools
import tempfile
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors
from torch import Tensor, nn

from rc3mm.utils.shards import read_shards, remove_shards

__all__ = [
    'LoadReport',
    'UnsafeCheckpointError',
    'find_chosen_checkpoint',
    'find_latest_checkpoint',
    'load_state_dict',
    'read_checkpoint',
    'remove_checkpoint',
    'write_checkpoint',
]


class UnsafeCheckpointError(RuntimeError):
    """The file holds more than tensors and plain containers; reading it would execute code."""


def read_checkpoint(path: str | Path, map_location: str | torch.device = 'cpu', whole: bool = True) -> dict[str, Any]:
    """Read a checkpoint without executing anything that it contains.

    Args:
        path: a local `.pth`/`.pt`/`.bin` or `.safetensors` file.
        map_location: device for the tensors.
        whole: put a sharded checkpoint together (on the CPU); else its tensors stay where they are, see `utils.shards`.

    Returns:
        The stored dictionary; for `.safetensors`, `{'state_dict': ...}`. A bare state dict is wrapped
        likewise.

    Raises:
        FileNotFoundError: no such file.
        UnsafeCheckpointError: the pickle asks for objects other than tensors and plain containers.
        ValueError: the file is truncated, or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint at {path}')
    try:
        if path.suffix == '.safetensors':
            return {'state_dict': load_safetensors(str(path), device=str(map_location))}
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # the parsers raise nearly anything when a file is damaged
        if isinstance(error, SafetensorError) and _asks_for_objects(path):
            raise UnsafeCheckpointError(
                f'{path} was refused: it is a pickle under the name of a safetensors file. If it should hold '
                'tensors only, rename it to .pth, and it is read without executing code.'
            ) from error
        if isinstance(error, pickle.UnpicklingError) and _asks_for_objects(path):
            raise UnsafeCheckpointError(
                f'{path} was refused: it holds pickled objects other than tensors and plain containers, and '
                f'reading them would execute code ({_first_line(error)}). If you trust its origin, convert '
                "it once in a sandbox: load it there with weights_only=False and save only its 'state_dict' "
                'as safetensors.'
            ) from error
        raise ValueError(
            f'{path} cannot be read as a checkpoint (truncated or damaged?): {_first_line(error)}'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{path} holds a {type(checkpoint).__name__}, expected a dictionary of tensors')
    if whole and 'shards' in checkpoint:
        return read_shards(checkpoint, path)
    if 'state_dict' in checkpoint:
        return checkpoint
    if checkpoint and all(isinstance(value, Tensor) for value in checkpoint.values()):
        return {'state_dict': checkpoint}
    raise ValueError(f"{path} has no 'state_dict'; its keys are {sorted(map(str, checkpoint))[:8]}")


def _asks_for_objects(path: Path) -> bool:
    """Whether a file holds a whole pickle that names objects; nothing is executed."""
    if zipfile.is_zipfile(path):  # torch's own format; its pickle is whole if the zip file is
        return True
    named = False
    with path.open('rb') as file, suppress(Exception):  # pickletools raises nearly anything, too
        for _ in range(4):  # torch's old format: a magic number, a version, the machine, and then the object
            operations = [operation.name for operation, _, _ in pickletools.genops(file)]
            named |= not {'GLOBAL', 'STACK_GLOBAL', 'INST'}.isdisjoint(operations)
    return named


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    # torch puts its reason behind a long preamble; the last "Unsupported ..." sentence is the useful one.
    useful = [line.strip() for line in lines if 'nsupported' in line or 'GLOBAL' in line]
    return (useful or lines or [type(error).__name__])[0][:300]


def write_checkpoint(checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Write a checkpoint so that `path` always holds either the old or the new file, whole.

    The data goes to a temporary file in the same folder, is flushed to the disk and then renamed.

    Raises:
        UnsafeCheckpointError: the checkpoint holds something that `read_checkpoint` would refuse.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_plain(dict(checkpoint), 'checkpoint')
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save(dict(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp lets nobody but the owner read; a checkpoint is for the group as well.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_checkpoint(path: str | Path) -> None:
    """Remove a checkpoint and its shards; what a kill in between leaves is no checkpoint any more."""
    Path(path).unlink(missing_ok=True)
    remove_shards(path)


_PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.Size, torch.dtype, torch.device)
_TENSORS = (Tensor, nn.Parameter)


def _check_plain(value: Any, where: str) -> None:
    # Exact types: a subclass (np.float64 of float, an enum of str, a named tuple) is pickled by its name.
    kind = type(value)
    if kind in (dict, OrderedDict, Counter):
        for key, item in value.items():
            _check_plain(key, f'the key {key!r} of {where}')
            _check_plain(item, f'{where}[{key!r}]')
    elif kind in (list, tuple, set):
        for position, item in enumerate(value):
            _check_plain(item, f'{where}[{position}]')
    elif kind not in _PLAIN and kind not in _TENSORS:
        raise UnsafeCheckpointError(
            f'{where} is a {kind.__module__}.{kind.__name__}; checkpoints hold tensors, plain values and '
            'plain containers only, so that they can be read without executing code: convert it before saving'
        )


@dataclass
class LoadReport:
    """What happened to each key when weights met a model.

    Attributes:
        loaded: keys copied as they were.
        missing: keys of the model that the checkpoint lacks.
        unexpected: keys of the checkpoint that the model lacks.
        reshaped: (key, shape in checkpoint, shape in model) of tensors left out since their shapes differ.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    reshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every key matched."""
        return not (self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        lines = [f'{len(self.loaded)} tensors loaded']
        for name in ('missing', 'unexpected'):
            keys: list[str] = getattr(self, name)
            if keys:
                lines.append(f'{len(keys)} {name}: {_shorten(keys)}')
        if self.reshaped:
            shapes = [f'{key} {old} -> {new}' for key, old, new in self.reshaped]
            lines.append(f'{len(shapes)} left out, shape differs (checkpoint -> model): {_shorten(shapes)}')
        return '; '.join(lines)


def _shorten(items: list[str], most: int = 6) -> str:
    return ', '.join(items[:most]) + (f' and {len(items) - most} more' if len(items) > most else '')


def load_state_dict(
    model: nn.Module, state_dict: Mapping[str, Tensor], strict: bool = False, strip_prefix: str = 'module.'
) -> LoadReport:
    """Copy weights into `model` and report on every key that did not match.

    Args:
        model: the receiver, unwrapped.
        state_dict: name -> tensor.
        strict: raise unless every key matches.
        strip_prefix: removed from the front of each name (data-parallel wrappers add it).

    Raises:
        ValueError: with `strict`, some key did not match; without, not a single one did.
    """
    incoming = {key.removeprefix(strip_prefix): value for key, value in state_dict.items()}
    own = model.state_dict()
    report = LoadReport(
        missing=[key for key in own if key not in incoming],
        unexpected=[key for key in incoming if key not in own],
    )
    fitting = {}
    for key in own.keys() & incoming.keys():
        if own[key].shape == incoming[key].shape:
            fitting[key] = incoming[key]
        else:
            report.reshaped.append((key, tuple(incoming[key].shape), tuple(own[key].shape)))
    report.loaded = sorted(fitting)
    report.reshaped.sort()
    if strict and not report.clean:
        raise ValueError(f'the checkpoint does not fit the model: {report}')
    if own and not fitting:
        raise ValueError(f'not one tensor of the checkpoint fits the model: {report}')
    # a model may fill keys by itself, as `VLTranslator` does its decoder's
    left = set(model.load_state_dict(fitting, strict=False).missing_keys)
    report.missing = [key for key in report.missing if key in left]
    return report


def find_latest_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint `iter_<n>.pth` or `epoch_<n>.pth` with the largest n in a folder that is whole, or None.

    A file that was cut short (a full disk, a copy under way) is passed over.
    """
    numbered = []
    for path in Path(folder).glob('*_*.pth'):
        kind, _, number = path.stem.partition('_')
        if kind in ('iter', 'epoch') and number.isdecimal():
            numbered.append((int(number), path))
    for _, path in sorted(numbered, reverse=True):
        if zipfile.is_zipfile(path):  # the directory of a zip file stands at its end
            return path
    return None


def find_chosen_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint that a finished training in a folder is to be tested with, or None if nothing is noted there.

    It is the best one if the training has chosen one (`save_best` of the checkpoint hook), else the last one: what the
    files `best_checkpoint` and `last_checkpoint` name. Whether it is still there is for the caller to see.
    """
    folder = Path(folder)
    for note in (folder / 'best_checkpoint', folder / 'last_checkpoint'):
        if note.is_file():
            path = Path(note.read_text(encoding='utf-8').strip())
            return path if path.is_file() else folder / path.name  # the folder may have been moved
    return None
