"""Samplers without state: every batch is a function of (seed, iteration), so resuming costs nothing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import Sampler

from rc3mm.datasets.mixed import MixedSources
from rc3mm.datasets.orders import ItemOrder, Items, ShuffledOrder, StreamOrder
from rc3mm.registry import DATA_SAMPLERS
from rc3mm.structures import Draw
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['EvalSampler', 'MixedSourceSampler']

_BLOCK = 1024  # iterations whose sources are drawn at once
_SOURCE_STREAM, _STEP_STREAM, _SHUFFLE_STREAM, _SAMPLE_STREAM, _POOL_STREAM = range(5)

T = TypeVar('T')


@DATA_SAMPLERS.register_module()
class MixedSourceSampler(Sampler[list[Draw]]):
    """Endless homogeneous batches: each iteration draws one source, the same on every rank.

    Each source is walked through in epochs, in one of two orders:

    - 'shuffle': any item may come next, see `ShuffledOrder`. A global batch does not depend on how many processes
      share it: with twice the processes and half the `batch_size` the same items meet in the same iteration.
    - 'stream': for data that are better read in sequence, see `StreamOrder`. Each worker of each process reads whole
      blocks of its own; iteration k is served by worker k % `workers`. The order depends on the number of processes and
      of workers, so a run is resumed exactly only with the same numbers.

    With `length_pool` above 1, so many consecutive batches of a source (of all processes together, or of one worker
    in the order 'stream') are dealt out anew by the length of their texts, so that a batch holds texts of like lengths
    and little padding, and come in random order. An epoch still sees each item once; only who meets whom in a batch
    changes.

    `batch_size`, `ratios` and `order` go by source; a group of sources named 'group/member' may be given in one as
    'group', which its members share. A group's ratio is divided among its members by size^(1/T).

    Args:
        dataset: the mixed sources.
        batch_size: items of one process a batch, for all sources or by source.
        ratios: how often each source is drawn; None for all sources and groups equally often. A source left out is
            never drawn.
        temperature: T of the groups, at least 1: 1 draws members by their size, more lets small ones come more often.
        order: 'shuffle' or 'stream' by source; those left out are shuffled.
        stream_block: items a block in the order 'stream'; a multiple of a shard set's rows a row group.
        stream_window: blocks that are shuffled together, and kept in memory by each worker.
        length_pool: batches that are sorted by length together; 1 to leave lengths to chance.
        run: so many consecutive items of a shuffled source come together, such as the questions about one image, whose
            encoding they can then share (`share_images` of `vl_collate`); for all sources or by source. Batches of
            runs are not sorted by length, which would tear them apart.
        seed: of the order and of everything random in the samples; None means 0.

    Attributes:
        start: the iteration to begin with; a resuming loop sets it.
        workers: of each process's loader, at least 1; `RC3TrainLoop` sets it.

    Raises:
        ValueError: an unknown source or order, no positive ratio, a missing or non-positive batch size, a pool, block,
            window or temperature below 1, or too few items to be streamed.
    """

    def __init__(
        self,
        dataset: MixedSources,
        batch_size: int | Mapping[str, int],
        ratios: Mapping[str, float] | None = None,
        seed: int | None = None,
        length_pool: int = 1,
        *,
        temperature: float = 1.0,
        order: Mapping[str, str] | None = None,
        stream_block: int = 1024,
        stream_window: int = 8,
        run: int | Mapping[str, int] = 1,
    ) -> None:
        for name, value in (
            ('length_pool', length_pool),
            ('stream_block', stream_block),
            ('stream_window', stream_window),
            ('temperature', temperature),
        ):
            if not value >= 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        names, sizes = dataset.names, dataset.sizes
        orders = dict(order or {})
        batches = dict(batch_size) if isinstance(batch_size, Mapping) else {_group(name): batch_size for name in names}
        ratios = dict(ratios) if ratios is not None else {_group(name): 1.0 for name in names}
        known = {*names, *map(_group, names)}
        runs = dict(run) if isinstance(run, Mapping) else {_group(name): run for name in names}
        unknown = (set(ratios) | set(batches) | set(orders) | set(runs)) - known
        if unknown:
            raise ValueError(
                f'ratios, batch_size, order or run name unknown sources {sorted(unknown)}; the dataset has {names}'
            )
        weights = _divide(ratios, names, sizes, temperature)
        if not np.isfinite(weights).all() or weights.min() < 0 or weights.sum() <= 0:
            raise ValueError(f'ratios must be finite, non-negative and not all 0, got {ratios}')
        self.batch_sizes = [_by_source(batches, name, 0) for name in names]
        for name, weight, size in zip(names, weights, self.batch_sizes, strict=True):
            if weight > 0 and size < 1:
                raise ValueError(
                    f'batch_size of source "{name}" must be at least 1, got {_by_source(batches, name, None)}'
                )
        self.kinds = [_by_source(orders, name, 'shuffle') for name in names]
        self.runs = [_by_source(runs, name, 1) for name in names]
        if min(self.runs) < 1:
            raise ValueError(f'run must be at least 1, got {run}')
        if not set(self.kinds) <= {'shuffle', 'stream'}:
            raise ValueError(f"the order of a source is 'shuffle' or 'stream', got {orders}")
        self.pools = [length_pool if own == 1 else 1 for own in self.runs]
        if any(own > 1 and kind == 'stream' for own, kind in zip(self.runs, self.kinds, strict=True)):
            raise ValueError(f'runs are for shuffled sources, a streamed one is read in sequence anyway; got run={run}')
        self.names, self.dataset, self.num_items = names, dataset, sizes
        self.length_pool, self.stream_block, self.stream_window = length_pool, stream_block, stream_window
        self.probabilities = weights / weights.sum()
        self.seed = seed or 0
        self.start = 0
        self.workers = 1
        for source, kind in enumerate(self.kinds):
            if kind == 'stream' and weights[source] > 0:
                self._stream(source, lanes=1)  # too few items: say so now
                dataset.keep_blocks(source, stream_block, self._blocks_under_way(source))

    @property
    def workers(self) -> int:
        """Workers of each process's loader."""
        return self._workers

    @workers.setter
    def workers(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f'workers must be at least 1, got {workers}; a loader without workers counts as 1')
        self._workers = workers
        self._orders: dict[int, ItemOrder] = {}
        self._pools: dict[tuple[int, int], tuple[int, Items]] = {}

    def __len__(self) -> int:
        """Batches after which every source that is drawn at all has been seen once, on average."""
        _, world_size = rank_and_world_size()
        drawn = [(n, b, p) for n, b, p in zip(self.num_items, self.batch_sizes, self.probabilities, strict=True) if p]
        return max(math.ceil(n / (b * world_size * p)) for n, b, p in drawn)

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the order is a function of the iteration. MMEngine's seed hook calls it."""

    def sources(self, block: int) -> np.ndarray:
        """Source numbers of iterations [block * 1024, (block + 1) * 1024)."""
        rng = np.random.default_rng((self.seed, _SOURCE_STREAM, block))
        return rng.choice(len(self.names), size=_BLOCK, p=self.probabilities)

    def __iter__(self) -> Iterator[list[Draw]]:
        first_block, offset = divmod(self.start, _BLOCK)
        served = np.zeros((len(self.names), self.workers), np.int64)  # batches by source and worker so far
        iterations = np.arange(_BLOCK)
        for block in range(first_block):
            np.add.at(served, (self.sources(block), (iterations + block * _BLOCK) % self.workers), 1)
        iteration = first_block * _BLOCK
        block = first_block
        while True:
            for source in self.sources(block).tolist():
                worker = iteration % self.workers
                if iteration >= first_block * _BLOCK + offset:
                    streamed = self.kinds[source] == 'stream'
                    number = served[source, worker] if streamed else served[source].sum()
                    yield self.batch(source, int(number), iteration)
                served[source, worker] += 1
                iteration += 1
            block += 1

    def batch(self, source: int, number: int, iteration: int) -> list[Draw]:
        """This process's part of a batch.

        Args:
            source: number of the source.
            number: batches of the source before this one; in the order 'stream', those of the same worker.
            iteration: the training iteration.
        """
        step_seed = int(np.random.SeedSequence((self.seed, _STEP_STREAM, iteration)).generate_state(1)[0])
        pool, place = divmod(number, self.pools[source])
        worker = iteration % self.workers if self.kinds[source] == 'stream' else 0
        indices, serials = (part[place].tolist() for part in self._pool(source, worker, pool))
        return [
            Draw(index, (self.seed, _SAMPLE_STREAM, source, serial), source, iteration, step_seed)
            for index, serial in zip(indices, serials, strict=True)
        ]

    def _pool(self, source: int, worker: int, pool: int) -> Items:
        """This process's items of the batches of a pool, each part of shape (batches, batch size)."""
        known = self._pools.get((source, worker))
        if known is None or known[0] != pool:
            self._pools[source, worker] = (pool, self._deal(source, worker, pool))
        return self._pools[source, worker][1]

    def _deal(self, source: int, worker: int, pool: int) -> Items:
        rank, world_size = rank_and_world_size()
        size, streamed = self.batch_sizes[source], self.kinds[source] == 'stream'
        together = size if streamed else size * world_size
        lane = worker * world_size + rank if streamed else 0
        batches = self.pools[source]
        count = batches * together
        items = self._order(source).take(lane, pool * count, count)
        chosen = np.arange(count).reshape(batches, together)
        if batches > 1:
            draws = [
                Draw(index, (self.seed, _SAMPLE_STREAM, source, serial), source)
                for index, serial in zip(items.indices_N.tolist(), items.serials_N.tolist(), strict=True)
            ]
            by_length = np.argsort(self.dataset.lengths(source, draws), kind='stable')
            # The same batches are long on every rank: the generator knows the worker, but not the rank.
            rng = np.random.default_rng((self.seed, _POOL_STREAM, source, pool, *([worker] if streamed else [])))
            sorted_ = rng.permutation(by_length.reshape(batches, together))
            chosen = rng.permuted(sorted_, axis=1)  # no rank is given the longest texts of every batch
        if not streamed:
            chosen = chosen[:, rank * size : (rank + 1) * size]
        return Items(items.indices_N[chosen], items.serials_N[chosen])

    def _order(self, source: int) -> ItemOrder:
        if source not in self._orders:
            streamed = self.kinds[source] == 'stream'
            lanes = self.workers * rank_and_world_size()[1]
            self._orders[source] = self._stream(source, lanes) if streamed else self._shuffle(source)
        return self._orders[source]

    def _shuffle(self, source: int) -> ShuffledOrder:
        return ShuffledOrder(self.num_items[source], (self.seed, _SHUFFLE_STREAM, source), self.runs[source])

    def _stream(self, source: int, lanes: int) -> StreamOrder:
        key = (self.seed, _SHUFFLE_STREAM, source)
        try:
            return StreamOrder(self.num_items[source], key, lanes, self.stream_block, self.stream_window)
        except ValueError as error:
            raise ValueError(
                f'source "{self.names[source]}": {error}; shuffle it (leave it out of `order`), or lower '
                '`stream_window` or `num_workers`'
            ) from error

    def _blocks_under_way(self, source: int) -> int:
        """Blocks that a worker reads in turns: a window's, and where batches are pooled, all that a pool touches."""
        if self.length_pool == 1:
            return self.stream_window
        items = self.length_pool * self.batch_sizes[source]
        return self.stream_window * (1 + math.ceil(items / (self.stream_block * self.stream_window)))


