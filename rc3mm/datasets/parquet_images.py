"""Images in Parquet files, read one group of rows at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ['ParquetImages']


class ParquetImages:
    """Images in a column of Parquet files, with ids in another; the order is that of files and rows.

    The image column holds encoded images, paths, or a structure with
    `bytes` and `path`, as the `datasets` library writes it. One group of rows is in memory at a time.

    Args:
        files: the files.
        image_column: name of the column of images.
        id_column: name of the column of ids, texts or integers.
        roots: for each file the folder that its relative paths start from; None for the files' own folders.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
        ValueError: a file is damaged or lacks a column, or there are no rows.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        image_column: str = 'image',
        id_column: str = 'image_id',
        roots: Sequence[str | Path] | None = None,
    ) -> None:
        self.files = [Path(file) for file in files]
        self.roots = [file.parent for file in self.files] if roots is None else [Path(root) for root in roots]
        if len(self.roots) != len(self.files):
            raise ValueError(f'{len(self.files)} files, but {len(self.roots)} folders of images')
        self.image_column, self.id_column = image_column, id_column
        groups: list[tuple[int, int, int]] = []  # file, group of rows within it, rows
        for number, path in enumerate(self.files):
            metadata = self._open(number).metadata
            groups += [(number, group, metadata.row_group(group).num_rows) for group in range(metadata.num_row_groups)]
            columns = metadata.schema.to_arrow_schema().names
            for option, column in (('--image-column', image_column), ('--id-column', id_column)):
                if column not in columns:
                    raise ValueError(f'{path} has no column {column!r}; give one of {columns} as {option}')
        self._groups = np.array(groups, np.int64).reshape(-1, 3)
        self._ends = np.cumsum(self._groups[:, 2])
        if not len(self):
            raise ValueError(f'there are no rows in {", ".join(map(str, self.files[:3]))}')
        self._cached: tuple[int, Any] | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def ids(self) -> Iterator[str]:
        """Every id, in order."""
        row = 0
        for number in range(len(self.files)):
            for batch in self._open(number).iter_batches(columns=[self.id_column]):
                for value in batch.column(0).to_pylist():
                    yield self._named(value, row)
                    row += 1

    def origin(self, index: int) -> str:
        """File and row within it."""
        group = self._group_of(index)
        number = int(self._groups[group, 0])
        first = int(np.searchsorted(self._groups[:, 0], number))
        start = int(self._ends[first] - self._groups[first, 2])
        return f'{self.files[number]}, row {index - start}'

    def sample(self, index: int) -> dict[str, Any]:
        """`image_id` and `image_path` or `image_bytes`; neither where the image is null."""
        group = self._group_of(index)
        if self._cached is None or self._cached[0] != group:
            self._cached = None  # before the next one is read: two may not fit
            self._cached = (group, self._read(group))
        table = self._cached[1]
        row = index - int(self._ends[group] - self._groups[group, 2])
        sample = {'image_id': self._named(table.column(self.id_column)[row].as_py(), index)}
        image = table.column(self.image_column)[row].as_py()
        if isinstance(image, dict):
            image = image.get('bytes') if image.get('bytes') is not None else image.get('path')
        if isinstance(image, bytes):
            return {**sample, 'image_bytes': image}
        if isinstance(image, str):
            return {**sample, 'image_path': str(self.roots[self._groups[group, 0]] / image)}
        if image is None:
            return sample
        raise ValueError(
            f'{self.files[self._groups[group, 0]]}: the column {self.image_column!r} holds values of type '
            f'{type(image).__name__}; encoded images or paths are expected'
        )

    def _group_of(self, index: int) -> int:
        return int(np.searchsorted(self._ends, index, side='right'))

    def _named(self, value: Any, index: int) -> str:
        if value is None:
            raise ValueError(f'{self.origin(index)} has no id in the column {self.id_column!r}')
        return str(value)

    def _read(self, group: int) -> Any:
        number, inner, _ = map(int, self._groups[group])
        columns = list(dict.fromkeys([self.image_column, self.id_column]))
        try:
            return self._open(number).read_row_group(inner, columns=columns)
        except (OSError, ValueError) as error:
            raise ValueError(f'{self.files[number]} is damaged in row group {inner}: {error}') from error

    def _open(self, number: int) -> Any:
        try:
            from pyarrow.parquet import ParquetFile
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'Parquet files are read by pyarrow, which is missing: pip install pyarrow'
            ) from error
        try:
            return ParquetFile(self.files[number])
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise ValueError(f'{self.files[number]} cannot be read as Parquet, truncated?: {error}') from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_cached': None}
