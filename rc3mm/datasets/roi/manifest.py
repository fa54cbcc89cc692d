"""What a store of regions was made with: written as a plan before the first shard, as the manifest after the last."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rc3mm.utils.atomic import replacing
from rc3mm.version import __version__

__all__ = ['MANIFEST', 'PLAN', 'Dtype', 'RoiManifest', 'read_manifest', 'write_manifest']

MANIFEST, PLAN = 'manifest.json', 'plan.json'
FORMAT_VERSION = 1
# What may differ between the run that began a store and one that goes on with it.
_FREE = {'command', 'rc3mm_version', 'num_images', 'num_regions'}

Dtype = Literal['float16', 'float32']


@dataclass(frozen=True)
class RoiManifest:
    """Where the regions of a store come from.

    Attributes:
        detector: name of the detector or of its config; for converted files, what they say of it.
        feature: name of the layer that the features come from.
        feature_dim: F.
        num_shards: shards of the whole store.
        shard_size: input images a shard; the last may have fewer.
        inputs: fingerprint of the list of input images.
        checkpoint: sha256 of the detector's weights, None if unknown.
        num_classes: C, without the background; None if no class probabilities are kept.
        num_attributes: A; None if no attribute probabilities are kept.
        class_names: of the C classes; empty if unknown.
        protocol: how many regions an image may have, and which: min_regions, max_regions, score_thr.
        dtype: type of features and probabilities.
        command: the command line that made the store.
        num_images: images in the store; 0 in a plan.
        num_regions: regions of all images; 0 in a plan.
        rc3mm_version: version of the package that made it.
        format_version: version of the layout on the disk.
    """

    detector: str
    feature: str
    feature_dim: int
    num_shards: int
    shard_size: int
    inputs: str
    checkpoint: str | None = None
    num_classes: int | None = None
    num_attributes: int | None = None
    class_names: tuple[str, ...] = ()
    protocol: dict[str, Any] = field(default_factory=dict)
    dtype: Dtype = 'float16'
    command: str = ''
    num_images: int = 0
    num_regions: int = 0
    rc3mm_version: str = __version__
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.dtype not in ('float16', 'float32'):
            raise ValueError(f'the dtype of a store is float16 or float32, got {self.dtype!r}')
        object.__setattr__(self, 'class_names', tuple(self.class_names))

    def expect(
        self, path: Path, feature_dim: int | None, detector: str | None, protocol: Mapping[str, Any] | None
    ) -> None:
        """Compare with what a user of the store relies on; None and missing keys are not compared.

        Raises:
            ValueError: something differs.
        """
        pairs: list[tuple[str, Any, Any]] = [
            ('feature_dim', self.feature_dim, feature_dim),
            ('detector', self.detector, detector),
            *((f'protocol.{key}', self.protocol.get(key), value) for key, value in (protocol or {}).items()),
        ]
        wrong = [
            f'{key} {own!r}, expected {value!r}' for key, own, value in pairs if value is not None and own != value
        ]
        if wrong:
            raise ValueError(
                f'{path} was made with {"; ".join(wrong)}. Take the store that fits, extract the regions anew '
                f'into another folder, or correct what is expected (made by: {self.command or "unknown command"})'
            )

    def check_continues(self, path: Path, earlier: 'RoiManifest') -> None:
        """Compare with the plan of the run that began the store.

        Raises:
            ValueError: going on would mix regions of different origin.
        """
        wrong = [
            f'{entry.name} {_shown(old)}, now {_shown(new)}'
            for entry in dataclasses.fields(self)
            if entry.name not in _FREE and (old := getattr(earlier, entry.name)) != (new := getattr(self, entry.name))
        ]
        if wrong:
            raise ValueError(
                f'{path} was begun with other settings: {"; ".join(wrong)}. Write to another folder, remove this '
                f'one to begin anew, or go on with the settings of: {earlier.command or "the earlier run"}'
            )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f'{text[:77]}...'


def read_manifest(folder: Path, name: str = MANIFEST) -> RoiManifest:
    """Read the manifest, or with `PLAN` as the name the plan, of a store.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be read, or is of a newer layout.
    """
    path = folder / name
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
        if isinstance(entries, dict) and entries.get('format_version', 0) > FORMAT_VERSION:
            raise ValueError(f'it has layout {entries["format_version"]}, made by a newer rc3mm: update the package')
        return RoiManifest(**entries)
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} cannot be read as the manifest of a store of regions: {error}') from error


def write_manifest(folder: Path, manifest: RoiManifest, name: str = MANIFEST) -> None:
    """Write the manifest, or with `PLAN` as the name the plan, of a store, whole or not at all."""
    text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False)
    with replacing(folder / name) as temporary:
        temporary.write_text(text + '\n', encoding='utf-8')
