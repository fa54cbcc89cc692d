"""Flat arrays beside the shards, read through memory maps: what is asked of rows without reading Parquet."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rc3mm.datasets.shards.arrow import open_parquet
from rc3mm.utils.atomic import replacing

__all__ = ['ArrayWriter', 'index_scores', 'index_texts', 'map_array', 'split_scores', 'split_texts']

INDEX = 'index'
LONGEST = np.iinfo(np.uint16).max  # bytes; longer texts are clipped
_BATCH = 8192  # rows


class ArrayWriter:
    """Writes an .npy file of known length part by part, whole or not at all.

    Args:
        path: the file.
        dtype: of the array.
        length: of the array.
    """

    def __init__(self, path: Path, dtype: Any, length: int) -> None:
        self.path, self.dtype, self.length = path, np.dtype(dtype), length

    def write(self, parts: Iterator[np.ndarray]) -> None:
        """Write the parts of the array, in order.

        Raises:
            ValueError: they have another length in all.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        header = {'descr': np.lib.format.dtype_to_descr(self.dtype), 'fortran_order': False, 'shape': (self.length,)}
        written = 0
        with replacing(self.path) as temporary, temporary.open('xb') as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(part.astype(self.dtype, copy=False).tobytes())
                written += len(part)
            if written != self.length:
                raise ValueError(f'{self.path}: {written} values, expected {self.length}; the shards do not fit')
            file.flush()
            os.fsync(file.fileno())


def map_array(path: Path, dtype: Any, length: int) -> np.ndarray:
    """An array of a set's index, mapped read-only.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another type or length than the manifest says.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there is no {path}; the shard set is not whole, copy it anew or make it again')
    try:
        array = np.load(path, mmap_mode='r' if length else None)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f'{path} cannot be read, truncated? Copy it anew or make the set again ({error})') from error
    if array.dtype != np.dtype(dtype) or array.shape != (length,):
        raise ValueError(
            f'{path} holds {array.shape} {array.dtype}, but the manifest says ({length},) {np.dtype(dtype)}'
        )
    return array


def index_texts(folder: Path, names: Sequence[str], rows: int, texts: int, languages: Sequence[str]) -> None:
    """Write `text_offsets`, `languages` and `lengths` of a set whose shards are all there."""

    def parts(key: str) -> Iterator[np.ndarray]:
        return (part[key] for name in names for part in _read_texts(folder / f'{name}.parquet', languages))

    _write_offsets(folder / INDEX / 'text_offsets.npy', rows, parts('counts'))
    ArrayWriter(folder / INDEX / 'languages.npy', np.uint8, texts).write(parts('languages'))
    ArrayWriter(folder / INDEX / 'lengths.npy', np.uint16, texts).write(parts('lengths'))


def index_scores(folder: Path, prefix: str, files: Sequence[Path], rows: int, pairs: int) -> None:
    """Write `offsets`, `first`, `second` and `score` of the relevance in files that are aligned with the shards."""

    def parts(key: str) -> Iterator[np.ndarray]:
        return (part[key] for file in files for part in _read_scores(file))

    _write_offsets(folder / f'{prefix}offsets.npy', rows, parts('counts'))
    for name, dtype in (('first', np.int16), ('second', np.int16), ('score', np.float32)):
        ArrayWriter(folder / f'{prefix}{name}.npy', dtype, pairs).write(parts(name))


def _write_offsets(path: Path, rows: int, counts: Iterator[np.ndarray]) -> None:
    def running() -> Iterator[np.ndarray]:
        total = 0
        yield np.zeros(1, np.int64)
        for part in counts:
            ends = np.cumsum(part, dtype=np.int64) + total
            total = int(ends[-1]) if len(ends) else total
            yield ends

    ArrayWriter(path, np.int64, rows + 1).write(running())


def _read_texts(path: Path, languages: Sequence[str]) -> Iterator[Mapping[str, np.ndarray]]:
    for batch in open_parquet(path).iter_batches(_BATCH, columns=['texts'], use_threads=False):
        yield split_texts(batch.column(0), languages)


def _read_scores(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    for batch in open_parquet(path).iter_batches(_BATCH, columns=['relevance'], use_threads=False):
        yield split_scores(batch.column(0))


def split_texts(column: pa.ListArray, languages: Sequence[str]) -> dict[str, np.ndarray]:
    """`counts` by row, `languages` (codes) and `lengths` (UTF-8 bytes, clipped) by text of a column of texts."""
    flat = column.flatten()
    codes = pc.index_in(flat.field('language'), pa.array(languages, pa.string()))
    lengths = pc.binary_length(flat.field('text')).to_numpy(zero_copy_only=False)
    return {
        'counts': column.value_lengths().to_numpy(zero_copy_only=False),
        'languages': codes.to_numpy(zero_copy_only=False).astype(np.uint8),
        'lengths': np.minimum(lengths, LONGEST).astype(np.uint16),
    }


def split_scores(column: pa.ListArray) -> dict[str, np.ndarray]:
    """`counts` by row, `first`, `second` and `score` by pair of a column of relevance."""
    flat = column.flatten()
    counts = pc.fill_null(column.value_lengths(), 0).to_numpy(zero_copy_only=False)
    values = {name: flat.field(name).to_numpy(zero_copy_only=False) for name in ('first', 'second', 'score')}
    return {'counts': counts, **values}
