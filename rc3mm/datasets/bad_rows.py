"""What to do about bad rows of data that nobody has read through: skip a few, refuse many."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from mmengine.logging import print_log

__all__ = ['BadRowError', 'BadRowGuard']

_FIRST = 1000  # rows after which a share says something; before, as if so many had been read
_SHOWN = 5  # rows that the error names a reason

T = TypeVar('T')


class BadRowError(ValueError):
    """A row cannot be used.

    Args:
        reason: the kind of fault, by which faults are counted.
        detail: what is wrong with this row.
    """

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(f'{reason}: {detail}' if detail else reason)
        self.reason = reason


class BadRowGuard:
    """Loads the first good row at or behind an index, as long as bad ones are rare.

    Bad rows are counted by reason and warned of once a reason. Each process counts those that it meets, and remembers
    their numbers and reasons, some hundred bytes each: of N rows never more than max_bad_share x N, however often they
    are read.

    Args:
        name: of the data, for messages.
        total: number of rows.
        number: an index's number of the row in the data, for messages.
        max_bad_share: share of bad rows among those read that is put up with; 0 accepts none. While fewer than a
            thousand rows were read, it is taken of a thousand, or of the whole of smaller data, and later never of more
            than the whole.

    Attributes:
        counts: bad rows met so far, by reason.

    Raises:
        ValueError: the share is not in [0, 1).
    """

    def __init__(self, name: str, total: int, number: Callable[[int], int], max_bad_share: float) -> None:
        if not 0 <= max_bad_share < 1:
            raise ValueError(f'max_bad_share must be in [0, 1), got {max_bad_share}')
        self.name, self.total, self.number, self.max_bad_share = name, total, number, max_bad_share
        self.counts: Counter[str] = Counter()
        self._bad: dict[int, str] = {}
        self._read = 0

    def first_good(self, index: int, load: Callable[[int], T]) -> T:
        """What `load` makes of the first good row.

        Args:
            index: where to begin, within range(total); after the last row comes the first.
            load: makes a sample of an index; raises `BadRowError` if it cannot.

        Raises:
            ValueError: there are too many bad rows; data, rows and reasons are named.
        """
        for step in range(self.total):
            place = (index + step) % self.total
            if place in self._bad:
                continue
            self._read += 1
            try:
                return load(place)
            except BadRowError as error:
                self._note(place, error)
        raise ValueError(f'{self.name} holds no usable row. {self._summary()}')

    def _note(self, place: int, error: BadRowError) -> None:
        where = f'{self.name}, row {self.number(place)}'
        self._bad[place] = error.reason
        self.counts[error.reason] += 1
        allowed = self.max_bad_share * min(self.total, max(self._read, _FIRST))
        if len(self._bad) > allowed:
            advice = ', or raise `max_bad_share` in the dataset' if self.max_bad_share else ''
            message = (
                f'{where}: {error}. That makes {len(self._bad)} bad of {self._read} rows read, more than '
                f'max_bad_share = {self.max_bad_share:g} allows. {self._summary()} Mend or leave out '
                f'these rows{advice}.'
            )
            del self._bad[place]  # who asks for it again shall hear of it again
            self.counts[error.reason] -= 1
            raise ValueError(message) from error
        if self.counts[error.reason] == 1:
            print_log(
                f'{where}: {error}; the next good row takes its place. Further rows with this fault are counted, not '
                'reported',
                logger='current',
                level=logging.WARNING,
            )

    def _summary(self) -> str:
        parts = []
        for reason, count in self.counts.most_common():
            numbers = [self.number(place) for place, why in self._bad.items() if why == reason]
            more = ', ...' if count > _SHOWN else ''
            parts.append(f'{reason} ({count}: row {", ".join(map(str, numbers[:_SHOWN]))}{more})')
        return f'Reasons: {"; ".join(parts)}.'
