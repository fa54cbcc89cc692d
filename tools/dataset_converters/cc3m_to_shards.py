"""Convert CC3M in several languages, or any JSON lines, to shards; see --help."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/, whose modules the scripts share
sys.path.insert(0, str(Path(__file__).resolve().parent))

from joined_images import ImageFiles, JoinedImages, add_image_arguments, describe_images
from shard_conversion import Steps, add_shard_arguments, convert, describe, print_summary, run_converter, size_in_bytes
from work_folder import WorkFolder, add_work_argument

from rc3mm.datasets.corpora.cc3m import AlignedCaptions, KeyedCaptions, check_line_counts
from rc3mm.datasets.corpora.converted import Converted
from rc3mm.datasets.corpora.json_pairs import JsonPairs
from rc3mm.datasets.corpora.languages import Languages
from rc3mm.datasets.shards.drops import DropReport

_EPILOG = """\
inputs, one of
  --tsv    a table a language: caption<TAB>address. With --align line (as UC2's translations are), line k of every table
           is the same image; the first table has the addresses, the others may have captions alone. Numbers of lines
           and addresses are checked. With --align url, the tables may be in any order.
  --jsonl  lines of CCLM, {"binary": path or base64, "caption": {"en": ..., "de": ...}}, or
           {"image": path, "image_id": ..., "texts": [["en", ...], ["de", ...]], "relevance": {"0-1": 0.7}}; `url` may
           stand in the place of `image`

The command may be stopped at any time; run again, it goes on where it stopped. docs/corpora.md lists what is left out.

examples:
  python tools/dataset_converters/cc3m_to_shards.py data/cc3m --tsv en=train.tsv de=train_de.tsv --images cc3m_tar
  python tools/dataset_converters/cc3m_to_shards.py data/cc3m --jsonl cc3m-*.jsonl
  python tools/dataset_converters/cc3m_to_shards.py data/own --jsonl own.jsonl --image-root images --kind weak
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Convert images with captions in several languages to shards of strictly aligned pairs.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('out', metavar='OUT', type=Path, help='folder of the shard set')
    inputs = parser.add_mutually_exclusive_group(required=True)
    inputs.add_argument('--tsv', nargs='+', type=language_file, metavar='LANGUAGE=FILE', help='a table a language')
    inputs.add_argument('--jsonl', nargs='+', type=Path, metavar='FILE', help='files of JSON lines')
    parser.add_argument(
        '--align', choices=['line', 'url'], default='line', help='how --tsv tables belong together (line)'
    )
    parser.add_argument('--languages', nargs='+', metavar='CODE', help='keep --jsonl texts in these alone (all)')
    parser.add_argument(
        '--kind', choices=['strict', 'weak', 'retrieval'], default='strict', help='what the set is for (strict)'
    )
    parser.add_argument('--scorer', metavar='NAME', help='what scored the relevance in --jsonl lines, if they have any')
    parser.add_argument('--image-root', type=Path, metavar='FOLDER', help='where the paths of --jsonl start')
    parser.add_argument(
        '--max-line',
        type=size_in_bytes,
        default='64MB',
        metavar='SIZE',
        help='length of a line that is put up with (64MB)',
    )
    add_work_argument(parser)
    add_image_arguments(parser)
    add_shard_arguments(parser)
    args = parser.parse_args()
    for name in ('languages', 'scorer', 'image_root'):
        if args.tsv and getattr(args, name):
            parser.error(f'--{name.replace("_", "-")} is for --jsonl')
    if args.jsonl and args.align != 'line':
        parser.error('--align is for --tsv')
    if args.tsv and len({language for language, _ in args.tsv}) < max(2, len(args.tsv)):
        parser.error('--tsv takes two tables or more, each of another language')
    return args


def language_file(text: str) -> tuple[str, Path]:
    """What `de=captions_de.tsv` means."""
    language, equals, path = text.partition('=')
    if not equals or not path:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form LANGUAGE=FILE')
    try:
        Languages([language])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return language, Path(path)


def main() -> None:
    """Convert, and say what was done."""
    args = parse_args()
    started = time.monotonic()
    report = DropReport(args.max_fault_share)
    options: dict[str, Any] = {'made_of': plan(args), 'kind': args.kind, 'scorer': args.scorer}
    if args.image_root is not None:
        options['image_root'] = str(args.image_root)
    work = WorkFolder(args, options['made_of'])
    with Steps() as steps:
        source = Source(args, work, report, steps)
        is_new = convert(args.out, args, source, steps, report, **options)
    work.remove()
    print_summary(args.out, time.monotonic() - started if is_new else None, source.summary)


def plan(args: argparse.Namespace) -> dict[str, Any]:
    """What the set is made of."""
    files = [path for _, path in args.tsv] if args.tsv else args.jsonl
    return {
        'corpus': 'CC3M tables' if args.tsv else 'JSON lines',
        'files': describe(files),
        'languages': [language for language, _ in args.tsv] if args.tsv else args.languages,
        'align': args.align if args.tsv else None,
        'max_line': args.max_line,
        'images': describe_images(args),
        'keep_missing': args.keep_missing,
    }


class Source:
    """The records of whatever the command line names.

    Args:
        args: the command line.
        work: folder for intermediate files.
        report: counts the rows.
        steps: progress.

    Attributes:
        summary: lines about the images for the table at the end.
    """

    def __init__(self, args: argparse.Namespace, work: WorkFolder, report: DropReport, steps: Steps) -> None:
        self.args, self.work, self.report, self.steps = args, work, report, steps
        self.files = ImageFiles(args.image_root)
        self.summary: dict[str, str] = {}

    def __call__(self, cursor: Any) -> Iterator[Converted]:
        args, work = self.args, self.work.begin()
        with JoinedImages(args, work, self.steps) as images:
            if args.jsonl:
                languages = Languages(args.languages) if args.languages else None
                least = 1 if args.kind == 'retrieval' else 2
                yield from JsonPairs(
                    args.jsonl, self.report, self.files.find, images.find, languages, least, args.scorer, args.max_line
                )(cursor)
            elif args.align == 'line':
                if cursor is None:
                    check_line_counts(dict(args.tsv))
                yield from AlignedCaptions(dict(args.tsv), self.report, images.find, args.max_line)(cursor)
            else:
                base = work / 'captions.sqlite'
                yield from KeyedCaptions(dict(args.tsv), base, self.report, images.find, args.max_line)(cursor)
            self.summary = images.summary()


if __name__ == '__main__':
    run_converter(main)
