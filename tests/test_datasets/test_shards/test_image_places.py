"""Places of images: found whatever the pages look like, and each image read by itself."""

import io
from pathlib import Path

import numpy as np
import pytest

from rc3mm.datasets.shards.image_places import locate_images, read_image
from tests.test_datasets.test_shards.making import make_set, record


def test_images_are_found_across_pages_and_gaps(tmp_path: Path) -> None:
    """Row groups of several pages (a page has a megabyte), equal images, empty ones, rows without, and by path."""
    noise = [np.random.default_rng(k).bytes(400_000) for k in range(3)]
    images = [noise[0], noise[1], None, noise[0], noise[0], b'', noise[2], noise[1], None, b'x', noise[2], b'', None]
    records = [record(k, image_bytes=image) for k, image in enumerate(images)]
    records[8] = record(8, image_bytes=None, image_path='a.jpg')
    shards = make_set(tmp_path, records, rows_per_shard=8, rows_per_group=8)
    for row in np.random.default_rng(0).permutation(len(images)).tolist():
        assert shards.record(row) == records[row]
    content = [path.read_bytes() for path in sorted(tmp_path.glob('*.parquet'))]
    places = [place for path in sorted(tmp_path.glob('*.parquet')) for place in locate_images(path)]
    for row, (offset, size, _) in enumerate(places):
        assert (offset < 0) == (images[row] is None)
        if images[row] is not None:
            assert content[row // 8][offset : offset + size] == images[row]


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    shards = make_set(tmp_path, [record(k) for k in range(6)])
    offset, size, _ = locate_images(tmp_path / 'part-00000.parquet')[4]
    content = bytearray((tmp_path / 'part-00000.parquet').read_bytes())
    content[offset + size // 2] ^= 1
    (tmp_path / 'part-00000.parquet').write_bytes(content)
    assert shards.record(3) == record(3)
    with pytest.raises(ValueError, match=r'part-00000\.parquet, row 4: the image is damaged'):
        shards.record(4)


class Slow(io.BytesIO):
    """A file that gives a few bytes at a time, as unbuffered ones may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 7))


def test_an_image_that_comes_in_parts() -> None:
    content = bytes(range(100))
    for offset, size in ((0, 100), (13, 50), (93, 7), (5, 0)):
        assert read_image(Slow(content), offset, size) == content[offset : offset + size]
    assert read_image(Slow(content), 90, 50) == content[90:]  # cut short: its checksum tells
