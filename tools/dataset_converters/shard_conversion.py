"""What the converters to shards share: arguments, progress, the loop from records to shards, the summary."""

import argparse
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cli import CommandLineError, in_one_line, run_main
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from tables import drop_table, verbatim

from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.manifest import read_manifest
from rc3mm.datasets.shards.record import ImageTextRecord
from rc3mm.datasets.shards.writer import ShardWriter

__all__ = [
    'Source',
    'Steps',
    'add_shard_arguments',
    'command_line',
    'convert',
    'describe',
    'fault_share',
    'print_summary',
    'run_converter',
    'size_in_bytes',
]

_QUIET = 30.0  # seconds between two lines of progress where there is no terminal
_UNITS = {'': 1, 'K': 10**3, 'M': 10**6, 'G': 10**9, 'T': 10**12}

# Makes the records behind a cursor, each with its own, and the share of the work done.
Source = Callable[[Any], Iterator[tuple[ImageTextRecord, Any, float]]]


def add_shard_arguments(parser: argparse.ArgumentParser, rows_per_shard: int = 8192) -> None:
    """Arguments that every converter to shards has."""
    group = parser.add_argument_group('shards')
    group.add_argument(
        '--rows-per-shard', type=int, default=rows_per_shard, metavar='N', help=f'rows a file ({rows_per_shard})'
    )
    group.add_argument(
        '--rows-per-group', type=int, default=64, metavar='N', help='rows that are read together at random access (64)'
    )
    group.add_argument(
        '--max-fault-share',
        type=fault_share,
        default=0.05,
        metavar='SHARE',
        help='share of malformed rows that is put up with, among at least 1,000 (0.05)',
    )
    group.add_argument('--overwrite', action='store_true', help='replace a set that was made of something else')


def fault_share(text: str) -> float:
    """What `--max-fault-share` means."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no share between 0 and 1')
    return share


def size_in_bytes(text: str) -> int:
    """What `2GB`, `512MB` or `1.5G` means."""
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*([KMGT]?)B?', text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no size such as 2GB or 512MB')
    return int(float(match[1]) * _UNITS[match[2].upper()])


def command_line() -> str:
    """The command, for manifests."""
    return shlex.join(['python', *sys.argv])


def describe(paths: Sequence[Path]) -> list[str]:
    """Names and sizes of input files, to tell whether a conversion is the same as before.

    Raises:
        CommandLineError: a file is missing.
    """
    for path in paths:
        if not path.is_file():
            raise CommandLineError(f'there is no file {path}')
    return [f'{path.name}: {path.stat().st_size} bytes' for path in paths]


def run_converter(main: Callable[[], None]) -> None:
    """Run a converter's main function; errors about inputs and outputs are told in one line."""

    @in_one_line(ValueError, OSError, ImportError, MemoryError)
    def run() -> None:
        try:
            main()
        except KeyboardInterrupt:
            raise CommandLineError('interrupted; to go on, run the same command again') from None

    run_main(run)


class Steps:
    """Progress of the steps of a conversion, with time left: bars on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        columns = (
            TextColumn('{task.description}', markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn('{task.fields[note]}', markup=False),
        )
        quiet = not self.console.is_terminal
        self._progress = Progress(*columns, TimeRemainingColumn(), console=self.console, disable=quiet)
        self._tasks: dict[str, Any] = {}
        self._since: dict[str, tuple[float, float]] = {}
        self._told = time.monotonic()

    def __enter__(self) -> 'Steps':
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, step: str, share: float, note: str = '') -> None:
        """A step is done to that share."""
        now = time.monotonic()
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=1.0, note='')
            self._since[step] = (now, share)
        self._progress.update(self._tasks[step], completed=share, note=note)
        if not self.console.is_terminal and now - self._told > _QUIET:
            self._told = now
            began, first = self._since[step]
            left = (now - began) / max(share - first, 1e-9) * (1 - share)
            rest = f', {timedelta(seconds=round(left))} left' if share > first else ''
            self.console.print(verbatim(f'{step}: {100 * share:.1f} % {note}{rest}'))


def convert(out: Path, args: argparse.Namespace, source: Source, steps: Steps, report: DropReport, **plan: Any) -> bool:
    """Write the records of a source to shards, from where an earlier run was stopped.

    Args:
        out: folder of the set.
        args: the command line, with the arguments of `add_shard_arguments`.
        source: the records.
        steps: progress.
        report: what was counted before the first record.
        **plan: `kind`, `made_of`, and what else `ShardWriter` takes.

    Returns:
        False if the set was there already.
    """
    if out.is_file():
        raise CommandLineError(f'{out} is a file, but it should be the folder to write')
    with ShardWriter(
        out,
        command=command_line(),
        rows_per_shard=args.rows_per_shard,
        rows_per_group=args.rows_per_group,
        report=report,
        overwrite=args.overwrite,
        **plan,
    ) as writer:
        if writer.finished:
            return False
        if writer.cursor is not None:
            steps.console.print(verbatim(f'{out}: {report.num_kept:,} rows are there already'))
        for number, (record, cursor, share) in enumerate(source(writer.cursor)):
            writer.add(record, cursor)
            if not number % 256:
                steps.update(f'writing {out.name}', share, f'{report.num_kept:,} kept of {report.num_read:,}')
        steps.update(f'writing {out.name}', 1.0)
    return True


def print_summary(out: Path, seconds: float | None, extra: dict[str, str] | None = None) -> None:
    """What is in a set, and what was left out on the way, as two tables.

    Args:
        out: folder of the set.
        seconds: how long it took; None if it was there already.
        extra: more lines.
    """
    manifest = read_manifest(out)
    rows = {
        'kind': manifest.kind,
        'rows': f'{manifest.rows:,}',
        'texts': f'{manifest.texts:,}: '
        + ', '.join(f'{language} {count:,}' for language, count in manifest.texts_by_language.items()),
        'images': ', '.join(f'{name} {count:,}' for name, count in manifest.images.items() if count),
        'size': f'{decimal(sum(shard.bytes for shard in manifest.shards))} in {len(manifest.shards):,} shards',
        **(extra or {}),
        'this run': 'nothing to do: the set was there' if seconds is None else str(timedelta(seconds=round(seconds))),
    }
    table = Table('shard set', Column(verbatim(out)), box=SIMPLE_HEAD)
    for name, value in rows.items():
        table.add_row(name, verbatim(value))
    console = Console()
    console.print(table)
    report = DropReport.from_json(manifest.report)
    console.print(drop_table(report) if report.rows() else 'nothing was left out')
