"""How the converters find images: files below a folder, downloaded archives, a table of paths, or not at all."""

import argparse
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any

from cli import CommandLineError
from shard_conversion import Steps, describe

from rc3mm.datasets.corpora.image_index import ImageIndex
from rc3mm.datasets.shards.drops import DropReport

__all__ = ['ImageFiles', 'JoinedImages', 'add_image_arguments', 'describe_images']

MISSING, MISSING_FILE = 'image was not downloaded', 'image file is missing'
UNREADABLE = 'image cannot be read'


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that name the images."""
    group = parser.add_argument_group('images (without any of these, a row keeps the address alone)')
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        '--images', type=Path, metavar='FOLDER', help='output of img2dataset (00000.tar ...); the images are copied'
    )
    where.add_argument(
        '--image-table', type=Path, metavar='FILE', help='lines of address<TAB>path; the paths are kept, not the images'
    )
    group.add_argument(
        '--keep-missing', action='store_true', help='keep rows whose image is not there, with the address alone'
    )


def describe_images(args: argparse.Namespace) -> str | None:
    """What the images are, to tell whether a conversion is the same as before."""
    if args.images is not None:
        archives = [f'{path.name} {path.stat().st_size}' for path in sorted(args.images.glob('*.tar'))]
        digest = blake2b('\n'.join(archives).encode(errors='surrogateescape'), digest_size=8).hexdigest()
        return f'{args.images.name}: {len(archives)} archives, {digest}'
    return None if args.image_table is None else describe([args.image_table])[0]


class ImageFiles:
    """Images by path.

    Args:
        root: folder that relative paths start from; None: paths are taken as they are, whether files are there or not.
    """

    def __init__(self, root: Path | None) -> None:
        if root is not None and not root.is_dir():
            raise CommandLineError(f'--image-root {root} is no folder')
        self.root = root

    def find(self, name: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any] | None:
        """`image_path` of a record; None, and a fault, if there is no such file."""
        if self.root is not None and not (self.root / name).is_file():
            report.fault(MISSING_FILE, where, str(self.root / name))
            return None
        return {'image_path': name}


class JoinedImages:
    """Images by address; the index lies on the disk, memory does not grow with it.

    Args:
        args: the command line, with the arguments of `add_image_arguments`.
        work: folder for the index.
        steps: progress.
    """

    def __init__(self, args: argparse.Namespace, work: Path, steps: Steps) -> None:
        self.keep_missing = args.keep_missing
        self._index: ImageIndex | None = None
        if args.images is None and args.image_table is None:
            if args.keep_missing:
                raise CommandLineError('--keep-missing is for --images or --image-table')
            return
        self._index = ImageIndex(work / 'images.sqlite', args.max_fault_share)
        if args.images is not None:
            self._index.add_downloads(args.images, lambda done, of: steps.update('indexing images', done / of))
        else:
            self._index.add_table(args.image_table)

    def __enter__(self) -> 'JoinedImages':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._index is not None:
            self._index.__exit__()

    def find(self, url: str, where: str, report: DropReport, rows: int = 1) -> dict[str, Any] | None:
        """`image_bytes` or `image_path` of a record; {} for the address alone; None if the row is to be left out.

        Args:
            url: the address.
            where: names the row.
            report: counts what is left out.
            rows: number of the corpus' rows that go with the image.
        """
        if self._index is None:
            return {}
        place = self._index.find(url)
        if place is None:
            if self.keep_missing:
                return {}
            report.rule(MISSING, where, url, rows)
            return None
        if place.offset is not None:
            try:
                return {'image_bytes': place.read()}
            except OSError as error:
                report.fault(UNREADABLE, where, str(error), rows)
                return None
        if not Path(place.path).is_file():
            report.rule(MISSING_FILE, where, place.path, rows)
            return None
        return {'image_path': place.path}

    def summary(self) -> dict[str, str]:
        """Lines of the table at the end."""
        if self._index is None:
            return {}
        report = self._index.report
        faults = ''.join(f'; {row.count:,} {row.reason} ({row.samples[0][0]})' for row in report.rows())
        return {'images indexed': f'{len(self._index):,}{faults}'}
