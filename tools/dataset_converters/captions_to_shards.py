"""Convert retrieval sets (Multi30K, COCO in en ja zh, Flickr30K, xFlickr&CO) to shards; see --help."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/, whose modules the scripts share
sys.path.insert(0, str(Path(__file__).resolve().parent))

from cc3m_to_shards import language_file
from cli import CommandLineError
from joined_images import ImageFiles
from shard_conversion import Steps, add_shard_arguments, convert, describe, print_summary, run_converter

from rc3mm.datasets.corpora.coco_captions import read_coco_captions, read_image_list, read_karpathy_split
from rc3mm.datasets.corpora.converted import Converted
from rc3mm.datasets.corpora.flickr30k import read_iglue_captions
from rc3mm.datasets.corpora.multi30k import multi30k_files, read_multi30k
from rc3mm.datasets.corpora.retrieval import RetrievalImage, RetrievalImages
from rc3mm.datasets.shards.drops import DropReport

_EPILOG = """\
Rows are images with all their captions. With --image-root, images whose file is not there are counted and left out: an
evaluation on such a set is not comparable, and the summary says so. Empty captions are left out as well (xFlickr&CO has
one in de and one in id).

examples:
  python tools/dataset_converters/captions_to_shards.py multi30k multi30k data/multi30k_test --split test_2016_flickr \\
      --five-captions --image-root flickr30k-images
  python tools/dataset_converters/captions_to_shards.py coco data/coco_test --captions en=dataset_coco.json \\
      ja=stair_captions_v1.2_val.json --karpathy dataset_coco.json --split test --image-root coco
  python tools/dataset_converters/captions_to_shards.py coco data/coco_cn --image-root coco \\
      --captions zh=imageid.human-written-caption.txt --image-list coco-cn_test.txt
  python tools/dataset_converters/captions_to_shards.py flickr30k data/xflickrco \\
      --captions en=en/test.jsonl de=de/test.jsonl
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Convert retrieval sets to shards.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest='corpus', required=True, metavar='CORPUS')
    multi30k = kinds.add_parser('multi30k', help='Multi30K in en de fr cs')
    multi30k.add_argument('root', metavar='FOLDER', type=Path, help='the repository, or its data folder')
    multi30k.add_argument('out', metavar='OUT', type=Path, help='folder of the shard set')
    multi30k.add_argument('--split', required=True, help='train, val, test_2016_flickr, test_2017_mscoco, ...')
    multi30k.add_argument('--languages', nargs='+', default=['en', 'de', 'fr', 'cs'], choices=['en', 'de', 'fr', 'cs'])
    multi30k.add_argument(
        '--five-captions', action='store_true', help='five independent captions in en and de (task 2), not translations'
    )
    coco = kinds.add_parser('coco', help='COCO, STAIR (ja), COCO-CN (zh)')
    coco.add_argument('out', metavar='OUT', type=Path, help='folder of the shard set')
    coco.add_argument(
        '--captions',
        nargs='+',
        type=language_file,
        required=True,
        metavar='LANGUAGE=FILE',
        help='JSON, or COCO-CN text',
    )
    split = coco.add_mutually_exclusive_group()
    split.add_argument('--karpathy', type=Path, metavar='FILE', help='dataset_coco.json, with --split')
    split.add_argument('--image-list', type=Path, metavar='FILE', help='the images of a split, one a line')
    coco.add_argument('--split', choices=['train', 'restval', 'val', 'test'], help='of --karpathy')
    flickr = kinds.add_parser('flickr30k', help="Flickr30K and xFlickr&CO in IGLUE's layout")
    flickr.add_argument('out', metavar='OUT', type=Path, help='folder of the shard set')
    flickr.add_argument(
        '--captions', nargs='+', type=language_file, required=True, metavar='LANGUAGE=FILE', help='JSON lines'
    )
    for kind in (multi30k, coco, flickr):
        kind.add_argument('--image-root', type=Path, metavar='FOLDER', help='where the images are')
        add_shard_arguments(kind)
    args = parser.parse_args()
    if args.corpus == 'coco' and bool(args.karpathy) != bool(args.split):
        coco.error('--karpathy and --split belong together')
    if args.corpus != 'multi30k' and len(dict(args.captions)) != len(args.captions):
        kinds.choices[args.corpus].error('--captions takes one file a language')
    return args


def main() -> None:
    """Convert, and say what was done."""
    args = parse_args()
    started = time.monotonic()
    report = DropReport(args.max_fault_share)
    options: dict[str, Any] = {} if args.image_root is None else {'image_root': str(args.image_root)}
    with Steps() as steps:
        source = Source(args, report)
        is_new = convert(args.out, args, source, steps, report, kind='retrieval', made_of=plan(args), **options)
    print_summary(args.out, time.monotonic() - started if is_new else None)


def plan(args: argparse.Namespace) -> dict[str, Any]:
    """What the set is made of."""
    if args.corpus == 'multi30k':
        if not args.root.is_dir():
            raise CommandLineError(f'there is no folder {args.root}')
        return {
            'corpus': 'Multi30K',
            'split': args.split,
            'languages': args.languages,
            'five_captions': args.five_captions,
            'files': describe(multi30k_files(args.root, args.split, args.languages, args.five_captions)),
        }
    files = [path for _, path in args.captions]
    plan: dict[str, Any] = {'corpus': args.corpus, 'languages': [language for language, _ in args.captions]}
    if args.corpus == 'coco':
        plan |= {'split': args.split}
        files += [path for path in (args.karpathy, args.image_list) if path is not None]
    return plan | {'files': describe(files)}


class Source:
    """The records of the set that the command line names."""

    def __init__(self, args: argparse.Namespace, report: DropReport) -> None:
        self.args, self.report = args, report
        self.files = ImageFiles(args.image_root)

    def __call__(self, cursor: int | None) -> Iterator[Converted]:
        # behind a cursor, the report has already what reading the files counts
        counted = self.report if cursor is None else DropReport(self.args.max_fault_share)
        images = read_images(self.args, counted)
        yield from RetrievalImages(images, self.report, self.files.find)(cursor)


def read_images(args: argparse.Namespace, report: DropReport) -> list[RetrievalImage]:
    """The images of the set."""
    if args.corpus == 'multi30k':
        return read_multi30k(args.root, args.split, args.languages, report, args.five_captions)
    if args.corpus == 'flickr30k':
        return read_iglue_captions(dict(args.captions), report)
    wanted = None
    if args.karpathy is not None:
        wanted = read_karpathy_split(args.karpathy, args.split, report)
    elif args.image_list is not None:
        wanted = read_image_list(args.image_list)
    return read_coco_captions(dict(args.captions), report, wanted)


if __name__ == '__main__':
    run_converter(main)
