"""Which files a shard set is made of, and what they were when they were written."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rc3mm.datasets.shards.checksums import FileChecksum
from rc3mm.datasets.shards.index import INDEX
from rc3mm.datasets.shards.manifest import MANIFEST, ShardManifest, read_json
from rc3mm.datasets.shards.relevance import RELEVANCE, SCORER, read_scorer

__all__ = ['known_files']


def known_files(folder: Path, manifest: ShardManifest) -> tuple[list[FileChecksum], list[str]]:
    """Shards, index, finished scores, and lengths in tokens.

    Args:
        folder: of the set.
        manifest: of the set.

    Returns:
        The files with their checksums; and what has no checksum that can be read, a line each.
    """
    files: list[FileChecksum] = [*manifest.shards, *manifest.index]
    problems = []
    if not manifest.index:
        problems.append(f'{folder / MANIFEST} has no checksums of the index; make the set again')
    for path in sorted((folder / RELEVANCE).glob(f'*/{SCORER}')):
        try:
            entries = read_scorer(path.parent, manifest.fingerprint)
            found = [_read(file) for file in entries['files']]
            files += [replace(file, name=f'{RELEVANCE}/{path.parent.name}/{file.name}') for file in found]
        except (KeyError, TypeError):
            problems.append(f'{path} has no checksums of the scores; remove {path.parent} and score the set again')
        except (OSError, ValueError) as error:
            problems.append(str(error))
    for path in sorted((folder / INDEX).glob('tokens-*.npy')):
        try:
            files.append(_read(read_json(path.with_suffix('.json'))))
        except (OSError, ValueError, KeyError, TypeError):
            problems.append(f'{path} has no checksum; remove it and measure the lengths again')
    return files, problems


def _read(entries: Mapping[str, Any]) -> FileChecksum:
    return FileChecksum(str(entries['name']), int(entries['bytes']), str(entries['sha256']))
