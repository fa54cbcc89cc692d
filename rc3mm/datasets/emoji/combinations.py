"""Which concepts occur together, and which split that belongs to.

For every size k the C(n, k) sets of concepts are ranked by the combinatorial number system, shuffled by a
keyed permutation and cut: the first tenth is val, the second test, the rest train. So the splits share no
set, val and test never repeat one, and nothing is ever listed.
"""

from bisect import bisect_right
from functools import cache
from math import comb

from rc3mm.datasets.permutation import FeistelPermutation

SPLITS = ('train', 'val', 'test', 'test_style')
_ORDER = 1  # tells the key of the order from the key of the cut


def split_key(split: str) -> int:
    """Number that keys what is random in a split; 'test_style' shares that of 'test'."""
    return SPLITS.index('test' if split == 'test_style' else split)


@cache
def _binomials(n: int, k: int) -> tuple[int, ...]:
    """C(0, k) to C(n - 1, k)."""
    return tuple(comb(c, k) for c in range(n))


def unrank(rank: int, n: int, k: int) -> tuple[int, ...]:
    """The set of a rank in the combinatorial number system.

    Args:
        rank: 0 to C(n, k) - 1.
        n: Number of elements.
        k: Size of the set.

    Returns:
        The k elements in ascending order. A set has the same rank whatever n is.

    Raises:
        IndexError: If the rank is out of range.

    Example:
        >>> [unrank(r, 3, 2) for r in range(3)]
        [(0, 1), (0, 2), (1, 2)]
    """
    if not 0 <= rank < comb(n, k):
        raise IndexError(f'{rank} is outside range({comb(n, k)})')
    members = []
    for size in range(k, 0, -1):
        table = _binomials(n, size)
        element = bisect_right(table, rank) - 1
        members.append(element)
        rank -= table[element]
    return tuple(reversed(members))


def rank_of(members: tuple[int, ...]) -> int:
    """The rank of a set; the inverse of :func:`unrank`."""
    return sum(comb(element, i + 1) for i, element in enumerate(sorted(members)))


