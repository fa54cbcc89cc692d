"""How the C library's allocator treats what large tensors leave behind."""

import ctypes
import sys

__all__ = ['keep_freed_memory']

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h


def keep_freed_memory() -> bool:
    """Have the process keep the memory of freed tensors for the next ones, and say whether it will.

    By default glibc maps each large block anew and gives it back when it is freed, and the kernel zeroes and maps it
    page by page at its first use. A training step on a CPU allocates gigabytes so: with 250,000 words, four fifths of a
    gigabyte for the gradient of their embeddings alone. No effect on a GPU's memory, and none but under glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None) if sys.platform.startswith('linux') else None
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
