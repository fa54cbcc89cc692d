"""Shard sets for tests, with texts and small images made on the spot."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rc3mm.datasets.shards import ImageTextRecord, ShardSet, ShardWriter

LANGUAGES = ('en', 'de', 'ja', 'zh')


def jpeg(number: int = 0, size: tuple[int, int] = (12, 8)) -> bytes:
    """A small image that differs by number."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, 'JPEG')
    return buffer.getvalue()


def record(number: int, languages: Sequence[str] = LANGUAGES, **changes: Any) -> ImageTextRecord:
    """A record whose texts tell row and language, and have lengths of their own."""
    texts = tuple((language, f'{language} {number} ' + '犬' * (number % 5 + k)) for k, language in enumerate(languages))
    parts = {'image_id': f'i{number}', 'texts': texts, 'image_bytes': jpeg(number), 'source_id': f'in:{number}'}
    return ImageTextRecord(**{**parts, **changes})


def make_set(folder: Path, records: Sequence[ImageTextRecord], **arguments: Any) -> ShardSet:
    """A finished set of small shards."""
    settings: dict[str, Any] = dict(made_of={'in': len(records)}, kind='weak', rows_per_shard=16, rows_per_group=4)
    with ShardWriter(folder, **{**settings, **arguments}) as writer:
        for number, item in enumerate(records):
            writer.report.read()
            writer.report.kept()
            writer.add(item, number)
    return ShardSet(folder)
