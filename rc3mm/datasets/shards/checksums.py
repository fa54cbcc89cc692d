"""Size and sha256 of files, and which files are no longer what they were."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ['FileChecksum', 'checksum', 'file_digest', 'find_damage']


@dataclass(frozen=True)
class FileChecksum:
    """A file by its path within a folder (forward slashes), its size in bytes and its sha256."""

    name: str
    bytes: int
    sha256: str


def checksum(folder: Path, path: Path) -> FileChecksum:
    """Size and sha256 of a file below a folder."""
    return FileChecksum(path.relative_to(folder).as_posix(), path.stat().st_size, file_digest(path))


def file_digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal digits."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def find_damage(
    folder: Path, files: Iterable[FileChecksum], progress: Callable[[int], object] | None = None
) -> list[str]:
    """Read files and compare them with what they were.

    Args:
        folder: where the names start from.
        files: the files.
        progress: called with the bytes of each file that was read.

    Returns:
        What is wrong, a line a file; empty if all is well.
    """
    problems = []
    for file in files:
        path = folder / file.name
        if not path.is_file():
            problems.append(f'{path} is missing')
        elif path.stat().st_size != file.bytes:
            problems.append(f'{path} has {path.stat().st_size:,} bytes, it was written with {file.bytes:,}')
        elif file_digest(path) != file.sha256:
            problems.append(f'{path} was altered: its sha256 is not that of the file that was written')
        if progress:
            progress(file.bytes)
    return problems
