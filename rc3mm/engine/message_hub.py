"""MMEngine's message hub as plain data, so that checkpoints need no pickled objects."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

__all__ = ['pack_message_hub', 'unpack_message_hub']

_PLAIN = (str, int, float, bool, type(None))


def _plain(value: Any) -> Any:
    """The value as plain data; raises TypeError if it is none."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, _PLAIN) or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(type(value).__name__)


def pack_message_hub(state: Mapping[str, Any]) -> dict[str, Any]:
    """`MessageHub.state_dict()` -> tensors and plain containers.

    Runtime information that is no plain data (it only ever serves the running process) is left out.
    """
    buffers = {}
    for name, buffer in state['log_scalars'].items():
        history, counts = buffer.data
        # The statistics that hooks read are windows; a window longer than this is not kept over a restart.
        buffers[name] = [
            torch.from_numpy(np.asarray(history, dtype=np.float64)[-10_000:].copy()),
            torch.from_numpy(np.asarray(counts, dtype=np.int64)[-10_000:].copy()),
            buffer.max_length,
        ]
    runtime = {}
    for name, value in state['runtime_info'].items():
        try:
            runtime[name] = _plain(value)
        except TypeError:
            continue
    return {'log_scalars': buffers, 'runtime_info': runtime, 'resumed_keys': dict(state['resumed_keys'])}


def unpack_message_hub(packed: Mapping[str, Any]) -> dict[str, Any]:
    """What `MessageHub.load_state_dict` takes."""
    buffers = {}
    for name, (history, counts, max_length) in packed['log_scalars'].items():
        buffers[name] = HistoryBuffer(history.cpu().numpy(), counts.cpu().numpy(), int(max_length))
    return {
        'log_scalars': buffers,
        'runtime_info': dict(packed['runtime_info']),
        'resumed_keys': dict(packed['resumed_keys']),
    }
