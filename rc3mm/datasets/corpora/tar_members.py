"""Where the images lie within the archives that img2dataset writes, and which addresses they came from."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rc3mm.datasets.shards.drops import DropReport

__all__ = ['read_downloads']

_IMAGES = {'.jpg', '.jpeg', '.png', '.webp', '.gif'}


def read_downloads(archive: Path, report: DropReport) -> Iterator[tuple[str, int, int]]:
    """Yield (address, first byte, size) of the images of an archive.

    The addresses are taken from the Parquet file beside the archive (columns `key` and `url`), or else from its
    `.json` members. Only the headers of the images are read.

    Args:
        archive: a `.tar` file with members `<key>.jpg`, `<key>.json` and so on.
        report: counts the images and those that cannot be used.
    """
    addresses = _read_addresses(archive.with_suffix('.parquet'), report)
    waiting: dict[str, tuple[int, int]] = {}  # images whose address has not come yet
    told: dict[str, str] = {} if addresses is None else addresses
    end = archive.stat().st_size
    try:
        with tarfile.open(archive, 'r:') as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # tarfile would remember them all
                name = Path(member.name)
                if member.isfile() and name.suffix.lower() in _IMAGES:
                    report.read()
                    if member.size == 0:
                        report.fault('empty image', f'{archive.name}/{member.name}')
                        continue
                    if member.offset_data + member.size > end:
                        report.fault('image cut short', f'{archive.name}/{member.name}', 'the archive ends within it')
                        continue
                    waiting[name.stem] = (member.offset_data, member.size)
                elif member.isfile() and name.suffix == '.json' and addresses is None:
                    told[name.stem] = _address(tar, member)
                if name.stem in waiting and told.get(name.stem):
                    report.kept()
                    yield told.pop(name.stem), *waiting.pop(name.stem)
    except (tarfile.TarError, EOFError, OSError) as error:
        report.read()
        report.fault('broken archive', archive.name, f'{error}; its images behind that place are missing')
    for key in waiting:
        report.fault(
            'image without address', f'{archive.name}/{key}', 'neither the .parquet nor the .json names its url'
        )


def _read_addresses(table: Path, report: DropReport) -> dict[str, str] | None:
    if not table.is_file():
        return None
    try:
        columns = pq.read_table(table, columns=['key', 'url']).to_pydict()
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        report.read()
        report.fault('broken table of addresses', table.name, f'{error}; the .json members are read instead')
        return None
    return {str(key): url for key, url in zip(columns['key'], columns['url'], strict=True) if url}


def _address(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """The address in a `.json` member, '' if there is none."""
    file = tar.extractfile(member)
    try:
        entries = json.loads(file.read()) if file else None
    except ValueError:
        return ''
    url = entries.get('url') if isinstance(entries, dict) else None
    return url if isinstance(url, str) else ''
