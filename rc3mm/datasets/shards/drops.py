"""What was left out on the way from a corpus to a shard set, and why."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ['DropLimitError', 'DropReport', 'DropRow']

_FIRST = 1000  # rows after which a share says something; before, as if so many had been read
_DETAIL = 200  # characters

Kind = Literal['fault', 'rule']


class DropLimitError(ValueError):
    """Too many rows of a corpus are malformed."""


@dataclass(slots=True)
class DropRow:
    """One reason of a report.

    Attributes:
        reason: the reason.
        kind: 'fault' (malformed) or 'rule' (dropped by choice).
        count: how often.
        samples: (where, detail) of some cases: the first ones, then a random choice of the rest.
    """

    reason: str
    kind: Kind
    count: int = 0
    samples: list[tuple[str, str]] = field(default_factory=list)


class DropReport:
    """Counts what was read, kept and dropped, by reason, with samples of each reason.

    Faults are rows that are malformed: too many of them end the conversion. Rules drop rows by choice (too short, a
    duplicate, another language), and any number of them is all right. The state is a function of what was counted,
    so that a conversion that goes on from `to_json()` ends with the report of one that was never interrupted.

    Args:
        max_fault_share: share of faults among the rows read that is put up with. While fewer than a thousand rows
            were read, it is taken of a thousand.
        samples: cases kept a reason; the first half are the first to occur, the others a random choice.

    Attributes:
        num_read: rows read.
        num_kept: rows kept.
    """

    def __init__(self, max_fault_share: float = 0.05, samples: int = 5) -> None:
        if not 0 <= max_fault_share <= 1:
            raise ValueError(f'max_fault_share must be in [0, 1], got {max_fault_share}')
        if samples < 1:
            raise ValueError(f'samples must be at least 1, got {samples}')
        self.max_fault_share, self.samples = max_fault_share, samples
        self.num_read = self.num_kept = 0
        self._rows: dict[tuple[Kind, str], DropRow] = {}

    def read(self, count: int = 1) -> None:
        """Count rows read."""
        self.num_read += count

    def kept(self, count: int = 1) -> None:
        """Count rows kept."""
        self.num_kept += count

    def fault(self, reason: str, where: str, detail: str = '', count: int = 1) -> None:
        """Count a malformed row, or several that are lost together.

        Args:
            reason: the kind of fault, by which faults are counted; one of a few fixed texts.
            where: file and line.
            detail: what is wrong with this row; cut at 200 characters.
            count: number of rows.

        Raises:
            DropLimitError: there are more faults than `max_fault_share` allows.
        """
        self._count('fault', reason, where, detail, count)
        if self.num_faults > self.max_fault_share * max(self.num_read, _FIRST):
            raise DropLimitError(self._complaint(where, reason, detail))

    def rule(self, reason: str, where: str = '', detail: str = '', count: int = 1) -> None:
        """Count rows that are left out by choice."""
        self._count('rule', reason, where, detail, count)

    @property
    def num_faults(self) -> int:
        """Malformed rows."""
        return sum(row.count for row in self._rows.values() if row.kind == 'fault')

    def rows(self) -> list[DropRow]:
        """The reasons: faults first, then by falling count."""
        return sorted(self._rows.values(), key=lambda row: (row.kind, -row.count, row.reason))

    def to_json(self) -> dict[str, Any]:
        """All of it, in types of JSON."""
        reasons = [
            {'reason': row.reason, 'kind': row.kind, 'count': row.count, 'samples': [list(s) for s in row.samples]}
            for row in self.rows()
        ]
        return {'read': self.num_read, 'kept': self.num_kept, 'reasons': reasons}

    @classmethod
    def from_json(cls, state: Mapping[str, Any], max_fault_share: float = 0.05, samples: int = 5) -> 'DropReport':
        """A report in the state that `to_json` gave."""
        report = cls(max_fault_share, samples)
        report.restore(state)
        return report

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `to_json` gave, in place of one's own."""
        self.num_read, self.num_kept = int(state['read']), int(state['kept'])
        self._rows = {
            (entry['kind'], entry['reason']): DropRow(
                entry['reason'], entry['kind'], int(entry['count']), [(w, d) for w, d in entry['samples']]
            )
            for entry in state['reasons']
        }

    def merge(self, others: Iterable['DropReport']) -> None:
        """Add what other reports counted, such as those of several input files; samples of the first come first."""
        for other in others:
            self.num_read += other.num_read
            self.num_kept += other.num_kept
            for row in other.rows():
                mine = self._rows.setdefault((row.kind, row.reason), DropRow(row.reason, row.kind))
                mine.count += row.count
                mine.samples = [*mine.samples, *row.samples][: self.samples]

    def _count(self, kind: Kind, reason: str, where: str, detail: str, count: int) -> None:
        row = self._rows.setdefault((kind, reason), DropRow(reason, kind))
        row.count += count
        if not where:
            return
        sample = (_storable(where), _storable(detail[:_DETAIL]))
        if len(row.samples) < self.samples:
            row.samples.append(sample)
            return
        # A reservoir without a generator's state: the place is a hash of how many there were.
        first = (self.samples + 1) // 2
        digest = hashlib.blake2b(f'{kind}\0{reason}\0{row.count}'.encode('utf-8', 'replace'), digest_size=8).digest()
        place = first + int.from_bytes(digest, 'little') % max(row.count - first, 1)
        if place < self.samples:
            row.samples[place] = sample

    def _complaint(self, where: str, reason: str, detail: str) -> str:
        worst = '; '.join(
            f'{row.reason} ({row.count:,}: {", ".join(w for w, _ in row.samples[:3])}{", ..." * (row.count > 3)})'
            for row in self.rows()[:3]
            if row.kind == 'fault'
        )
        said = f'{reason}: {detail[:_DETAIL]}' if detail else reason
        return (
            f'{where}: {said}. That makes {self.num_faults:,} malformed of {self.num_read:,} rows read, more than '
            f'max_fault_share = {self.max_fault_share:g} allows. Reasons: {worst}. Mend the input, or raise '
            'max_fault_share (--max-fault-share)'
        )


def _storable(text: str) -> str:
    """A text with halves of surrogate pairs, which no file may hold, written out."""
    return text.encode('utf-8', 'backslashreplace').decode()
