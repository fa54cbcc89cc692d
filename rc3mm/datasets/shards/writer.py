"""ShardWriter: records to a shard set, restartable at every finished shard."""

import dataclasses
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, count
from pathlib import Path
from types import TracebackType
from typing import Any

from rc3mm.datasets.shards.arrow import record_schema, row_group_writer, table_of
from rc3mm.datasets.shards.checksums import checksum
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.image_places import index_images, locate_images
from rc3mm.datasets.shards.index import INDEX, index_scores, index_texts
from rc3mm.datasets.shards.manifest import (
    MANIFEST,
    PLAN,
    ShardFile,
    ShardKind,
    ShardManifest,
    ShardPlan,
    read_json,
    read_manifest,
    shard_name,
    write_json,
)
from rc3mm.datasets.shards.record import ImageTextRecord, RecordError
from rc3mm.utils.atomic import is_temporary, replacing

__all__ = ['ShardWriter']

_MOST_LANGUAGES = 256  # the index has a byte a text


@dataclasses.dataclass
class _Counts:
    """What the rows of a shard, or of all shards, hold."""

    rows: int = 0
    scored: int = 0
    texts: Counter[str] = dataclasses.field(default_factory=Counter)
    pairs: Counter[str] = dataclasses.field(default_factory=Counter)
    images: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, record: ImageTextRecord) -> None:
        languages = Counter(language for language, _ in record.texts)
        self.rows += 1
        self.scored += len(record.relevance or ())
        self.texts.update(languages)
        for a, b in combinations(sorted(languages), 2):
            self.pairs[f'{a}-{b}'] += languages[a] * languages[b]
        image = 'bytes' if record.image_bytes is not None else 'path' if record.image_path is not None else 'none'
        self.images[image] += 1

    def to_json(self) -> dict[str, Any]:
        counters = {name: dict(getattr(self, name)) for name in ('texts', 'pairs', 'images')}
        return {'rows': self.rows, 'scored': self.scored, **counters}

    def merge(self, state: dict[str, Any]) -> None:
        self.rows += state['rows']
        self.scored += state['scored']
        for name in ('texts', 'pairs', 'images'):
            getattr(self, name).update(state[name])