class SetsOfSize:
    """All sets of k out of n concepts, cut into train, val and test.

    Args:
        n: Number of concepts.
        k: Size of the sets.
        split_seed: Chooses the cut.

    Raises:
        ValueError: If k is not in 1 to n.
    """

    def __init__(self, n: int, k: int, split_seed: int) -> None:
        if not 1 <= k <= n:
            raise ValueError(f'a scene of {k} different concepts needs between 1 and {n} concepts')
        self.n, self.k = n, k
        self.total = comb(n, k)
        self.tenth = self.total // 10
        self._cut = FeistelPermutation(self.total, (split_seed, n, k))

    def available(self, split: str) -> int:
        """How many sets a split has."""
        return self.total - 2 * self.tenth if split == 'train' else self.tenth

    def split_of(self, members: tuple[int, ...]) -> str:
        """The split that a set belongs to ('train', 'val' or 'test')."""
        position = self._cut.inverse(rank_of(members))
        return ('val', 'test', 'train')[min(position // self.tenth, 2)] if self.tenth else 'train'

    def member(self, split: str, position: int) -> tuple[int, ...]:
        """The set at a position of a split."""
        start = {'val': 0, 'train': 2 * self.tenth}.get(split, self.tenth)
        return unrank(self._cut(start + position), self.n, self.k)


class SceneSets:
    """The set of concepts of scene number i, for one split.

    Sizes cycle with the index. Val and test never repeat a set; train starts over when its sets run out.

    Args:
        num_concepts: Concepts of the world. Datasets whose splits must not meet have to agree on this and on
            ``split_seed``.
        split: One of ``SPLITS``; 'test_style' has the sets of 'test'.
        sizes: Scene sizes, repeated for ever.
        seed: Chooses the order within the split; never which split a set belongs to.
        split_seed: Chooses the cut.
        concept_limit: No concept from this index on occurs, with the cut as it is, to make data scarce by
            concept.
        concept_start: No concept before this index occurs, likewise: to test on what scarce data lacked.

    Raises:
        ValueError: If an argument does not fit.
    """

    def __init__(
        self,
        num_concepts: int,
        split: str,
        sizes: tuple[int, ...],
        seed: int = 0,
        split_seed: int = 0,
        concept_limit: int | None = None,
        concept_start: int = 0,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'unknown split {split!r}; there are {SPLITS}')
        if not sizes:
            raise ValueError('sizes must name at least one scene size')
        end = num_concepts if concept_limit is None else concept_limit
        self.limited = end - concept_start < num_concepts
        if not 0 <= concept_start <= end <= num_concepts or (self.limited and max(sizes) >= end - concept_start):
            raise ValueError(
                f'concept_start {concept_start} and concept_limit {concept_limit} must leave more than '
                f'{max(sizes)} of the {num_concepts} concepts, for scenes of that size'
            )
        self.split, self.sizes, self.start, self.end = split, tuple(sizes), concept_start, end
        self._sets = {k: SetsOfSize(num_concepts, k, split_seed) for k in set(sizes)}
        self._before = tuple(sizes[:i].count(k) for i, k in enumerate(sizes))
        self._order = {
            k: FeistelPermutation(
                max(comb(end - concept_start, k) if self.limited else s.available(split), 1),
                (seed, split_key(split), k, _ORDER),
            )
            for k, s in self._sets.items()
        }
        self._found: dict[int, list[tuple[int, ...]]] = {k: [] for k in self._sets}  # limited val and test sets
        self._looked = dict.fromkeys(self._sets, 0)  # how far the order of each size was searched for them

    def num_distinct(self) -> int:
        """How many scenes can be asked for before a set repeats.

        Returns:
            The first index whose size has run out. Sets of a part of the concepts are not counted: what is
            asked for beyond the last of them is an error then.
        """
        ends = []
        for place, k in enumerate(self.sizes):
            each = self.sizes.count(k)
            left = self._sets[k].available(self.split) - self._before[place]
            ends.append(place + len(self.sizes) * max(-(-left // each), 0))
        return min(ends)

    def __getitem__(self, index: int) -> tuple[int, ...]:
        """Concepts of scene ``index`` in ascending order."""
        cycle, place = divmod(index, len(self.sizes))
        k = self.sizes[place]
        order, sets = self._order[k], self._sets[k]
        number = (cycle * self.sizes.count(k) + self._before[place]) % order.n
        if not self.limited:
            return sets.member(self.split, order(number))
        if self.split == 'train':
            return self._limited(order, sets, order(number))
        return self._search(k, cycle * self.sizes.count(k) + self._before[place])

    def _limited(self, order: FeistelPermutation, sets: SetsOfSize, rank: int) -> tuple[int, ...]:
        """Walk along the order from a rank to a set of the allowed concepts that belongs to train."""
        for _ in range(order.n):
            members = self._allowed(rank, sets.k)
            if sets.split_of(members) == 'train':
                return members
            rank = (rank + 1) % order.n
        raise ValueError(f'no train scene of {sets.k} of the concepts {self.start} to {self.end - 1}')

    def _search(self, k: int, number: int) -> tuple[int, ...]:
        """The set of this number among those of the allowed concepts that belong to the split; none repeats."""
        order, sets, found = self._order[k], self._sets[k], self._found[k]
        wanted = 'test' if self.split == 'test_style' else self.split
        while len(found) <= number:
            if self._looked[k] == order.n:
                raise ValueError(
                    f'split {self.split!r} has only {len(found)} scenes of {k} of the concepts {self.start} to '
                    f'{self.end - 1}; ask for fewer scenes, or for more concepts'
                )
            members = self._allowed(order(self._looked[k]), k)
            self._looked[k] += 1
            if sets.split_of(members) == wanted:
                found.append(members)
        return found[number]

    def _allowed(self, rank: int, k: int) -> tuple[int, ...]:
        """The set of a rank among those of the allowed concepts."""
        return tuple(self.start + member for member in unrank(rank, self.end - self.start, k))
