"""What every holder of regions offers, whatever its files look like."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from rc3mm.structures.regions import Regions

__all__ = ['RoiSource']


@runtime_checkable
class RoiSource(Protocol):
    """Regions by image id; may be handed to worker processes by fork or by pickling."""

    def __len__(self) -> int:
        """Images."""
        ...

    def __contains__(self, image_id: object) -> bool:
        """Whether there are regions of an image."""
        ...

    def get(self, image_id: str) -> Regions:
        """The regions of an image.

        Raises:
            KeyError: there are none, whatever the id is; the message shows what ids look like.
            ValueError: what is there cannot be used.
        """
        ...

    def ids(self) -> Iterator[str]:
        """The ids of all images."""
        ...