class ShardWriter:
    """Writes records to a folder of shards; a context manager.

    A shard is written to a temporary name and renamed when it is full, together with the cursor of its last record
    and the state of the report. A conversion that died goes on behind that record: its reader skips to `cursor`,
    and shards and report come out as if nothing had happened. So the report must have counted a record (`read`,
    `kept` and all) before the record is added.

    Args:
        folder: of the set; made if it is not there.
        made_of: what the set is made of: inputs with their sizes, and options. A folder made of something else is
            refused.
        command: the command line, for the manifest.
        kind: 'strict', 'weak', 'parallel' or 'retrieval', see `ShardPlan`.
        rows_per_shard: rows of every shard but the last.
        rows_per_group: rows of every row group; small ones are for random access.
        image_root: folder that relative paths of images start from; kept as an absolute path.
        scorer: name of the scorer of the relevance that the source brings.
        report: what counts the drops; its state is kept with the shards, and restored from them.
        overwrite: remove what the folder holds, if it was made of something else; a set made of the same is gone on
            with, or left alone if it is finished.

    Raises:
        ValueError: the folder was made of something else, or holds shards of unknown origin.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        made_of: dict[str, Any],
        command: str = '',
        kind: ShardKind,
        rows_per_shard: int = 8192,
        rows_per_group: int = 64,
        image_root: str = '',
        scorer: str | None = None,
        report: DropReport | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.command = Path(folder), command
        root = os.path.abspath(image_root) if image_root else ''  # who reads the set may stand elsewhere
        self.plan = ShardPlan(kind, made_of, rows_per_shard, rows_per_group, root, scorer)
        self.report = report if report is not None else DropReport()
        self.folder.mkdir(parents=True, exist_ok=True)
        if overwrite and _earlier_plan(self.folder) != self.plan:
            _remove_set(self.folder)
        self._manifest = _find_finished(self.folder, self.plan)
        self._cursor: Any = None
        self._cursor_of_row: Any = None
        self._number = 0  # of the shard that is being filled
        self._counts = _Counts()
        self._buffer: list[ImageTextRecord] = []
        self._file: Any = None
        self._temporary: Path | None = None
        if self._manifest is not None:
            _remove_working_files(self.folder)
            self.report.restore(self._manifest.report)
        else:
            self._begin()

    @property
    def cursor(self) -> Any:
        """The cursor of the last row of the last finished shard; None at the start."""
        return self._cursor

    @property
    def finished(self) -> bool:
        """Whether the set is whole: there is a manifest, and it is made of the same."""
        return self._manifest is not None

    @property
    def manifest(self) -> ShardManifest:
        """The manifest.

        Raises:
            ValueError: the set is not finished.
        """
        if self._manifest is None:
            raise ValueError(f'{self.folder} has no manifest yet; it is written by close()')
        return self._manifest

    def add(self, record: ImageTextRecord, cursor: Any) -> None:
        """Write a record.

        Args:
            record: the record.
            cursor: where the reader is: everything up to and including this has been consumed. Types of JSON.

        Raises:
            RecordError: the record cannot be kept, see `ImageTextRecord.check`; nothing was written of it.
            ValueError: the set is finished.
        """
        if self._manifest is not None:
            raise ValueError(f'{self.folder} is finished; nothing can be added (remove it to begin anew)')
        record.check()
        if self.plan.kind == 'parallel' and (record.image_bytes is not None or record.image_path is not None):
            raise RecordError(f'record {record.image_id!r} has an image, but parallel text has none')
        if record.relevance and self.plan.scorer is None:
            raise RecordError(f'record {record.image_id!r} has relevance; name its scorer in ShardWriter(scorer=...)')
        self._buffer.append(record)
        self._counts.add(record)
        self._cursor_of_row = cursor
        if len(self._buffer) == self.plan.rows_per_group:
            self._write_group()
        if self._counts.rows == self.plan.rows_per_shard:
            self._finish_shard()

    def close(self) -> None:
        """Write what is left, the index and, last, the manifest.

        Raises:
            ValueError: there is not one record, or there are too many languages.
        """
        if self._manifest is not None:
            return
        if self._counts.rows:
            self._finish_shard()
        if not self._number:
            worst = '; '.join(f'{row.reason} ({row.count:,})' for row in self.report.rows()[:5])
            raise ValueError(f'{self.folder}: not one record was kept. Reasons: {worst or "none, the input is empty"}')
        whole, files = _Counts(), []
        for state in self._states():
            whole.merge(state)
            files.append(ShardFile(**state['file']))
        languages = tuple(sorted(whole.texts))
        if len(languages) > _MOST_LANGUAGES:
            raise ValueError(
                f'{self.folder}: {len(languages)} languages, but at most {_MOST_LANGUAGES} can be told apart'
            )
        names = [shard_name(number) for number in range(self._number)]
        index_texts(self.folder, names, whole.rows, whole.texts.total(), languages)
        if whole.scored:
            paths = [self.folder / file.name for file in files]
            index_scores(self.folder / INDEX, 'relevance_', paths, whole.rows, whole.scored)
        if whole.images['bytes']:
            places = (state['places'] or [[-1, 0, 0]] * state['rows'] for state in self._states())
            index_images(self.folder, whole.rows, places)
        manifest = ShardManifest(
            **{field.name: getattr(self.plan, field.name) for field in dataclasses.fields(self.plan)},
            rows=whole.rows,
            texts=whole.texts.total(),
            languages=languages,
            texts_by_language={language: whole.texts[language] for language in languages},
            pairs_by_languages=dict(sorted(whole.pairs.items())),
            images={kind: whole.images[kind] for kind in ('bytes', 'path', 'none')},
            pairs_with_relevance=whole.scored,
            shards=tuple(files),
            index=tuple(checksum(self.folder, path) for path in sorted((self.folder / INDEX).glob('*.npy'))),
            report=self.report.to_json(),
            command=self.command,
        )
        write_json(self.folder / MANIFEST, dataclasses.asdict(manifest))
        self._manifest = read_manifest(self.folder)
        _remove_working_files(self.folder)

    def __enter__(self) -> 'ShardWriter':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._abandon()

    def _begin(self) -> None:
        """Write the plan, or find out how far the run that wrote it came."""
        path = self.folder / PLAN
        if path.is_file():
            earlier = ShardPlan(**read_json(path))
            _refuse_other(self.folder, self.plan, earlier)
        elif any(self.folder.glob('part-*.parquet')):
            raise ValueError(
                f'{self.folder} holds shards but neither {MANIFEST} nor {PLAN}, so nobody knows what they were made '
                'of. Write to another folder, or remove them'
            )
        else:
            write_json(path, dataclasses.asdict(self.plan))
        for number in count():
            if not self._path(number, 'json').is_file() or not self._path(number, 'parquet').is_file():
                break
            state = read_json(self._path(number, 'json'))
            if state['file']['rows'] < self.plan.rows_per_shard:
                break  # the last one of a run that died before the manifest; it is made anew in no time
            self._number, self._cursor = number + 1, state['cursor']
            self.report.restore(state['report'])
        for entry in list(self.folder.iterdir()):
            part = _number_of(entry.name)
            if is_temporary(entry.name) or (part is not None and part >= self._number):
                entry.unlink()

    def _states(self) -> Iterator[dict[str, Any]]:
        return (read_json(self._path(number, 'json')) for number in range(self._number))

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f'{shard_name(number)}.{suffix}'

    def _write_group(self) -> None:
        if self._file is None:
            name = f'.{shard_name(self._number)}.parquet.{secrets.token_hex(4)}.tmp'
            self._temporary = self.folder / name
            self._file = row_group_writer(self._temporary, record_schema())
        self._file.write_table(table_of(self._buffer), row_group_size=self.plan.rows_per_group)
        self._buffer.clear()

    def _finish_shard(self) -> None:
        if self._buffer:
            self._write_group()
        self._file.close()
        path, temporary = self._path(self._number, 'parquet'), self._temporary
        assert temporary is not None
        with replacing(path) as place:
            temporary.rename(place)
        self._file = self._temporary = None
        counts = self._counts
        file = ShardFile(**dataclasses.asdict(checksum(self.folder, path)), rows=counts.rows)
        self._cursor = json.loads(json.dumps(self._cursor_of_row))
        state = {
            'file': dataclasses.asdict(file),
            'cursor': self._cursor,
            'report': self.report.to_json(),
            **counts.to_json(),
            'places': locate_images(path) if counts.images['bytes'] else [],
        }
        write_json(self._path(self._number, 'json'), state)
        self._number += 1
        self._counts = _Counts()

    def _abandon(self) -> None:
        """Drop the shard that is not full."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None
        self._buffer.clear()


