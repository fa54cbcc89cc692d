"""Checkpoints in shards: each process writes its part of every tensor as safetensors.

A sharded checkpoint is a file `iter_<n>.pth` of plain data and, beside it, a folder `iter_<n>.shards` of safetensors
files, written and read by `torch.distributed.checkpoint`. That library's own format holds a pickle, which reading would
execute; its safetensors format holds none. The folder is written first, so a checkpoint whose file is there is whole.

Tensors are called `model.<name>` and `optimizer.<parameter>.<kind>`. The file's entry `shards` holds `tensors`, shape
and type of each; `files`, their sizes; `parameters`, the parameters' names in the optimiser's order; and `scalars`,
those which have no dimension in a checkpoint of one file (a sharded tensor has one at least).
"""

import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter

__all__ = ['check_shards', 'load_shards', 'read_shards', 'remove_shards', 'shards_folder', 'write_shards']


def shards_folder(path: str | Path) -> Path:
    """The folder that holds the tensors of a sharded checkpoint, beside its file."""
    return Path(path).with_suffix('.shards')


def remove_shards(path: str | Path) -> None:
    """Remove a checkpoint's shards, if it has any."""
    shutil.rmtree(shards_folder(path), ignore_errors=True)


def write_shards(
    checkpoint: Mapping[str, Any], path: Path, parameters: Sequence[str], scalars: Iterable[str]
) -> dict[str, Any]:
    """Write a checkpoint's tensors in shards; every process of the group takes part.

    Args:
        checkpoint: with `state_dict` and, maybe, `optimizer`, of sharded and whole tensors.
        path: of the checkpoint's file, in a folder that all processes see.
        parameters: names in the order of the optimiser's parameters.
        scalars: parameters that were given a dimension to be sharded.

    Returns:
        The checkpoint without these tensors, for the file that one process is to write afterwards.
    """
    tensors: dict[str, Tensor] = {f'model.{name}': value.detach() for name, value in checkpoint['state_dict'].items()}
    rest: dict[str, Any] = {**checkpoint, 'state_dict': {}}
    if 'optimizer' in checkpoint:
        for index, kinds in checkpoint['optimizer']['state'].items():
            tensors |= {f'optimizer.{parameters[index]}.{kind}': value for kind, value in kinds.items()}
        rest['optimizer'] = {**checkpoint['optimizer'], 'state': {}}
    folder = shards_folder(path)
    if dist.get_rank() == 0:  # what an interrupted run has left, with another number of processes perhaps
        path.unlink(missing_ok=True)
        remove_shards(path)
        folder.mkdir(parents=True)
    dist.barrier()
    dcp.save(tensors, storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    rest['shards'] = {
        'files': {file.name: file.stat().st_size for file in folder.iterdir()},
        'tensors': {name: [list(value.shape), value.dtype] for name, value in tensors.items()},
        'parameters': list(parameters),
        'scalars': sorted(scalars),
    }
    return rest


def check_shards(shards: Mapping[str, Any], path: Path) -> None:
    """Make sure that the files of a sharded checkpoint are those that were written, without reading them.

    Args:
        shards: the entry `shards` of the checkpoint's file.
        path: of that file.

    Raises:
        FileNotFoundError: their folder is not there.
        ValueError: a file is missing, of another size, or too many.
    """
    folder = shards_folder(path)
    if not folder.is_dir():
        raise FileNotFoundError(f'{path} is a sharded checkpoint, but the folder of its tensors, {folder}, is missing')
    found = {file.name: file.stat().st_size for file in folder.iterdir()}
    if found != shards['files']:  # the reader would leave out what a missing file held
        wrong = sorted(name for name in found | shards['files'] if found.get(name) != shards['files'].get(name))
        raise ValueError(f'{folder} is not as it was written: {wrong[:3]} are missing, of another size, or too many')


def load_shards(tensors: dict[str, Tensor], shards: Mapping[str, Any], path: Path) -> None:
    """Fill tensors, sharded or whole, in place from a checkpoint's shards; no process waits for another.

    Args:
        tensors: by the names that the shards have; a part of them is enough.
        shards: the entry `shards` of the checkpoint's file.
        path: of that file.

    Raises:
        FileNotFoundError: the folder of the shards is not there.
        ValueError: it lacks a file or a tensor, or cannot be read.
    """
    check_shards(shards, path)
    folder = shards_folder(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'torch.distributed is disabled')  # so it is meant
            dcp.load(tensors, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    except (Exception, CheckpointException) as error:  # the latter is none, and wraps nearly anything
        reason = f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'
        raise ValueError(f'the tensors in {folder} cannot be read (incomplete or damaged?): {reason}') from error


def read_shards(checkpoint: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A sharded checkpoint as one file would hold it, all tensors whole and on the CPU.

    Args:
        checkpoint: what the file of the sharded checkpoint holds.
        path: of that file.

    Raises:
        FileNotFoundError, ValueError: see `load_shards`.
    """
    shards = checkpoint['shards']
    tensors = {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in shards['tensors'].items()}
    load_shards(tensors, shards, path)
    whole = {key: value for key, value in checkpoint.items() if key != 'shards'}
    scalars, parameters = set(shards['scalars']), {name: index for index, name in enumerate(shards['parameters'])}
    whole['state_dict'] = {}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, key = name.partition('.')
        parameter, _, statistic = key.rpartition('.')
        if kind == 'model':
            whole['state_dict'][key] = value.reshape(()) if key in scalars else value
        else:
            value = value.reshape(()) if parameter in scalars else value
            state.setdefault(parameters[parameter], {})[statistic] = value
    if 'optimizer' in checkpoint:
        whole['optimizer'] = {**checkpoint['optimizer'], 'state': dict(sorted(state.items()))}
    return whole
