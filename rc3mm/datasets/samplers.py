"""Samplers without state: every batch is a function of (seed, iteration), so resuming costs nothing."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from rc3mm.datasets.mixed import MixedSources
from rc3mm.datasets.permutation import FeistelPermutation
from rc3mm.registry import DATA_SAMPLERS
from rc3mm.structures import Draw
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['EvalSampler', 'MixedSourceSampler']

_BLOCK = 1024  # iterations whose sources are drawn at once
_SOURCE_STREAM, _STEP_STREAM, _SHUFFLE_STREAM, _SAMPLE_STREAM, _POOL_STREAM = range(5)


@DATA_SAMPLERS.register_module()
class MixedSourceSampler(Sampler[list[Draw]]):
    """Endless homogeneous batches: each iteration draws one source, the same on every rank.

    Each source is walked through in shuffled epochs; the shuffle is a keyed permutation in constant memory. A
    global batch does not depend on how many processes share it: with twice the processes and half the
    `batch_size` the same items meet in the same iteration.

    With `length_pool` above 1, so many consecutive global batches of a source are dealt out anew by the length of
    their texts, so that a batch holds texts of like lengths and little padding, and come in random order. An epoch
    still sees each item once; only who meets whom in a batch changes.

    Args:
        dataset: the mixed sources.
        batch_size: items of one process a batch, for all sources or by source.
        ratios: how often each source is drawn; None for equally often. A source left out is never drawn.
        seed: of the order and of everything random in the samples; None means 0.
        length_pool: global batches that are sorted by length together; 1 to leave lengths to chance.

    Attributes:
        start: the iteration to begin with; a resuming loop sets it.

    Raises:
        ValueError: an unknown source, no positive ratio, a missing or non-positive batch size, or a pool below 1.
    """

    def __init__(
        self,
        dataset: MixedSources,
        batch_size: int | Mapping[str, int],
        ratios: Mapping[str, float] | None = None,
        seed: int | None = None,
        length_pool: int = 1,
    ) -> None:
        if length_pool < 1:
            raise ValueError(f'length_pool must be at least 1, got {length_pool}')
        names = dataset.names
        ratios = dict(ratios) if ratios is not None else dict.fromkeys(names, 1.0)
        sizes = dict(batch_size) if isinstance(batch_size, Mapping) else dict.fromkeys(names, batch_size)
        unknown = (set(ratios) | set(sizes)) - set(names)
        if unknown:
            raise ValueError(f'ratios or batch_size name unknown sources {sorted(unknown)}; the dataset has {names}')
        weights = np.array([ratios.get(name, 0.0) for name in names], dtype=np.float64)
        if not np.isfinite(weights).all() or weights.min() < 0 or weights.sum() <= 0:
            raise ValueError(f'ratios must be finite, non-negative and not all 0, got {ratios}')
        for name, weight in zip(names, weights, strict=True):
            if weight > 0 and sizes.get(name, 0) < 1:
                raise ValueError(f'batch_size of source "{name}" must be at least 1, got {sizes.get(name)}')
        self.names = names
        self.dataset = dataset
        self.length_pool = length_pool
        self.num_items = dataset.sizes
        self.probabilities = weights / weights.sum()
        self.batch_sizes = [sizes.get(name, 0) for name in names]
        self.seed = seed or 0
        self.start = 0
        self._permutations: dict[int, tuple[Any, FeistelPermutation]] = {}
        self._pools: dict[int, tuple[int, np.ndarray]] = {}

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
        batches = np.zeros(len(self.names), dtype=np.int64)  # of each source so far
        for block in range(first_block):
            batches += np.bincount(self.sources(block), minlength=len(self.names))
        iteration = first_block * _BLOCK
        block = first_block
        while True:
            for source in self.sources(block).tolist():
                if iteration >= first_block * _BLOCK + offset:
                    yield self.batch(source, int(batches[source]), iteration)
                batches[source] += 1
                iteration += 1
            block += 1

    def batch(self, source: int, number: int, iteration: int) -> list[Draw]:
        """This process's part of the `number`-th batch of a source."""
        rank, _ = rank_and_world_size()
        size = self.batch_sizes[source]
        step_seed = int(np.random.SeedSequence((self.seed, _STEP_STREAM, iteration)).generate_state(1)[0])
        pool, place = divmod(number, self.length_pool)
        draws = []
        for position in self._pool(source, pool)[place][rank * size : (rank + 1) * size].tolist():
            seed = (self.seed, _SAMPLE_STREAM, source, position)
            draws.append(Draw(self._index(source, position), seed, source, iteration, step_seed))
        return draws

    def _index(self, source: int, position: int) -> int:
        """The item at a position of the source's endless walk."""
        epoch, place = divmod(position, self.num_items[source])
        return int(self._permutation(source, epoch)(place))

    def _pool(self, source: int, pool: int) -> np.ndarray:
        """Positions of the global batches of a pool, shape (length_pool, global batch size)."""
        if self._pools.get(source, (None, None))[0] != pool:
            global_size = self.batch_sizes[source] * rank_and_world_size()[1]
            count = self.length_pool * global_size
            positions = np.arange(pool * count, (pool + 1) * count)
            if self.length_pool > 1:
                rng = np.random.default_rng((self.seed, _POOL_STREAM, source, pool))
                lengths = self.dataset.lengths(source, [self._index(source, p) for p in positions.tolist()])
                positions = positions[np.argsort(lengths, kind='stable')]
                batches = rng.permutation(positions.reshape(self.length_pool, global_size))
                positions = rng.permuted(batches, axis=1)  # no rank is given the longest texts of every batch
            self._pools[source] = (pool, positions.reshape(self.length_pool, global_size))
        return self._pools[source][1]

    def _permutation(self, source: int, epoch: int) -> FeistelPermutation:
        key = (self.seed, _SHUFFLE_STREAM, source, epoch)
        if self._permutations.get(source, (None, None))[0] != key:
            self._permutations[source] = (key, FeistelPermutation(self.num_items[source], key))
        return self._permutations[source][1]


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