def _find_finished(folder: Path, plan: ShardPlan) -> ShardManifest | None:
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_manifest(folder)
    _refuse_other(folder, plan, _plan_of(manifest))
    return manifest


def _plan_of(manifest: ShardManifest) -> ShardPlan:
    return ShardPlan(**{field.name: getattr(manifest, field.name) for field in dataclasses.fields(ShardPlan)})


def _earlier_plan(folder: Path) -> ShardPlan | None:
    """What a folder's set, finished or not, is made of; None if nobody can tell."""
    try:
        if (folder / MANIFEST).is_file():
            return _plan_of(read_manifest(folder))
        return ShardPlan(**read_json(folder / PLAN))
    except (OSError, ValueError, TypeError):
        return None


def _refuse_other(folder: Path, plan: ShardPlan, earlier: ShardPlan) -> None:
    if wrong := plan.differences(earlier):
        more = f'; and {len(wrong) - 5} more' if len(wrong) > 5 else ''
        raise ValueError(
            f'{folder} was made of something else: {"; ".join(wrong[:5])}{more}. Write to another folder, or begin '
            'anew with overwrite=True (--overwrite)'
        )


def _number_of(name: str) -> int | None:
    """Number of the shard that a file belongs to, None for other files."""
    stem, _, suffix = name.partition('.')
    digits = stem.removeprefix('part-')
    return int(digits) if stem != digits and digits.isdecimal() and suffix in ('parquet', 'json') else None


def _working_files(folder: Path) -> Iterator[Path]:
    yield folder / PLAN
    for entry in folder.iterdir():
        if is_temporary(entry.name) or (_number_of(entry.name) is not None and entry.suffix == '.json'):
            yield entry


def _remove_working_files(folder: Path) -> None:
    for path in list(_working_files(folder)):
        path.unlink(missing_ok=True)


def _remove_set(folder: Path) -> None:
    """Remove a set, the manifest first; other files stay."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in (INDEX, 'relevance'):
        shutil.rmtree(folder / name, ignore_errors=True)
    for entry in list(folder.iterdir()):
        if _number_of(entry.name) is not None:
            entry.unlink()
    _remove_working_files(folder)
