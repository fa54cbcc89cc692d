"""Several data sources behind one dataset, so that one loader can serve them all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from rc3mm.registry import DATASETS
from rc3mm.structures import Draw

__all__ = ['MixedSources']


@DATASETS.register_module()
class MixedSources(Dataset):
    """Named datasets, addressed by draws.

    Args:
        sources: name -> config of a dataset (or a dataset); the order numbers the sources. Sources named
            'group/member' can be given ratios, batch sizes and orders by group in the sampler.

    Raises:
        ValueError: no source, or an empty one.
    """

    def __init__(self, sources: Mapping[str, Any]) -> None:
        built = {
            name: DATASETS.build(dict(value)) if isinstance(value, dict) else value for name, value in sources.items()
        }
        empty = [name for name, dataset in built.items() if len(dataset) == 0]
        if not built or empty:
            raise ValueError(f'MixedSources needs at least one source and no empty one; empty: {empty}')
        self.sources: dict[str, Any] = built
        self._by_number = list(built.values())

    @property
    def names(self) -> list[str]:
        """Names of the sources, in the order that `Draw.source` numbers them."""
        return list(self.sources)

    @property
    def sizes(self) -> list[int]:
        """Number of items of each source."""
        return [len(dataset) for dataset in self._by_number]

    @property
    def metainfo(self) -> dict[str, Any]:
        """The sources' own metainfo, by name."""
        return {name: getattr(dataset, 'metainfo', {}) for name, dataset in self.sources.items()}

    def __len__(self) -> int:
        return sum(self.sizes)

    def lengths(self, source: int, draws: Sequence[Draw]) -> np.ndarray:
        """Length of the longest text of draws of one source, see `VLDataset.lengths`.

        Raises:
            TypeError: the source cannot tell.
        """
        dataset = self._by_number[source]
        if not hasattr(dataset, 'lengths'):
            raise TypeError(
                f'source "{self.names[source]}" has no method `lengths`; set `length_pool=1` in the sampler'
            )
        return dataset.lengths(draws)

    def keep_blocks(self, source: int, block: int, blocks: int) -> None:
        """Have a source keep what is read in turns, see `ShardedPairs.keep_blocks`; others need not."""
        keep = getattr(self._by_number[source], 'keep_blocks', None)
        if keep is not None:
            keep(block, blocks)

    def __getitem__(self, draws: Sequence[Draw]) -> list[Any]:
        """The samples of one batch.

        Args:
            draws: one a sample; the loader has `batch_size=None`, so the sampler decides on whole batches.
        """
        sources = {draw.source for draw in draws}
        together = getattr(self._by_number[draws[0].source], '__getitems__', None) if len(sources) == 1 else None
        if together is not None:
            return together(draws)
        return [self._by_number[draw.source][draw] for draw in draws]
