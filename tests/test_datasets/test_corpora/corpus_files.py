"""Small corpora in their published layouts, for tests."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from rc3mm.datasets.corpora.wit import COLUMNS
from rc3mm.datasets.shards import DropReport

SHARED = Path(__file__).resolve().parents[3].parent / 'shared' / 'data'
COMMONS = 'https://upload.wikimedia.org/wikipedia/commons/a/ab/'


def wit_row(
    language: str, image: str, reference: str = '', alt_text: str = '', attribution: str = '', **more: str
) -> str:
    """A row of WIT."""
    entries = {
        'language': language,
        'page_url': f'https://{language}.wikipedia.org/wiki/X',
        'image_url': image if '/' in image else f'{COMMONS}{image}.jpg',
        'caption_reference_description': reference,
        'caption_alt_text_description': alt_text,
        'caption_attribution_description': attribution,
        'attribution_passes_lang_id': 'true',
        'context_page_description': 'A page.',
        **more,
    }
    return '\t'.join(entries.get(column, '') for column in COLUMNS)


def write(path: Path, lines: Sequence[str | bytes], end: bytes = b'\n') -> Path:
    """Write lines; compressed, if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b''.join((line if isinstance(line, bytes) else line.encode()) + end for line in lines)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == '.gz' else data)
    return path


def jpeg(shade: int = 0) -> bytes:
    """An image."""
    buffer = io.BytesIO()
    Image.new('RGB', (12, 8), (shade % 256, 100, 200)).save(buffer, 'JPEG')
    return buffer.getvalue()


def write_downloads(folder: Path, number: int, images: Mapping[str, bytes], table: bool = True) -> Path:
    """An archive as img2dataset writes it: address -> image."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f'{number:05d}.tar'
    keys = {f'{number:05d}{place:04d}': url for place, url in enumerate(images)}
    with tarfile.open(archive, 'w') as tar:
        for key, url in keys.items():
            meta = json.dumps({'url': url, 'key': key, 'status': 'success'}).encode()
            for suffix, data in (('jpg', images[url]), ('json', meta), ('txt', b'text')):
                member = tarfile.TarInfo(f'{key}.{suffix}')
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    if table:
        columns = {'key': [*keys, 'gone'], 'url': [*keys.values(), 'https://x.org/gone.jpg']}
        pq.write_table(pa.table(columns), archive.with_suffix('.parquet'))
    return archive


def counts(report: DropReport) -> dict[str, int]:
    """Reason -> count."""
    return {row.reason: row.count for row in report.rows()}


def samples(report: DropReport, reason: str) -> list[tuple[str, str]]:
    """(where, detail) of a reason."""
    return next(row.samples for row in report.rows() if row.reason == reason)


def assert_all_accounted_for(report: DropReport) -> None:
    """Every row that was read was kept or left out, for one reason."""
    left_out = sum(row.count for row in report.rows() if not row.reason.startswith('('))
    assert report.num_read == report.num_kept + left_out
