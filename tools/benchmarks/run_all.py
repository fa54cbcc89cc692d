"""Run the benchmarks that need no GPU, one after another; a table and a picture of where a step's time goes.

Every benchmark is a process of its own and prints one JSON line; these are kept in results.jsonl, beside table.md and
step.png. Leave the machine alone meanwhile.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARTS = {
    'text': '#2b6cb0',
    'visual': '#38a169',
    'fusion': '#d69e2e',
    'losses': '#805ad5',
    'backward': '#c05621',
    'optimizer': '#718096',
}

_BASE, _PLAIN, _CCLM = (f'configs/benchmarks/step_{name}.py' for name in ('base', 'base_plain', 'cclm'))
_FLOAT32 = ['optim_wrapper.type=OptimWrapper']
_KEPT = '--keep-freed-memory'
_GIVEN_BACK = '--no-keep-freed-memory'
_SHUFFLED = ['train_dataloader.sampler.length_pool=1']
# Name -> config, flag of the allocator, options: each adds one thing to what stands above it.
LADDER: dict[str, tuple[str, str, list[str]]] = {
    'step_base_plain': (_PLAIN, _GIVEN_BACK, []),
    '+ nothing computed twice': (
        _BASE,
        _GIVEN_BACK,
        [*_FLOAT32, *_SHUFFLED, 'optim_wrapper.optimizer.fused=False', 'model.text_encoder.length_groups=1'],
    ),
    '+ like lengths': (_BASE, _GIVEN_BACK, [*_FLOAT32, 'optim_wrapper.optimizer.fused=False']),
    '+ fused AdamW': (_BASE, _GIVEN_BACK, _FLOAT32),
    '+ freed memory kept': (_BASE, _KEPT, _FLOAT32),
    '+ bfloat16 = step_base': (_BASE, _KEPT, []),
}
FIRST, LAST = 'step_base_plain', '+ bfloat16 = step_base'


def main() -> None:
    """Run, collect, draw."""
    args = parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rungs = LADDER if args.ladder else {name: LADDER[name] for name in (FIRST, LAST)}
    commands = {name: step_command(config, flag, options, args) for name, (config, flag, options) in rungs.items()}
    commands['step_cclm'] = step_command(_CCLM, _KEPT, [], args)
    if not args.steps_only:
        commands |= other_commands()
    if args.only:
        unknown = set(args.only) - set(commands)
        if unknown:
            raise SystemExit(f'--only {" ".join(sorted(unknown))}: there is no such benchmark among {list(commands)}')
        commands = {name: commands[name] for name in commands if name in args.only}
    reports: dict[str, dict[str, Any]] = {}
    began = time.perf_counter()
    with (args.out / 'results.jsonl').open('w', encoding='utf-8') as file:
        for number, (name, command) in enumerate(commands.items()):
            spent = time.perf_counter() - began
            left = f', about {spent / number * (len(commands) - number) / 60:.0f} min left' if number else ''
            print(f'[{number + 1}/{len(commands)}] {name}{left}', file=sys.stderr, flush=True)
            reports[name] = run(command)
            file.write(json.dumps({'name': name, **reports[name]}) + '\n')
    steps = {name: report for name, report in reports.items() if report['benchmark'] == 'train_step'}
    (args.out / 'table.md').write_text(markdown(steps), encoding='utf-8')
    draw(steps, args.out / 'step.png')
    Console().print(table(steps))
    print(f'{args.out}/results.jsonl, table.md, step.png; {(time.perf_counter() - began) / 60:.1f} min')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n'
        '  python tools/benchmarks/run_all.py                 # make bench\n'
        '  python tools/benchmarks/run_all.py --ladder --steps-only     # what each measure gains\n',
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs/bench', help='folder of the results')
    parser.add_argument('--ladder', action='store_true', help='all steps between the plain and the fast one')
    parser.add_argument('--steps-only', action='store_true', help='training steps alone')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='run these alone, such as step_cclm')
    parser.add_argument('--steps', type=int, default=2, help='timed steps a source')
    parser.add_argument('--batches', type=int, default=2, help='different batches a source')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='for all training steps, such as smaller shapes')
    return parser.parse_args()


def step_command(config: str, flag: str, options: Sequence[str], args: argparse.Namespace) -> list[str]:
    """A command of train_step.py."""
    command = ['train_step.py', config, flag, '--steps', str(args.steps)]
    command += ['--batches', str(args.batches)]
    options = [*options, *args.cfg_options]
    return [*command, '--cfg-options', *options] if options else command


def other_commands() -> dict[str, list[str]]:
    """Benchmarks of other parts than the training step, at sizes of about a minute each."""
    return {
        'ranking': ['retrieval.py', 'rank'],
        'top 10': ['retrieval.py', 'topk', '--queries', '2000', '--items', '1000000'],
        'losses by processes': ['contrastive_scaling.py'],
        'loading': ['data_loading.py', '--images', '512', '--rounds', '2'],
    }


def run(command: Sequence[str]) -> dict[str, Any]:
    """The JSON line that a benchmark prints; its errors are shown and end the run."""
    done = subprocess.run(
        [sys.executable, str(HERE / command[0]), *command[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f'{" ".join(command)} ended with status {done.returncode}:\n{done.stdout[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def rows(steps: Mapping[str, dict[str, Any]]) -> list[list[str]]:
    """A row a step; ratios are to the plain one."""
    plain = steps.get(FIRST)
    found = []
    for name, report in steps.items():
        alike = plain is not None and report['config'] in (_BASE, _PLAIN)
        speed = report['samples_per_second'] / plain['samples_per_second'] if alike and plain else None
        memory = report['peak_memory_mb'] / plain['peak_memory_mb'] if alike and plain else None
        found.append(
            [
                name,
                report['dtype'],
                f'{report["samples_per_second"]:.2f}',
                '-' if speed is None else f'{speed:.2f}',
                f'{report["gflop_per_sample"]:.0f}',
                f'{100 * report["share_of_matmul_rate"]:.0f}',
                f'{report["samples_per_float32_tflop"]:.2f}',
                f'{report["peak_memory_mb"] / 1024:.1f}',
                '-' if memory is None else f'{memory:.2f}',
            ]
        )
    return found


HEADINGS = ('step', 'dtype', 'samples/s', 'ratio', 'GFLOP a sample', '% of products', 'samples/TFLOP', 'GiB', 'ratio')


def markdown(steps: Mapping[str, dict[str, Any]]) -> str:
    """The table for documents."""
    lines = ['|'.join(('', *HEADINGS, '')), '|-|-|' + '-:|' * (len(HEADINGS) - 2)]
    return '\n'.join(lines + ['|'.join(('', *row, '')) for row in rows(steps)]) + '\n'


def table(steps: Mapping[str, dict[str, Any]]) -> Table:
    """The table for the terminal."""
    shown = Table(box=SIMPLE_HEAD)
    for number, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify='left' if number < 2 else 'right')
    for row in rows(steps):
        shown.add_row(*row)
    return shown


def draw(steps: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Seconds a sample by part, a bar a step; the sources weighted by how often they are drawn is the bar's length."""
    figure = Figure(figsize=(8, 0.9 + 0.45 * len(steps)), facecolor='white')
    figure.set_layout_engine('constrained')
    axes = figure.subplots()
    for place, report in enumerate(steps.values()):
        parts = dict.fromkeys(PARTS, 0.0)
        for source in report['sources'].values():
            for part in PARTS:
                parts[part] += source['seconds'].get(part, 0.0)
        scale = 1 / report['samples_per_second'] / max(sum(parts.values()), 1e-12)
        left = 0.0
        for part, colour in PARTS.items():
            width = parts[part] * scale
            axes.barh(place, width, left=left, color=colour, label=part if place == 0 else None)
            left += width
    axes.set_yticks(range(len(steps)), list(steps))
    axes.invert_yaxis()
    axes.set_xlabel('seconds a sample')
    axes.legend(ncols=len(PARTS), loc='lower center', bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=130)


if __name__ == '__main__':
    main()
