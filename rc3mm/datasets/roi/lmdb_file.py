"""An LMDB file as a read-only mapping from image ids to bytes."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from rc3mm.utils.optional import require

__all__ = ['LmdbFile']

# A process may open a file once only, and a child must not use what its parent opened.
_OPEN: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()


class LmdbFile:
    """Values by image id; may be handed to worker processes by fork or by pickling, each opens it anew.

    Args:
        path: the folder that holds `data.mdb`, or the file itself.
        not_ids: keys that stand for no image.

    Raises:
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: the package lmdb is not installed.
        ValueError: the file is cut short, or no LMDB file.
    """

    def __init__(self, path: str | Path, not_ids: Collection[bytes] = ()) -> None:
        self.path = Path(path)
        self._not_ids = frozenset(not_ids)
        self._process: int | None = None
        self._environment: Any = None
        data = self.path / 'data.mdb' if self.path.is_dir() else self.path
        if not data.is_file():
            raise FileNotFoundError(f'there is no LMDB at {self.path}: expected a file, or a folder with data.mdb')
        self._data = data
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_process': None, '_environment': None}

    def __len__(self) -> int:
        """Images."""
        with self._open().begin() as transaction:
            others = sum(transaction.get(key) is not None for key in self._not_ids)
            return int(transaction.stat()['entries']) - others

    def __contains__(self, image_id: object) -> bool:
        return self.get(image_id) is not None

    def get(self, image_id: object) -> bytes | None:
        """The value of an id, None if there is none."""
        if not isinstance(image_id, str):
            return None
        key = image_id.encode(errors='surrogatepass')
        environment = self._open()
        if not 0 < len(key) <= environment.max_key_size() or key in self._not_ids:
            return None
        with environment.begin() as transaction:
            value: bytes | None = transaction.get(key)
            return value

    def unknown(self, image_id: object) -> KeyError:
        """The error to raise about an id that is not there."""
        with self._open().begin() as transaction:
            keys = transaction.cursor().iternext(keys=True, values=False)
            example = next((key for key in keys if key not in self._not_ids), b'').decode(errors='replace')
        return KeyError(
            f'{self.path}: there is no key {image_id!r} among {len(self):,}, which look like {example!r}; '
            'extract this image too, or see that the data use the ids of the file'
        )

    def ids(self) -> Iterator[str]:
        """All ids, in the order of their bytes."""
        with self._open().begin() as transaction:
            for key in transaction.cursor().iternext(keys=True, values=False):
                if key not in self._not_ids:
                    yield _decoded(key, self.path)

    def _open(self) -> Any:
        if self._process != os.getpid():
            self._environment = _shared_environment(self._data)
            self._process = os.getpid()
        return self._environment


def _shared_environment(path: Path) -> Any:
    """The one environment that this process has of a file."""
    process, name = os.getpid(), str(path.resolve())
    environment = _OPEN.get((process, name))
    if environment is None:
        for (other, other_name), inherited in list(_OPEN.items()):
            if other != process and other_name == name:
                inherited.close()  # here only: the parent's stays open
        environment = _OPEN[process, name] = _open_environment(path)
    return environment


def _decoded(key: bytes, path: Path) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: the key {key!r} is no image id in UTF-8; is this an LMDB of regions?') from error


def _open_environment(path: Path) -> Any:
    lmdb = require('lmdb', f'reading {path}')
    try:
        environment = lmdb.open(str(path), subdir=False, readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise ValueError(
            f'{path} cannot be read as LMDB ({error}): it is cut short or no LMDB; copy it anew'
        ) from error
    # Reading a page beyond the end of the file would kill the process.
    needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    size = path.stat().st_size
    if size < needed:
        environment.close()
        raise ValueError(f'{path} was cut short: it has {size:,} bytes and needs {needed:,}; copy it anew')
    return environment
