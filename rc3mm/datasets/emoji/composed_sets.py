"""Sets of concepts that a task composes for a purpose, within one split."""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from rc3mm.datasets.emoji.combinations import SceneSets

_TRIES = 300  # a tenth of all sets belongs to val and to test, so one set takes ten tries, two at once a hundred


class ComposedSets(SceneSets):
    """The set of concepts of scene number i, as a task wants it; cut into splits as :class:`SceneSets` are.

    Args:
        members_of: Number of a scene -> its concepts. What it gives must belong to the split: see :meth:`complete`.
        num_concepts: See :class:`SceneSets`, as for all that follows.
        split: 'train', 'val', 'test' or 'test_style'.
        sizes: Sizes that are used.
        split_seed: Chooses the cut.
        concept_limit: No concept from this index on occurs.
        concept_start: No concept before this index occurs.

    Raises:
        ValueError: If an argument does not fit.
    """

    def __init__(
        self,
        members_of: Callable[[int], tuple[int, ...]],
        num_concepts: int,
        split: str,
        sizes: tuple[int, ...],
        split_seed: int = 0,
        concept_limit: int | None = None,
        concept_start: int = 0,
    ) -> None:
        super().__init__(num_concepts, split, sizes, 0, split_seed, concept_limit, concept_start)
        self._members_of = members_of

    def __getitem__(self, index: int) -> tuple[int, ...]:
        """Concepts of scene ``index``."""
        return self._members_of(index)

    def holds(self, members: tuple[int, ...]) -> bool:
        """Whether a set belongs to the split."""
        wanted = 'test' if self.split == 'test_style' else self.split
        return self._sets[len(members)].split_of(members) == wanted

    def complete(
        self,
        required: Sequence[tuple[int, ...]],
        banned: Collection[int],
        size: int,
        rng: np.random.Generator,
    ) -> list[tuple[int, ...]] | None:
        """Fill up some sets with the same concepts, at random, so that every one belongs to the split.

        Args:
            required: What the sets must hold, equally many concepts each.
            banned: What is not to fill them up, besides ``required``.
            size: Size of each set.
            rng: Source of randomness.

        Returns:
            The sets, each led by what it must hold; None if chance did not find any.
        """
        taken = {*banned, *(concept for members in required for concept in members)}
        free = [concept for concept in range(self.start, self.end) if concept not in taken]
        missing = size - len(required[0])
        if len(free) < missing:
            return None
        for _ in range(_TRIES):
            filling = tuple(free[i] for i in rng.choice(len(free), missing, replace=False).tolist())
            sets = [members + filling for members in required]
            if all(self.holds(members) for members in sets):
                return sets
        return None
