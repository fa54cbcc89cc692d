"""Files that are there whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ['is_temporary', 'replacing']


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, which takes the place of `path` when the block ends without an error.

    So `path` is there whole or not at all, whenever the process dies.
    """
    temporary = path.with_name(f'.{path.name}.{secrets.token_hex(4)}.tmp')
    try:
        yield temporary
        with temporary.open('rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_temporary(name: str, of: str = '') -> bool:
    """Whether a file name was made by `replacing`: for the file named `of`, or for any if that is empty."""
    return name.endswith('.tmp') and name.startswith(f'.{of}.' if of else '.')
