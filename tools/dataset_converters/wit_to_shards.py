"""Convert WIT to shards of weakly aligned pairs; see --help."""

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/, whose modules the scripts share
sys.path.insert(0, str(Path(__file__).resolve().parent))

from cli import CommandLineError
from joined_images import JoinedImages, add_image_arguments, describe_images
from shard_conversion import (
    Steps,
    add_shard_arguments,
    convert,
    describe,
    print_summary,
    run_converter,
    size_in_bytes,
)
from work_folder import WorkFolder, add_work_argument

from rc3mm.datasets.corpora.languages import Languages
from rc3mm.datasets.corpora.wit_groups import TOO_FEW_LANGUAGES, group_tables, read_images, select_texts
from rc3mm.datasets.corpora.wit_rows import filter_table
from rc3mm.datasets.shards.drops import DropReport
from rc3mm.datasets.shards.manifest import read_json, write_json
from rc3mm.datasets.shards.record import ImageTextRecord

_LANGUAGES = ('en', 'de', 'fr', 'cs', 'ja', 'zh')
_LEAST_FOR_DUCKDB = 256 * 10**6
_EPILOG = """\
A row of WIT is an image on a page of Wikipedia, in one language. The texts of an image are brought together over all
files; what is kept is an image with texts in two languages or more. Of a row, the text is the caption on the page, else
the alternative text, else the attribution's part in the page's language. docs/corpora.md lists all that is left out.

Three steps, each of which is not done again if the command was stopped (run it once more to go on):
  1. every table to a file of usable texts   2. these sorted by image (DuckDB, on the disk)   3. shards
The sort and the files of step 1 need disk (--work): about 500 bytes for each row in a wanted language.

Images are addresses in WIT. Fetch them with img2dataset (--url_list of the image_url column) and name its output folder
with --images, or train on region features extracted from them elsewhere: image ids are wit-<digest of the address>.

examples:
  python tools/dataset_converters/wit_to_shards.py wit_v1.train.all-*.tsv.gz data/wit
  python tools/dataset_converters/wit_to_shards.py wit_v1.train.all-*.tsv.gz data/wit --images wit_images
  python tools/dataset_converters/wit_to_shards.py wit_v1.train.all-00000*.tsv.gz data/wit_ar --languages en ar \\
      --memory-limit 8GB --threads 8
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Convert WIT to shards of weakly aligned pairs: images with texts in several languages that do not '
        'translate each other.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('tables', metavar='TSV', type=Path, nargs='+', help='wit_v1.*.tsv, gzip or not')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder of the shard set')
    parser.add_argument(
        '--languages', nargs='+', default=_LANGUAGES, metavar='CODE', help=f'languages ({" ".join(_LANGUAGES)})'
    )
    parser.add_argument('--min-languages', type=int, default=2, metavar='N', help='languages an image must have (2)')
    parser.add_argument(
        '--min-chars',
        type=int,
        default=6,
        metavar='N',
        help='letters a text must have; Chinese ones count three, those of Japanese or Thai two (6)',
    )
    parser.add_argument('--max-texts', type=int, default=8, metavar='N', help='texts of an image in a language (8)')
    parser.add_argument(
        '--keep-copies', action='store_true', help='keep a text that an image has in two languages alike, as names are'
    )
    parser.add_argument(
        '--max-line', type=size_in_bytes, default='1MB', metavar='SIZE', help='length of a row put up with (1MB)'
    )
    group = parser.add_argument_group('resources')
    group.add_argument(
        '--memory-limit', type=size_in_bytes, default='4GB', metavar='SIZE', help='of the whole process (4GB)'
    )
    group.add_argument('--threads', type=int, default=2, metavar='N', help='threads of the sort (2)')
    add_work_argument(group)
    group.add_argument('--keep-work', action='store_true', help='do not remove them at the end')
    add_image_arguments(parser)
    add_shard_arguments(parser)
    args = parser.parse_args()
    for name in ('min_languages', 'min_chars', 'max_texts', 'threads'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    try:
        args.languages = Languages(args.languages).codes
    except ValueError as error:
        parser.error(f'--languages: {error}')
    if args.min_languages > len(args.languages):
        parser.error(f'--min-languages {args.min_languages} of {len(args.languages)} --languages leaves nothing')
    return args


def main() -> None:
    """The three steps, and what was done."""
    args = parse_args()
    started = time.monotonic()
    report = DropReport(args.max_fault_share)
    made_of = plan(args)
    work = WorkFolder(args, made_of)
    with Steps() as steps:
        source = WitSource(args, work, report, steps)
        is_new = convert(args.out, args, source, steps, report, kind='weak', made_of=made_of)
    if not args.keep_work:
        work.remove()
    seconds = time.monotonic() - started
    extra = {**source.summary, 'memory': f'{peak_memory() / 1e9:.2f} GB at most'}
    if source.rows_read:
        extra['rate'] = f'{source.rows_read / seconds:,.0f} rows of WIT a second over all steps'
    print_summary(args.out, seconds if is_new else None, extra)


def plan(args: argparse.Namespace) -> dict[str, Any]:
    """What the set is made of."""
    return {
        'corpus': 'WIT',
        'tables': describe(args.tables),
        'languages': list(args.languages),
        'min_languages': args.min_languages,
        'min_chars': args.min_chars,
        'max_texts': args.max_texts,
        'keep_copies': args.keep_copies,
        'max_line': args.max_line,
        'images': describe_images(args),
        'keep_missing': args.keep_missing,
    }


def filter_tables(args: argparse.Namespace, work: Path, report: DropReport, steps: Steps) -> tuple[list[Path], int]:
    """Step 1; tables that are done already are left alone, with what was counted of them.

    Returns:
        The files, and the number of rows that were read now.
    """
    languages, rows_read = Languages(args.languages), 0
    sizes = [table.stat().st_size for table in args.tables]
    outs = []
    for number, table in enumerate(args.tables):
        out, saved = work / f'rows-{number:04d}.parquet', work / f'rows-{number:04d}.json'
        outs.append(out)
        if saved.is_file() and out.is_file():
            report.restore(read_json(saved))
            continue
        before, read = sum(sizes[:number]), report.num_read

        def tell(position: int, before: int = before, read: int = read, since: float = time.monotonic()) -> None:
            rate = (report.num_read - read) / max(time.monotonic() - since, 1e-6)
            steps.update('1/3 reading tables', (before + position) / max(sum(sizes), 1), f'{rate:,.0f} rows/s')

        filter_table(
            table,
            number,
            out,
            languages,
            report,
            min_chars=args.min_chars,
            max_line_bytes=args.max_line,
            progress=tell,
        )
        write_json(saved, report.to_json())
        rows_read += report.num_read - read
    return outs, rows_read


def group(args: argparse.Namespace, work: Path, rows: list[Path], report: DropReport, steps: Steps) -> Path:
    """Step 2."""
    out = work / 'grouped.parquet'
    if not out.is_file():
        group_tables(
            rows,
            out,
            min_languages=args.min_languages,
            memory_limit=memory_for_duckdb(args.memory_limit),
            threads=args.threads,
            temp_folder=work / 'temp',
            progress=lambda share: steps.update('2/3 sorting by image', share),
        )
    before = sum(pq.read_metadata(path).num_rows for path in rows)
    report.rule(TOO_FEW_LANGUAGES, count=before - pq.read_metadata(out).num_rows)
    return out


def memory_for_duckdb(limit: int) -> int:
    """What the limit of the process leaves to DuckDB, with room for what its own limit does not count."""
    rest = int((limit - peak_memory()) * 0.75)
    if rest < _LEAST_FOR_DUCKDB:
        raise CommandLineError(
            f'--memory-limit {limit / 1e9:.2f}GB leaves too little: this process takes {peak_memory() / 1e9:.2f} GB '
            'before the sort begins; 1.5GB is about the least'
        )
    return rest


def peak_memory() -> int:
    """Bytes that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class WitSource:
    """All three steps: the records behind a cursor, which is the number of sorted rows consumed.

    Args:
        args: the command line.
        work: folder for intermediate files.
        report: counts the rows.
        steps: progress.

    Attributes:
        summary: lines about the images for the table at the end.
        rows_read: rows of the tables that this run read.
    """

    def __init__(self, args: argparse.Namespace, work: WorkFolder, report: DropReport, steps: Steps) -> None:
        self.args, self.work, self.report, self.steps = args, work, report, steps
        self.names = [table.name for table in args.tables]
        self.summary: dict[str, str] = {}
        self.rows_read = 0

    def __call__(self, cursor: int | None) -> Iterator[tuple[ImageTextRecord, int, float]]:
        args, work = self.args, self.work.begin()
        # behind a cursor, the report has already what the first two steps count
        counted = self.report if cursor is None else DropReport(args.max_fault_share)
        rows, self.rows_read = filter_tables(args, work, counted, self.steps)
        grouped = group(args, work, rows, counted, self.steps)
        with JoinedImages(args, work, self.steps) as images:
            yield from self._records(grouped, cursor or 0, images)
            self.summary = images.summary()

    def _records(self, grouped: Path, start: int, images: JoinedImages) -> Iterator[tuple[ImageTextRecord, int, float]]:
        total = max(pq.read_metadata(grouped).num_rows, 1)
        args = self.args
        for image in read_images(grouped, start):
            texts = select_texts(
                image,
                args.languages,
                self.report,
                min_languages=args.min_languages,
                max_texts=args.max_texts,
                keep_copies=args.keep_copies,
                where=self.where,
            )
            source_id = self.where(*image.texts[0][2:])
            found = images.find(image.url, source_id, self.report, len(texts)) if texts else None
            if found is None:
                continue
            self.report.kept(len(texts))
            image_id = f'wit-{image.digest.hex()}'
            record = ImageTextRecord(image_id, tuple(texts), source_id=source_id, url=image.url, **found)
            yield record, image.end, image.end / total

    def where(self, file: int, line: int) -> str:
        """How a row is named."""
        return f'{self.names[file]}:{line}'


if __name__ == '__main__':
    run_converter(main)
