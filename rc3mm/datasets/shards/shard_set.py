"""ShardSet: a shard set, open for reading."""

import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rc3mm.datasets.shards.arrow import open_parquet, record_of
from rc3mm.datasets.shards.checksums import find_damage
from rc3mm.datasets.shards.image_places import PLACE, PLACES, read_image
from rc3mm.datasets.shards.index import INDEX, map_array
from rc3mm.datasets.shards.manifest import ShardManifest, read_manifest
from rc3mm.datasets.shards.record import ImageTextRecord
from rc3mm.datasets.shards.relevance import RELEVANCE, SCORER, RelevanceScores, read_scorer
from rc3mm.datasets.shards.verification import known_files

__all__ = ['RELEVANCE', 'SCORER', 'STORED', 'ShardSet']

STORED = 'stored'
Text = tuple[str, str]  # (language, text)
_COLUMNS = ('image_id', 'texts', 'relevance', 'source_id', 'url')


class ShardSet:
    """Rows by number, in memory that does not grow with their number.

    What is asked of texts without reading them (how many, in which language, how long) comes from memory-mapped
    arrays; rows are read a row group at a time, but each image by itself, unless `whole_groups` says otherwise. Safe to
    hand to worker processes by fork or by pickling: each opens the files for itself.

    Args:
        folder: of the set.
        open_files: shards kept open.
        cached_groups: row groups kept in memory, the ones used last.

    Attributes:
        folder: of the set.
        manifest: what it is made of and what it holds.
        cached_groups: as the argument; it may be changed.
        whole_groups: read images with their row group, for who reads all of it; else each image by itself.
        groups_read: row groups read so far, by this process.

    Raises:
        FileNotFoundError: the folder is no shard set, or the set is not finished.
        ValueError: the manifest cannot be read.
    """

    def __init__(self, folder: str | Path, *, open_files: int = 16, cached_groups: int = 2) -> None:
        self.folder = Path(folder)
        self.manifest: ShardManifest = read_manifest(self.folder)
        self.open_files, self.cached_groups = open_files, cached_groups
        self.whole_groups = False
        self._reset()

    def _reset(self) -> None:
        self.groups_read = 0
        self._process = os.getpid()
        self._files: OrderedDict[int, tuple[Any, BinaryIO]] = OrderedDict()
        self._has_places = (self.folder / INDEX / f'{PLACES}.npy').is_file()
        self._groups: OrderedDict[tuple[int, bool], Any] = OrderedDict()
        self._maps: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        """Number of rows."""
        return self.manifest.rows

    # -- from the index

    @property
    def text_offsets(self) -> np.ndarray:
        """int64 (N + 1,): where the texts of a row begin in the arrays by text."""
        return self._map('text_offsets', np.int64, self.manifest.rows + 1)

    @property
    def languages_of(self) -> np.ndarray:
        """uint8 (texts,): position of a text's language in `manifest.languages`."""
        return self._map('languages', np.uint8, self.manifest.texts)

    @property
    def text_lengths(self) -> np.ndarray:
        """uint16 (texts,): length of a text in UTF-8 bytes; 65,535 for longer ones."""
        return self._map('lengths', np.uint16, self.manifest.texts)

    def relevance(self, name: str) -> RelevanceScores:
        """Scores beside the set.

        Args:
            name: of the scores' folder, or 'stored' for the scores that the source brought.

        Raises:
            FileNotFoundError: there are none of this name, or they are not finished.
            ValueError: they are of another set.
        """
        if name == STORED:
            if not self.manifest.pairs_with_relevance:
                raise FileNotFoundError(f'{self.folder} holds no relevance of its own; {self._scored_by()}')
            prefix = str(self.folder / INDEX / 'relevance_')
            scorer = {'name': self.manifest.scorer}
            return RelevanceScores(prefix, len(self), self.manifest.pairs_with_relevance, scorer)
        folder = self.folder / RELEVANCE / name
        if not (folder / SCORER).is_file():
            begun = f' (begun, but not finished: {folder})' if folder.is_dir() else ''
            raise FileNotFoundError(f'{self.folder} has no scores {name!r}{begun}; {self._scored_by()}')
        entries = read_scorer(folder, self.manifest.fingerprint)
        prefix = f'{folder / INDEX}{os.sep}'
        return RelevanceScores(prefix, len(self), entries['pairs'], entries['scorer'])

    def scorers(self) -> list[str]:
        """Names of the finished scores beside the set; 'stored' first, if the source brought some."""
        found = sorted(path.parent.name for path in (self.folder / RELEVANCE).glob(f'*/{SCORER}'))
        return [STORED] * bool(self.manifest.pairs_with_relevance) + found

    def scored_pairs(self, name: str, rows: Iterable[int] | None = None) -> Iterator[tuple[Text, Text, float]]:
        """Pairs of texts that have a score, with it; what `PrecomputedRelevance` takes.

        Args:
            name: of the scores, as `relevance` takes it.
            rows: of which rows; None for all.

        Raises:
            FileNotFoundError: there are none of this name, or they are not finished.
            ValueError: they are of another set.
        """
        scores = self.relevance(name)
        for row in range(len(self)) if rows is None else rows:
            if pairs := scores[row]:
                texts = self.texts(row)
                yield from ((texts[first], texts[second], score) for (first, second), score in pairs.items())

    def _scored_by(self) -> str:
        known = self.scorers()
        return f'there is {", ".join(map(repr, known))}' if known else 'score its pairs with tools/score_relevance.py'

    def _map(self, name: str, dtype: Any, length: int) -> np.ndarray:
        if name not in self._maps:
            self._maps[name] = map_array(self.folder / INDEX / f'{name}.npy', dtype, length)
        return self._maps[name]

    # -- from the shards

    def record(self, index: int, image: bool = True) -> ImageTextRecord:
        """A row.

        Args:
            index: within range(len(self)).
            image: with the image; without, it is not read, and `image_bytes` and `image_path` are None.

        Raises:
            IndexError: there is no such row.
            ValueError: the shard is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'row {index} is outside a set of {len(self)} rows')
        group, row = self._place(index)
        apart = not self.whole_groups and self._has_places
        columns = self._group(group, image and not apart).slice(row, 1).to_pylist()[0]
        if not image:
            columns.pop('image')
        elif columns['image'] is not None and 'bytes' not in columns['image']:
            columns['image']['bytes'] = self._image(index)
        return record_of(columns)

    def texts(self, index: int) -> tuple[tuple[str, str], ...]:
        """The (language, text) pairs of a row."""
        return self.record(index, image=False).texts

    def iter_records(self, start: int = 0, stop: int | None = None, image: bool = True) -> Iterator[ImageTextRecord]:
        """Rows in order, a row group at a time; nothing is kept.

        Args:
            start: the first row.
            stop: the row behind the last; None for the end.
            image: with the images; without, `image_bytes` and `image_path` are None, as in `record`.
        """
        rows = range(len(self))[start:stop]
        if not rows:
            return
        last = self._place(rows[-1])[0]
        for group in range(self._place(rows[0])[0], last + 1):
            first = self._first_row(group)
            table = self._read(group, *(['image'] if image else []))
            begin = max(rows.start - first, 0)
            end = min(rows.stop - first, table.num_rows)
            yield from map(record_of, table.slice(begin, end - begin).to_pylist())

    def shard_rows(self, number: int) -> range:
        """Rows of a shard."""
        start = number * self.manifest.rows_per_shard
        return range(start, start + self.manifest.shards[number].rows)

    def where(self, index: int) -> str:
        """File and row within it, for messages."""
        number, row = divmod(index, self.manifest.rows_per_shard)
        return f'{self.folder / self.manifest.shards[number].name}, row {row}'

    def verify(self, progress: Callable[[int], object] | None = None) -> list[str]:
        """Read shards, index, scores and lengths in tokens, and compare sizes and checksums with what was written.

        Args:
            progress: called with the bytes of each file that was read, see `known_files`.

        Returns:
            What is wrong, a line a file; empty if all is well.
        """
        files, problems = known_files(self.folder, self.manifest)
        problems += find_damage(self.folder, files, progress)
        if not problems:  # the files are as they were written; do they fit the manifest?
            try:
                _ = self.text_offsets, self.languages_of, self.text_lengths, *map(self.relevance, self.scorers())
            except (OSError, ValueError) as error:
                problems.append(str(error))
        return problems

    @property
    def _groups_per_shard(self) -> int:
        return self.manifest.rows_per_shard // self.manifest.rows_per_group

    def _place(self, index: int) -> tuple[int, int]:
        """Number of the row group, counted through all shards, and row within it."""
        return divmod(index, self.manifest.rows_per_group)

    def _first_row(self, group: int) -> int:
        return group * self.manifest.rows_per_group

    def _group(self, group: int, with_bytes: bool) -> Any:
        if self._process != os.getpid():  # a forked worker shares neither file positions nor caches
            self._reset()
        for key in ((group, True), (group, with_bytes)):
            if key in self._groups:
                self._groups.move_to_end(key)
                return self._groups[key]
        while len(self._groups) >= max(self.cached_groups, 1):
            self._groups.popitem(last=False)  # before the next one is read: two may not fit
        table = self._read(group, 'image' if with_bytes else 'image.path')
        self._groups[group, with_bytes] = table
        return table

    def _read(self, group: int, *image_columns: str) -> Any:
        number, inner = divmod(group, self._groups_per_shard)
        file = self._file(number)[0]
        columns = [*_COLUMNS, *image_columns]
        self.groups_read += 1
        try:
            return file.read_row_group(inner, columns=columns, use_threads=False)
        except (OSError, ValueError) as error:
            path = self.folder / self.manifest.shards[number].name
            raise ValueError(
                f'{path} is damaged in row group {inner}: {error}. Copy it anew, or make it again'
            ) from error

    def _image(self, index: int) -> bytes | None:
        """The image of a row, read by itself; None if the row holds none."""
        place = self._map(PLACES, PLACE, len(self))[index]
        if place['offset'] < 0:
            return None
        raw = self._file(index // self.manifest.rows_per_shard)[1]
        image = read_image(raw, int(place['offset']), int(place['size']))
        if zlib.crc32(image) != place['crc']:
            raise ValueError(f'{self.where(index)}: the image is damaged. Copy the file anew, or make it again')
        return image

    def _file(self, number: int) -> tuple[Any, BinaryIO]:
        """A shard, open as Parquet and as bytes."""
        if self._process != os.getpid():
            self._reset()
        if number not in self._files:
            while len(self._files) >= self.open_files:
                for file in self._files.popitem(last=False)[1]:
                    file.close()
            shard = self.manifest.shards[number]
            file = open_parquet(self.folder / shard.name)
            if file.metadata.num_rows != shard.rows:
                raise ValueError(
                    f'{self.folder / shard.name} has {file.metadata.num_rows} rows, the manifest says {shard.rows}'
                )
            self._files[number] = (file, (self.folder / shard.name).open('rb', buffering=0))
        self._files.move_to_end(number)
        return self._files[number]

    def __getstate__(self) -> dict[str, Any]:
        names = ('folder', 'open_files', 'cached_groups', 'whole_groups')
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.manifest = read_manifest(self.folder)
        self._reset()
