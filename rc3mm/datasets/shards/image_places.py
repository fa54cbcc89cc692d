"""Where each image lies within its shard, so that one can be read without the others of its row group.

Image bytes are stored as they are, one after the other within a page; what stands between pages is the page's header.
"""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rc3mm.datasets.shards.arrow import open_parquet
from rc3mm.datasets.shards.index import INDEX, ArrayWriter

__all__ = ['PLACES', 'index_images', 'locate_images', 'read_image']

PLACES = 'images'  # name of the array
PLACE = np.dtype([('offset', '<i8'), ('size', '<u4'), ('crc', '<u4')])
_PROBE = 64  # bytes by which an image is found at the beginning of a page


def locate_images(path: Path) -> list[list[int]]:
    """First byte, size and CRC-32 of the image of every row of a shard; -1, 0, 0 where the row holds none.

    Raises:
        ValueError: an image is not where the format puts it.
    """
    places: list[list[int]] = []
    shard = open_parquet(path)
    column = next(k for k in range(shard.metadata.num_columns) if _name(shard, k) == 'image.bytes')
    with path.open('rb') as file:
        for group in range(shard.metadata.num_row_groups):
            chunk = shard.metadata.row_group(group).column(column)
            file.seek(chunk.data_page_offset)
            raw = file.read(chunk.total_compressed_size)
            images = shard.read_row_group(group, columns=['image'], use_threads=False).column('image')
            end = 0
            for image in images.combine_chunks().field('bytes').to_pylist():
                if image is None:
                    places.append([-1, 0, 0])
                    continue
                value = len(image).to_bytes(4, 'little') + image
                place = end
                while raw[place : place + len(value)] != value:  # behind the header of another page
                    place = raw.find(value[:_PROBE], place + 1)
                    if place < 0:
                        raise ValueError(f'{path}: an image of row group {group} is not where it should be')
                end = place + len(value)
                places.append([chunk.data_page_offset + place + 4, len(image), zlib.crc32(image)])
    return places


def index_images(folder: Path, rows: int, places: Iterator[Sequence[Sequence[int]]]) -> None:
    """Write the array of places of a set.

    Args:
        folder: of the set.
        rows: of the set.
        places: what `locate_images` found, a shard after the other.
    """
    parts = (np.array([tuple(place) for place in part], PLACE) for part in places)
    ArrayWriter(folder / INDEX / f'{PLACES}.npy', PLACE, rows).write(parts)


def read_image(file: BinaryIO, offset: int, size: int) -> bytes:
    """The bytes of an image; fewer where the file ends.

    Args:
        file: a shard; an unbuffered one may give less at a time than it is asked for.
        offset: first byte.
        size: number of bytes.
    """
    file.seek(offset)
    image = bytearray()
    while len(image) < size and (part := file.read(size - len(image))):
        image += part
    return bytes(image)


def _name(shard: Any, column: int) -> str:
    return shard.metadata.row_group(0).column(column).path_in_schema
