"""What a shard set is made of and what it holds: a plan before the first shard, the manifest after the last."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rc3mm.datasets.shards.checksums import FileChecksum
from rc3mm.utils.atomic import replacing
from rc3mm.version import __version__

__all__ = [
    'KINDS',
    'MANIFEST',
    'PLAN',
    'ShardFile',
    'ShardKind',
    'ShardManifest',
    'ShardPlan',
    'read_json',
    'read_manifest',
    'shard_name',
    'write_json',
]

MANIFEST, PLAN = 'manifest.json', 'plan.json'
FORMAT_VERSION = 1

ShardKind = Literal['strict', 'weak', 'parallel', 'retrieval']
KINDS = ('strict', 'weak', 'parallel', 'retrieval')


@dataclass(frozen=True)
class ShardPlan:
    """What decides on the content of a set; a conversion may only go on with an equal plan.

    Attributes:
        kind: 'strict' (the texts of an image are translations), 'weak' (they are not), 'parallel' (texts without an
            image), or 'retrieval' (a benchmark).
        made_of: inputs with their sizes, and options.
        rows_per_shard: rows of every shard but the last, a multiple of `rows_per_group`.
        rows_per_group: rows of every row group but the last of a shard.
        image_root: folder that relative paths of images start from.
        scorer: name of the scorer of the relevance that the source brings; None if it brings none.
    """

    kind: ShardKind
    made_of: dict[str, Any]
    rows_per_shard: int
    rows_per_group: int
    image_root: str = ''
    scorer: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'the kind of a shard set is one of {", ".join(KINDS)}, got {self.kind!r}')
        if self.rows_per_group < 1 or self.rows_per_shard < 1 or self.rows_per_shard % self.rows_per_group:
            raise ValueError(
                'rows_per_shard must be a positive multiple of rows_per_group, so that rows are found by arithmetic; '
                f'got {self.rows_per_shard} and {self.rows_per_group}'
            )
        if not isinstance(self.made_of, dict):
            raise TypeError(f'made_of must be a dict, got a {type(self.made_of).__name__}')
        object.__setattr__(self, 'made_of', json.loads(json.dumps(self.made_of)))  # as it will be read again

    def differences(self, other: 'ShardPlan') -> list[str]:
        """In what another plan differs, for messages."""
        mine, theirs = _flat(dataclasses.asdict(self)), _flat(dataclasses.asdict(other))
        return [
            f'{key} {_shown(theirs.get(key))}, now {_shown(mine.get(key))}'
            for key in dict.fromkeys((*theirs, *mine))
            if theirs.get(key) != mine.get(key)
        ]


@dataclass(frozen=True)
class ShardFile(FileChecksum):
    """One shard: file name, size in bytes, checksum and number of rows."""

    rows: int


@dataclass(frozen=True)
class ShardManifest(ShardPlan):
    """The plan and the counts of a whole set.

    Attributes:
        rows: number of rows.
        texts: number of texts.
        languages: in the order of the index's codes.
        texts_by_language: language -> number of texts.
        pairs_by_languages: 'de-en' -> number of pairs of texts of the same row in these two languages.
        images: 'bytes', 'path' and 'none' -> number of rows.
        pairs_with_relevance: number of pairs whose relevance the source brought.
        shards: the files.
        index: the files of the index that are made with the set.
        report: what was left out, see `DropReport.to_json`.
        command: the command line that made the set.
        rc3mm_version: version of the package that made it.
        format_version: version of the layout on the disk.
    """

    rows: int = 0
    texts: int = 0
    languages: tuple[str, ...] = ()
    texts_by_language: dict[str, int] = field(default_factory=dict)
    pairs_by_languages: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    pairs_with_relevance: int = 0
    shards: tuple[ShardFile, ...] = ()
    index: tuple[FileChecksum, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)
    command: str = ''
    rc3mm_version: str = __version__
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stand for the content of the shards."""
        whole = hashlib.blake2b(digest_size=16)
        for shard in self.shards:
            whole.update(f'{shard.rows} {shard.sha256}\n'.encode())
        return whole.hexdigest()


def shard_name(number: int) -> str:
    """File name of a shard, without extension."""
    return f'part-{number:05d}'


def read_manifest(folder: Path) -> ShardManifest:
    """Read the manifest of a set.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be read, or is of a newer layout.
    """
    path = folder / MANIFEST
    if not path.is_file():
        begun = (folder / PLAN).is_file()
        advice = 'it was begun but not finished; run its converter again, which goes on where it stopped'
        raise FileNotFoundError(
            f'{folder} is no shard set: there is no {MANIFEST}'
            + (f' ({advice})' if begun else '; name the folder that a converter wrote')
        )
    entries = read_json(path)
    try:
        if entries.get('format_version', 0) > FORMAT_VERSION:
            raise ValueError(f'it has layout {entries["format_version"]}, made by a newer rc3mm: update the package')
        entries['shards'] = tuple(ShardFile(**shard) for shard in entries['shards'])
        entries['index'] = tuple(FileChecksum(**file) for file in entries.get('index', ()))
        entries['languages'] = tuple(entries['languages'])
        return ShardManifest(**entries)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f'{path} cannot be read as the manifest of a shard set: {error}') from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that `write_json` wrote.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it holds no JSON object.
    """
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is no JSON: {error}') from error
    if not isinstance(entries, dict):
        raise ValueError(f'{path} holds no JSON object')
    return entries


def write_json(path: Path, entries: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    with replacing(path) as temporary:
        # halves of surrogate pairs, such as file names that are not UTF-8 have, become escapes, which JSON reads back
        temporary.write_text(text + '\n', encoding='utf-8', errors='backslashreplace')


def _flat(entries: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in entries.items():
        flat |= _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {f'{prefix}{key}': value}
    return flat


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f'{text[:77]}...'
