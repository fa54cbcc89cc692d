"""Memory that processes share after a fork stays shared."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ['frozen_objects']


@contextmanager
def frozen_objects() -> Iterator[None]:
    """Start worker processes by fork within this block.

    Python's cyclic garbage collection writes to the head of every object that it looks at, so the first full one in a
    forked worker copies all objects of the parent, a hundred megabytes and more that were shared. Here they are set
    apart before: the workers' collections pass them over, the parent's take them up again afterwards.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
