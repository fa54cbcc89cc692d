"""BadRowGuard: few bad rows are replaced, many are refused, and what it remembers is bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.datasets.bad_rows import BadRowError, BadRowGuard


def load_unless(bad: set[int]):
    def load(index: int) -> int:
        if index in bad:
            raise BadRowError('missing file', f'{index}.jpg')
        return index

    return load


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3000), st.floats(0, 0.5), st.data())
def test_never_more_than_the_share_of_the_whole(total: int, share: float, data: st.DataObject) -> None:
    """However often the rows are read: the rows that are remembered are at most the share of all."""
    rows = data.draw(st.lists(st.integers(0, total - 1), max_size=30))
    bad = set(rows[::2]) if len(set(rows[::2])) < total else set()
    guard = BadRowGuard('data', total, int, share)
    for _ in range(50):
        for row in rows:
            try:
                assert guard.first_good(row, load_unless(bad)) not in bad
            except ValueError as error:
                assert 'max_bad_share' in str(error)
    assert sum(guard.counts.values()) == len(guard._bad) <= share * total


def test_many_epochs_do_not_raise_the_limit() -> None:
    """A row that turns bad in each of ten epochs of two hundred rows, of which one percent may be bad."""
    guard = BadRowGuard('data', 200, int, 0.01)
    for epoch in range(2):
        for row in range(200):
            guard.first_good(row, load_unless(set(range(epoch + 1))))
    for _ in range(8):
        for row in range(3, 200):
            guard.first_good(row, load_unless({0, 1, 2}))
    with pytest.raises(ValueError, match=r'data, row 2: missing file: 2\.jpg\. That makes 3 bad of \d+ rows read'):
        guard.first_good(2, load_unless({0, 1, 2}))


def test_shares_and_empty_data() -> None:
    for share in (-0.1, 1.0, np.nan):
        with pytest.raises(ValueError, match=r'max_bad_share must be in \[0, 1\)'):
            BadRowGuard('data', 10, int, share)
    with pytest.raises(ValueError, match='data holds no usable row'):
        BadRowGuard('data', 0, int, 0.1).first_good(0, load_unless(set()))
