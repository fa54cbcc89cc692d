"""What to do about bad lines in large files that nobody has read through: skip a few, refuse many."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from mmengine.logging import print_log

from rc3mm.datasets.line_index import LineIndex

__all__ = ['BadLineError', 'BadLineGuard']

_FIRST = 1000  # lines after which a share says something; before, as if so many had been read
_SHOWN = 5  # lines that the error names a reason

T = TypeVar('T')


class BadLineError(ValueError):
    """A line of a data file cannot be used.

    Args:
        reason: the kind of fault, by which faults are counted.
        detail: what is wrong with this line.
    """

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(f'{reason}: {detail}' if detail else reason)
        self.reason = reason


class BadLineGuard:
    """Reads the first good line at or behind an index, as long as bad ones are rare.

    Bad lines are counted by reason and warned of once a reason. Each process counts those that it meets.

    Args:
        lines: the file.
        max_bad_share: share of bad lines among those read that is put up with; 0 accepts none. While fewer
            than a thousand lines were read, it is taken of a thousand, or of the whole of a shorter file.

    Attributes:
        counts: bad lines met so far, by reason.
    """

    def __init__(self, lines: LineIndex, max_bad_share: float) -> None:
        if not 0 <= max_bad_share < 1:
            raise ValueError(f'max_bad_share must be in [0, 1), got {max_bad_share}')
        self.lines = lines
        self.max_bad_share = max_bad_share
        self.counts: Counter[str] = Counter()
        self._bad: dict[int, str] = {}
        self._read = 0

    def first_good(self, index: int, load: Callable[[int], T], positions: range) -> T:
        """What `load` makes of the first good line.

        Args:
            index: where to begin, within `range(len(positions))`; after the last position comes the first.
            load: makes a sample of a line's index; raises `BadLineError` if it cannot.
            positions: the lines' indexes in the file that may be used.

        Raises:
            ValueError: there are too many bad lines; file, lines and reasons are named.
        """
        for step in range(len(positions)):
            place = positions[(index + step) % len(positions)]
            if place in self._bad:
                continue
            self._read += 1
            try:
                return load(place)
            except BadLineError as error:
                self._note(place, error, len(positions))
        raise ValueError(f'{self.lines.path} holds no usable line. {self._summary()}')

    def _note(self, place: int, error: BadLineError, total: int) -> None:
        where = f'{self.lines.path}, line {self.lines.number(place)}'
        self._bad[place] = error.reason
        self.counts[error.reason] += 1
        allowed = self.max_bad_share * max(self._read, min(total, _FIRST))
        if len(self._bad) > allowed:
            advice = ', or raise `max_bad_share` in the dataset' if self.max_bad_share else ''
            message = (
                f'{where}: {error}. That makes {len(self._bad)} bad of {self._read} lines read, more than '
                f'max_bad_share = {self.max_bad_share:g} allows. {self._summary()} Mend or remove these '
                f'lines{advice}.'
            )
            del self._bad[place]  # who asks for it again shall hear of it again
            self.counts[error.reason] -= 1
            raise ValueError(message) from error
        if self.counts[error.reason] == 1:
            print_log(
                f'{where}: {error}; the next good line takes its place. Further lines with this fault are '
                'counted, not reported',
                logger='current',
                level=logging.WARNING,
            )

    def _summary(self) -> str:
        parts = []
        for reason, count in self.counts.most_common():
            numbers = [self.lines.number(place) for place, why in self._bad.items() if why == reason]
            more = ', ...' if count > _SHOWN else ''
            parts.append(f'{reason} ({count}: line {", ".join(map(str, numbers[:_SHOWN]))}{more})')
        return f'Reasons: {"; ".join(parts)}.'
