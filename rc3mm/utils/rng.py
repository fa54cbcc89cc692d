"""The state of every global random generator, as plain data."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ['get_rng_state', 'preserved_rng', 'set_rng_state']


def get_rng_state() -> dict[str, Any]:
    """States of the global generators of Python, NumPy and torch (CPU and visible GPUs), as plain data."""
    version, internal, gauss = random.getstate()
    legacy: Any = np.random.get_state()
    name, keys, position, has_gauss, cached = legacy
    return {
        'python': [version, list(internal), gauss],
        'numpy': [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        'torch': torch.get_rng_state(),
        'cuda': torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Restore what `get_rng_state` returned; GPU states are restored where their number is the same."""
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state['torch'].cpu())
    if torch.cuda.is_available() and len(state['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state['cuda']])


@contextmanager
def preserved_rng() -> Iterator[dict[str, Any]]:
    """Leave the global generators as they were, whatever happens inside; yields their state."""
    state = get_rng_state()
    try:
        yield state
    finally:
        set_rng_state(state)
