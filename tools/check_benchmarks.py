"""Look at the benchmarks of a config before numbers are made of them; see --help."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from cli import CommandLineError, add_common_arguments, in_one_line, load_config, run_main
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from tables import verbatim

from rc3mm.datasets.benchmarks import Audit, BenchmarkDataset, audit_dataset
from rc3mm.datasets.benchmarks.audit import KINDS
from rc3mm.registry import DATASETS

_EXAMPLES = """\
examples:
  python tools/check_benchmarks.py my_config.py
  python tools/check_benchmarks.py my_config.py --allow missing_images   # region features will do
  python tools/check_benchmarks.py my_config.py --cfg-options test_dataloader.dataset.languages="['fr']"

a table a dataset: what each language holds, what was published, and what is odd. Oddities that are known of a benchmark
are named and cost nothing. No image is opened.

exit code: 0; 2 if something is odd that is neither known nor allowed, if a file is missing or malformed, or if the
config has no benchmark
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Read all annotations of the benchmarks of a config and compare them with what was published.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--allow', nargs='+', action='extend', default=[], choices=KINDS, metavar='KIND', help=f'of {", ".join(KINDS)}'
    )
    add_common_arguments(parser)
    return parser.parse_args()


@in_one_line(OSError, ValueError)
def main() -> None:
    """Check."""
    args = parse_args()
    console = Console()
    # the loaders alone: what else a config names may be a mere part of theirs
    loaders = {name: value for name, value in load_config(args).items() if name.endswith('_dataloader')}
    datasets = find_benchmarks(loaders)
    if not datasets:
        raise CommandLineError(f'{args.config} has no benchmark: no dataset of rc3mm.datasets.benchmarks')
    faults = 0
    for place, config in datasets:
        try:
            dataset = DATASETS.build({key: value for key, value in config.items() if key != 'pipeline'})
        except (OSError, ValueError) as error:  # the other datasets are worth a look all the same
            faults += 1
            console.print(verbatim(f'{place}: {error}', 'red'), soft_wrap=True)
            continue
        result = audit_dataset(dataset)
        faults += len(result.unknown(args.allow))
        console.print(verbatim(f'{place}: {name_of(dataset)}'), soft_wrap=True)
        console.print(table_of(result, args.allow))
    if faults:
        say = 'something is' if faults == 1 else f'{faults} things are'
        console.print(f'{say} not as published: mend it, or allow the kind of an oddity (--allow)', style='bold red')
        sys.exit(2)
    console.print('all as published, or known to be odd, or allowed', style='green')


def find_benchmarks(node: Any, path: str = '') -> list[tuple[str, dict[str, Any]]]:
    """(place, config) of all benchmarks in a config, each once however often it is named."""
    found: list[tuple[str, dict[str, Any]]] = []
    for place, config in _walk(node, path):
        if all(config != other for _, other in found):
            found.append((place, config))
    return found


def _walk(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if _is_benchmark(node.get('type')):
            yield path, node
            return
        for key, value in node.items():
            yield from _walk(value, f'{path}.{key}'.lstrip('.'))
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _walk(value, f'{path}.{number}')


def _is_benchmark(kind: Any) -> bool:
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, BenchmarkDataset)


def name_of(dataset: BenchmarkDataset) -> str:
    """What a dataset is, in words."""
    about = dataset.metainfo
    parts = [f'{about["dataset_name"]}, split {about["split"]}']
    parts += [f'{key} {about[key]}' for key in ('shots', 'fold') if key in about]
    parts += ['machine-translated into English'] * bool(about.get('translate_test'))
    return ', '.join([*parts, f'{len(dataset):,} items'])


def table_of(result: Audit, allow: list[str]) -> Table:
    """What the languages of a dataset hold, what was published, and what is odd."""
    table = Table(box=SIMPLE_HEAD)
    for column in ('language', 'items', 'texts', 'published', 'images', 'published'):
        table.add_column(column, justify='left' if column == 'language' else 'right')
    table.add_column('odd', overflow='fold')
    for language, counts in result.counts.items():
        published = result.expected.get(language)
        texts, images = (published.texts, published.images) if published else ((), ())
        table.add_row(
            verbatim(language),
            f'{counts.items:,}',
            f'{counts.texts:,}',
            f'{texts[0]:,}' if texts else 'unknown',
            f'{len(counts.images):,}',
            f'{images[0]:,}' if images else 'unknown',
            _odd(result, language, allow),
        )
    table.add_row('all', '', '', '', f'{result.num_images:,}', '', _odd(result, '', allow))
    return table


def _odd(result: Audit, language: str, allow: list[str]) -> Any:
    """The findings of a language, each with what is to be thought of it."""
    lines = verbatim('')
    for finding in (finding for finding in result.findings if finding.language == language):
        verdict = 'known' if finding.known else 'allowed' if finding.kind in allow else 'UNKNOWN'
        line = verbatim(f'{finding.text} [{finding.kind}: {verdict}]', 'red' if verdict == 'UNKNOWN' else '')
        lines = lines.append('\n').append(line) if lines else line
    return lines or verbatim('nothing')


if __name__ == '__main__':
    run_main(main)
