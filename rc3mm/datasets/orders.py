"""In which order the items of one source come: endless, epoch after epoch, a function of the position alone."""

from bisect import bisect_right
from collections import OrderedDict
from typing import NamedTuple, Protocol

import numpy as np

from rc3mm.datasets.permutation import FeistelPermutation

__all__ = ['ItemOrder', 'Items', 'ShuffledOrder', 'StreamOrder']


class Items(NamedTuple):
    """Items that an order gives.

    Attributes:
        indices_N: positions in the dataset, int64.
        serials_N: numbers that no other items of the order have, int64.
    """

    indices_N: np.ndarray
    serials_N: np.ndarray


class ItemOrder(Protocol):
    """Endless sequences of items, one a lane; over an epoch each item comes once in all lanes together."""

    def take(self, lane: int, start: int, count: int) -> Items:
        """The items at positions [start, start + count) of a lane."""


class ShuffledOrder:
    """One lane; every epoch is a keyed permutation of its own, in constant memory.

    Args:
        num_items: items of the source.
        key: chooses the permutations.
        run: so many consecutive items stay together; what is left of the last run ends every epoch.
    """

    def __init__(self, num_items: int, key: tuple[int, ...], run: int = 1) -> None:
        self.num_items, self.key, self.run = num_items, key, min(run, num_items)
        self._permutation: tuple[int, FeistelPermutation] | None = None  # of the epoch used last

    def take(self, lane: int, start: int, count: int) -> Items:
        """See `ItemOrder`."""
        serials_N = np.arange(start, start + count)
        epochs_N, places_N = np.divmod(serials_N, self.num_items)
        indices_N = np.empty_like(serials_N)
        for epoch in np.unique(epochs_N).tolist():
            if self._permutation is None or self._permutation[0] != epoch:
                self._permutation = (epoch, FeistelPermutation(self.num_items // self.run, (*self.key, epoch)))
            inside = epochs_N == epoch
            runs, offsets = np.divmod(places_N[inside], self.run)
            whole = runs < self.num_items // self.run
            runs[whole] = self._permutation[1].apply(runs[whole])
            indices_N[inside] = runs * self.run + offsets
        return Items(indices_N, serials_N)


class StreamOrder:
    """For data that are read in sequence: whole blocks of consecutive items, each read by one lane an epoch.

    The blocks are permuted anew every epoch, cut into windows of a few, and each window is shuffled inside. The endless
    list of the windows of all epochs is dealt to the lanes, one after the other, so that a lane reads and keeps one
    window at a time. Memory is a number a window of one epoch, and the windows that are under way.

    Args:
        num_items: items of the source.
        key: chooses the permutations.
        lanes: who read at the same time: processes times workers of their loaders.
        block: items a block; the last one of the source may have fewer.
        window: blocks a window; the last one of an epoch may have fewer.

    Raises:
        ValueError: an epoch has fewer windows than there are lanes.
    """

    def __init__(self, num_items: int, key: tuple[int, ...], lanes: int, block: int = 1024, window: int = 8) -> None:
        self.num_items, self.key, self.lanes = num_items, key, lanes
        self.block, self.window = block, window
        self.blocks = -(-num_items // block)
        self.windows = -(-self.blocks // window)
        if self.windows < lanes:
            raise ValueError(
                f'{num_items:,} items make {self.windows} windows of {window} blocks of {block:,} items, too few for '
                f'{lanes} lanes (processes x workers of the loader)'
            )
        self._ends: dict[int, list[int]] = {lane: [0] for lane in range(lanes)}  # of a lane's epochs, in positions
        self._epoch: OrderedDict[int, FeistelPermutation] = OrderedDict()
        self._rows: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def take(self, lane: int, start: int, count: int) -> Items:
        """See `ItemOrder`."""
        ends = self._ends[lane]
        while ends[-1] < start + count:
            ends.append(ends[-1] + int(self._sizes(lane, len(ends) - 1)[1].sum()))
        indices, serials = [], []
        while count:
            epoch = bisect_right(ends, start) - 1
            windows_W, sizes_W = self._sizes(lane, epoch)
            ends_W = np.cumsum(sizes_W) + ends[epoch]
            at = int(np.searchsorted(ends_W, start, side='right'))
            begin = start - int(ends_W[at] - sizes_W[at])
            rows_N = self._window(epoch, int(windows_W[at]))[begin : begin + count]
            indices.append(rows_N)
            serials.append(rows_N + epoch * self.num_items)
            start, count = start + len(rows_N), count - len(rows_N)
        return Items(np.concatenate(indices), np.concatenate(serials))

    def _sizes(self, lane: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The windows of an epoch that a lane reads, and how many items each has."""
        windows_W = np.arange((lane - epoch * self.windows) % self.lanes, self.windows, self.lanes)
        blocks_W = np.minimum(self.blocks - windows_W * self.window, self.window)
        sizes_W = blocks_W * self.block
        short = self._permutation(epoch).inverse(self.blocks - 1) // self.window  # where the source's last block is
        sizes_W[windows_W == short] -= self.blocks * self.block - self.num_items
        return windows_W, sizes_W

    def _permutation(self, epoch: int) -> FeistelPermutation:
        """Of the blocks, in an epoch."""
        if epoch not in self._epoch:
            self._epoch[epoch] = FeistelPermutation(self.blocks, (*self.key, epoch))
            if len(self._epoch) > 4:  # lanes may be an epoch apart
                self._epoch.popitem(last=False)
        return self._epoch[epoch]

    def _window(self, epoch: int, window: int) -> np.ndarray:
        """The items of a window, shuffled."""
        key = (epoch, window)
        if key not in self._rows:
            places = np.arange(window * self.window, min((window + 1) * self.window, self.blocks))
            firsts = np.sort(self._permutation(epoch).apply(places)) * self.block
            rows = (firsts[:, None] + np.arange(self.block)).ravel()
            rows = rows[rows < self.num_items]
            self._rows[key] = np.random.default_rng((*self.key, epoch, window)).permutation(rows)
            if len(self._rows) > 2 * self.lanes:
                self._rows.popitem(last=False)
        return self._rows[key]
