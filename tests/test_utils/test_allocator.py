"""Freed memory stays with the process, whose size then does not shrink."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from rc3mm.utils.allocator import keep_freed_memory
import torch
if sys.argv[1] == 'keep' and not keep_freed_memory():
    print('unable'); raise SystemExit
def size():
    return int(open('/proc/self/statm').read().split()[1]) * 4096
tensor = torch.ones(2**26)
before = size()
del tensor
print(before - size())
"""


@pytest.mark.skipif(not os.path.exists('/proc/self/statm'), reason='the size of a process is read from /proc')
def test_memory_is_kept_or_given_back() -> None:
    def freed(word: str) -> int:
        command = [sys.executable, '-c', PROGRAM, word]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        return -1 if out == 'unable' else int(out)

    assert freed('leave') > 2**27
    if (kept := freed('keep')) >= 0:  # another C library than glibc
        assert kept < 2**24
