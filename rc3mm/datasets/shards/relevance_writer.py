"""RelevanceWriter: scores beside a shard set, written shard by shard by any number of processes."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rc3mm.datasets.shards.arrow import open_parquet, relevance_schema, row_group_writer
from rc3mm.datasets.shards.checksums import checksum
from rc3mm.datasets.shards.index import INDEX, index_scores
from rc3mm.datasets.shards.manifest import PLAN, read_json, shard_name, write_json
from rc3mm.datasets.shards.record import check_scores
from rc3mm.datasets.shards.relevance import RELEVANCE, SCORER
from rc3mm.datasets.shards.shard_set import STORED, ShardSet
from rc3mm.utils.atomic import is_temporary, replacing

__all__ = ['RelevanceWriter', 'read_plan']

Scores = Sequence[tuple[int, int, float]]


class RelevanceWriter:
    """Writes the scores of one scorer; the shards themselves stay as they are.

    Each shard's scores are a file of their own, written whole or not at all, so that several processes may each do
    their own shards, and a run that died goes on with those that are not `done`.

    Args:
        shard_set: the set that is scored.
        name: of the scores, a file name.
        scorer: name, config and calibration of the scorer, in types of JSON.

    Raises:
        ValueError: the name is no file name, or there are scores of this name by another scorer, by nobody knows
            which, or of another set.
    """

    def __init__(self, shard_set: ShardSet, name: str, scorer: Mapping[str, Any]) -> None:
        if not name or name == STORED or name in ('.', '..') or Path(name).name != name:
            raise ValueError(f'{name!r} cannot name scores: a file name other than {STORED!r} is needed')
        self.shard_set, self.name = shard_set, name
        self.folder = shard_set.folder / RELEVANCE / name
        self.plan = _as_json({'scorer': dict(scorer), 'set': shard_set.manifest.fingerprint})
        earlier = read_plan(self.folder)
        if earlier:
            self._refuse_other(earlier)
        elif any(self.done(number) for number in range(len(shard_set.manifest.shards))):
            raise ValueError(
                f'{self.folder} holds scores but neither {SCORER} nor {PLAN}, so nobody knows whose they are; take '
                'another name, or remove the folder'
            )
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / PLAN, self.plan)

    def _refuse_other(self, earlier: dict[str, Any]) -> None:
        if earlier['set'] != self.plan['set']:
            raise ValueError(f'{self.folder} holds scores of another shard set; remove it, or take another name')
        if earlier['scorer'] != self.plan['scorer']:
            raise ValueError(
                f'{self.folder} holds scores by {str(earlier["scorer"])[:300]}, now they would be by '
                f'{str(self.plan["scorer"])[:300]}; take another name, or remove the folder'
            )

    def path(self, shard: int) -> Path:
        """Where the scores of a shard lie."""
        return self.folder / f'{shard_name(shard)}.parquet'

    def done(self, shard: int) -> bool:
        """Whether the scores of a shard are there."""
        return self.path(shard).is_file()

    def write(self, shard: int, scores: Sequence[Scores]) -> None:
        """Write the scores of a shard, whole or not at all.

        Args:
            shard: number of the shard.
            scores: for each of its rows (first, second, score) by positions in the row's texts, first below second,
                score in [0, 1].

        Raises:
            ValueError: there are more or fewer rows than the shard has.
            RecordError: a pair is not one of the row's texts, comes twice, or has a score outside [0, 1].
        """
        rows = self.shard_set.shard_rows(shard)
        if len(scores) != len(rows):
            raise ValueError(f'{self.path(shard)}: scores of {len(scores)} rows, but the shard has {len(rows)}')
        counts = np.diff(self.shard_set.text_offsets[rows.start : rows.stop + 1]).tolist()
        for row, count, pairs in zip(rows, counts, scores, strict=True):
            check_scores(tuple(pairs), count, f'{self.name}, row {row}')
        structs = [[{'first': a, 'second': b, 'score': s} for a, b, s in pairs] for pairs in scores]
        schema = relevance_schema()
        table = pa.Table.from_arrays([pa.array(structs, schema.field(0).type)], schema=schema)
        with replacing(self.path(shard)) as temporary, row_group_writer(temporary, schema) as file:
            file.write_table(table)

    def finish(self) -> None:
        """Write the index and, last, the scorer and all checksums; one process does it, when all shards are scored.

        Raises:
            ValueError: some are missing or do not fit.
        """
        manifest = self.shard_set.manifest
        missing = [number for number in range(len(manifest.shards)) if not self.done(number)]
        if missing:
            raise ValueError(
                f'{self.folder} cannot be finished: the scores of {len(missing)} of {len(manifest.shards)} shards are '
                f'missing, {missing[:5]}'
            )
        for entry in list(self.folder.iterdir()):  # all is written, so nobody writes any more
            if is_temporary(entry.name):
                entry.unlink(missing_ok=True)
        files = [self.path(number) for number in range(len(manifest.shards))]
        pairs = sum(map(_count_pairs, files))
        index_scores(self.folder / INDEX, '', files, manifest.rows, pairs)
        files += sorted((self.folder / INDEX).glob('*.npy'))
        checksums = [dataclasses.asdict(checksum(self.folder, file)) for file in files]
        write_json(self.folder / SCORER, {**self.plan, 'pairs': pairs, 'files': checksums})
        (self.folder / PLAN).unlink(missing_ok=True)


def read_plan(folder: Path) -> dict[str, Any]:
    """What a folder of scores is to hold: `scorer` and the fingerprint of the `set`; empty if it does not say.

    Raises:
        ValueError: what it says cannot be read.
    """
    for name in (SCORER, PLAN):  # a finished one has its scorer, one that was begun its plan
        if (folder / name).is_file():
            entries = read_json(folder / name)
            return {key: entries.get(key) for key in ('scorer', 'set')}
    return {}


def _count_pairs(path: Path) -> int:
    batches = open_parquet(path).iter_batches(columns=['relevance'], use_threads=False)
    return sum(len(batch.column(0).flatten()) for batch in batches)


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