def _group(name: str) -> str:
    return name.partition('/')[0]


def _by_source(values: Mapping[str, T], name: str, default: T) -> T:
    """What is given for a source or else for its group."""
    return values.get(name, values.get(_group(name), default))


def _divide(ratios: Mapping[str, float], names: Sequence[str], sizes: Sequence[int], temperature: float) -> np.ndarray:
    """How often each source is drawn: its own ratio, or its share of the group's."""
    weights = {name: ratios.get(name, 0.0) for name in names}
    for group in set(map(_group, names)) & set(ratios):
        members = {name: size for name, size in zip(names, sizes, strict=True) if _group(name) == group}
        shares = {name: size ** (1 / temperature) for name, size in members.items() if name not in ratios}
        weights |= {name: ratios[group] * share / sum(shares.values()) for name, share in shares.items()}
    return np.array([weights[name] for name in names], dtype=np.float64)


@DATA_SAMPLERS.register_module()
class EvalSampler(Sampler[int]):
    """Each item exactly once over all ranks: rank r takes every world_size-th item; nothing is padded.

    Args:
        dataset: what is evaluated.
        seed: accepted since MMEngine passes it; the order is fixed.
    """

    def __init__(self, dataset: Any, seed: int | None = None) -> None:
        self.rank, self.world_size = rank_and_world_size()
        self.num_items = len(dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.num_items, self.world_size))

    def __len__(self) -> int:
        return len(range(self.rank, self.num_items, self.world_size))
