"""What extract_roi_features.py says: which images are bad, and how far it is."""

import argparse
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from cli import CommandLineError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rc3mm.utils.atomic import replacing

_QUIET = 30.0  # seconds between two lines of progress where there is no terminal


@dataclasses.dataclass(frozen=True)
class BadImage:
    """An image that was skipped.

    Attributes:
        image_id: its id.
        reason: the kind of fault.
        detail: what is wrong with it.
        origin: file, line or row that it comes from.
    """

    image_id: str
    reason: str
    detail: str
    origin: str


class BadLimit(NamedTuple):
    """How many images may be skipped: a number, or a share of all."""

    value: float
    is_share: bool

    def allowed(self, total: int) -> int:
        """The number that `total` images may have."""
        return int(self.value * total) if self.is_share else int(self.value)


def bad_limit(text: str) -> BadLimit:
    """What `--max-bad` means."""
    if text.isdecimal():
        return BadLimit(int(text), False)
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is neither a share such as 0.01 nor a number such as 20')
    return BadLimit(share, True)


class Report(NamedTuple):
    """What a shard cannot tell of itself.

    Attributes:
        bad: images that were skipped.
        empty: number of images without any region.
    """

    bad: list[BadImage]
    empty: int


class Reports:
    """The reports of all shards of a store, by whichever process and run; they lie beside the shards.

    Args:
        store: the store's folder.
        total: number of input images.
        limit: how many of them may be bad.
    """

    def __init__(self, store: Path, total: int, limit: BadLimit) -> None:
        self.store, self.total, self.allowed = store, total, limit.allowed(total)
        self.folder = store / 'reports'
        self._known: dict[int, Report] = {}

    def add(self, number: int, report: Report) -> None:
        """Write the report of a shard, and see what other processes have written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        bad = [dataclasses.asdict(image) for image in report.bad]
        text = json.dumps({'bad': bad, 'empty': report.empty}, ensure_ascii=False, indent=1)
        with replacing(self.folder / f'{number:05d}.json') as temporary:
            temporary.write_text(text, encoding='utf-8')

    def clean(self) -> None:
        """Remove what killed runs left half written, when nobody writes any more."""
        for path in self.folder.glob('.*.tmp'):
            path.unlink(missing_ok=True)

    def look(self, finished: set[int]) -> None:
        """Read the reports of finished shards that were not read yet.

        Raises:
            CommandLineError: one cannot be read.
        """
        for number in sorted(finished - self._known.keys()):
            path = self.folder / f'{number:05d}.json'
            try:
                entries = json.loads(path.read_text(encoding='utf-8'))
                self._known[number] = Report([BadImage(**image) for image in entries['bad']], int(entries['empty']))
            except (OSError, ValueError, KeyError, TypeError) as error:
                shard = self.store / f'shard-{number:05d}.safetensors'
                raise CommandLineError(
                    f'{path} cannot be read ({error}); remove {shard}, and both are made anew'
                ) from error

    def bad(self) -> Iterator[BadImage]:
        """The bad images of all shards that were looked at, in the order of the inputs."""
        return (image for _, report in sorted(self._known.items()) for image in report.bad)

    @property
    def num_empty(self) -> int:
        """Number of images without any region."""
        return sum(report.empty for report in self._known.values())

    def check_limit(self, more: Sequence[BadImage] = ()) -> None:
        """Stop if too many images are bad.

        Args:
            more: bad images of the shard that is being made.

        Raises:
            CommandLineError: there are more than are allowed; they are listed before.
        """
        if sum(len(report.bad) for report in self._known.values()) + len(more) <= self.allowed:
            return
        path = self.write_list(more)
        bad = [*self.bad(), *more]
        raise CommandLineError(
            f'{len(bad):,} of {self.total:,} images are bad ({count_reasons(bad)}), more than --max-bad allows '
            f'({self.allowed:,}); {path} lists them. Mend them or raise --max-bad, and run the same command again: '
            'finished shards are kept'
        )

    def write_list(self, more: Sequence[BadImage] = ()) -> Path:
        """Write `bad_images.tsv`."""
        rows = [('id', 'reason', 'detail', 'origin')]
        rows += [(image.image_id, image.reason, image.detail, image.origin) for image in (*self.bad(), *more)]
        text = ''.join('\t'.join(' '.join(cell.split()) for cell in row) + '\n' for row in rows)
        path = self.store / 'bad_images.tsv'
        with replacing(path) as temporary:
            temporary.write_text(text, encoding='utf-8', errors='backslashreplace')
        return path


def count_reasons(bad: Sequence[BadImage]) -> str:
    """Such as `3 truncated image, 1 missing file`."""
    return ', '.join(f'{count:,} {reason}' for reason, count in Counter(i.reason for i in bad).most_common())


class Bar:
    """Progress with speed and time left: a bar on a terminal, now and then a line elsewhere.

    Args:
        name: what is counted.
        total: how many there are.
        hidden: say nothing.
    """

    def __init__(self, name: str, total: int, hidden: bool) -> None:
        self.console = Console(stderr=True)
        self.name, self.total, self.hidden, self.done = name, total, hidden, 0
        speed = TextColumn('{task.fields[speed]}')
        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console, disable=hidden or not self.console.is_terminal)
        self.task = self.progress.add_task(name, total=total, speed='')
        self.started = self.told = time.monotonic()

    def __enter__(self) -> 'Bar':
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        now = time.monotonic()
        speed = self.done / max(now - self.started, 1e-6)
        self.progress.update(self.task, advance=count, speed=f'{speed:.1f}/s')
        if not self.hidden and not self.console.is_terminal and now - self.told > _QUIET:
            self.told = now
            left = timedelta(seconds=round((self.total - self.done) / max(speed, 1e-6)))
            self.console.print(f'{self.name}: {self.done:,} of {self.total:,}, {speed:.1f}/s, {left} left')
