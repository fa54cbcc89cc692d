"""Regions of any number of images on the disk, by id, in constant memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rc3mm.datasets.roi.index import RoiIndex
from rc3mm.datasets.roi.manifest import MANIFEST, PLAN, RoiManifest, read_manifest
from rc3mm.datasets.roi.rows import ShardRows
from rc3mm.datasets.roi.shard import RoiShard, finished_shards, id_bytes, shard_path
from rc3mm.datasets.roi.verify import check_shard
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions

__all__ = ['RoiStore']


@DATASETS.register_module()
class RoiStore:
    """A folder of shards, as written by `write_shard` between `begin_store` and `finish_store`.

    Images are read one by one, in any order and over any number of shards; memory is needed for an image and less than
    a kilobyte a shard. A store may be handed to worker processes by fork or by pickling; each opens the files it needs.

    Args:
        path: the folder.
        feature_dim: what the features' width must be; None for any.
        detector: the detector that must have made it; None for any.
        protocol: entries that the manifest's protocol must have; None for any.

    Attributes:
        path: the folder.
        manifest: what the store was made with.

    Raises:
        FileNotFoundError: there is no store, or it is not finished.
        ValueError: it was made with something else than expected, or a file is damaged.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        feature_dim: int | None = None,
        detector: str | None = None,
        protocol: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.manifest = _read_finished(self.path)
        self.manifest.expect(self.path, feature_dim, detector, protocol)
        self._open()
        if len(self._index) != self.manifest.num_images:
            raise self._index.file.damaged(f'it knows {len(self._index)} of {self.manifest.num_images} images')

    def _open(self) -> None:
        self._index = RoiIndex(self.path, self.manifest.command)
        self._rows = ShardRows(self.path, self.manifest.command)
        self._example: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {'path': self.path, 'manifest': self.manifest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        """Images."""
        return self.manifest.num_images

    def __contains__(self, image_id: object) -> bool:
        return self._find(image_id) is not None

    def get(self, image_id: str) -> Regions:
        """The regions of an image, features in the type of the store.

        Raises:
            KeyError: the store has none.
            ValueError: a shard is damaged.
        """
        place = self._find(image_id)
        if place is None:
            if self._example is None:  # looked up once: a run may ask for many images that are not there
                self._example = next(self.ids(), None)
            raise KeyError(
                f'{self.path} has no regions of image {image_id!r}; its {len(self):,} ids look like {self._example!r}. '
                'Extract the regions of this image, or see that the data use the ids that were extracted'
            )
        return self._rows.regions(*place)

    def ids(self) -> Iterator[str]:
        """The ids of all images, in the order of the inputs."""
        for number in range(self.manifest.num_shards):
            yield from RoiShard(shard_path(self.path, number), self.manifest.command).ids()

    def verify(self) -> list[str]:
        """Read everything and compare it with checksums, manifest and index.

        Returns:
            What is wrong, a sentence each; empty if all is well.
        """
        problems, images, regions = [], 0, 0
        for number in range(self.manifest.num_shards):
            try:
                shard = RoiShard(shard_path(self.path, number), self.manifest.command)
                check_shard(shard, number, self._index)
            except (OSError, ValueError) as error:
                problems.append(str(error))
                continue
            images, regions = images + len(shard), regions + shard.num_regions
        known = (self.manifest.num_images, self.manifest.num_regions)
        if not problems and (images, regions) != known:
            problems.append(f'{self.path} holds {(images, regions)} images and regions, but its manifest says {known}')
        return problems

    def _find(self, image_id: object) -> tuple[int, int] | None:
        """Shard and row of an image."""
        if not isinstance(image_id, str):
            return None
        for number, row in self._index.candidates(image_id):
            if self._rows.id_bytes(number, row) == id_bytes(image_id):
                return number, row
        return None


def _read_finished(folder: Path) -> RoiManifest:
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    if not (folder / PLAN).is_file():
        raise FileNotFoundError(f'{folder} is no store of regions: it has no {MANIFEST}. Extract or convert them first')
    plan = read_manifest(folder, PLAN)
    done = len(finished_shards(folder))
    raise FileNotFoundError(
        f'{folder} is not finished: {done} of {plan.num_shards} shards are there and no {MANIFEST}. To go on where it '
        f'stopped, run again: {plan.command or "the command that began it"}'
    )
