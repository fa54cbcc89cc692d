"""Train the arms of an ablation with several seeds, test them, and tabulate the results; see --help."""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from cli import CommandLineError, run_main
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from run_folders import ROOT, Run, call, digest_of, execute_all

from rc3mm.evaluation.functional.languages import LANGUAGES


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Run an ablation: a training config with an entry `ablation` that names arms, seeds, tests and '
        'metrics. Finished runs are skipped and interrupted ones resumed, so the command may be repeated at any time.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example:\n  python tools/ablate.py configs/ablations/visual_forms.py --jobs 2\n\n'
        'leaves table.md, results.json, chart.png and any curves that the config names in the work dir, and a folder\n'
        '<arm>/<seed> a run',
    )
    parser.add_argument('config', help='config with an `ablation` entry')
    parser.add_argument('--work-dir', type=Path, help='folder (default: work_dirs/<config name>)')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, each with its share of the cores')
    parser.add_argument('--arms', nargs='+', help='only these arms')
    parser.add_argument('--seeds', type=int, nargs='+', help="these seeds instead of the config's")
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for all runs')
    return parser.parse_args()


def plan_runs(args: argparse.Namespace, ablation: dict[str, Any], work_dir: Path) -> list[Run]:
    """All runs, seed by seed, so that an early look compares the arms."""
    unknown = set(args.arms or ()) - set(ablation['arms'])
    if unknown:
        raise CommandLineError(f'--arms: unknown {sorted(unknown)}; the config has {sorted(ablation["arms"])}')
    runs = []
    arms = {name: arm for name, arm in ablation['arms'].items() if not args.arms or name in args.arms}
    seeds = {name: args.seeds or arm.get('seeds', ablation['seeds']) for name, arm in arms.items()}
    for seed in dict.fromkeys(seed for own in seeds.values() for seed in own):
        for name, arm in arms.items():
            if seed not in seeds[name]:
                continue
            config = str((ROOT / arm['config'] if 'config' in arm else Path(args.config)).resolve())
            options = [*args.cfg_options, f'randomness.seed={seed}', f'train_dataloader.sampler.seed={seed}']
            options += arm.get('options', ())
            tests = {test: list(more) for test, more in arm.get('tests', {'test': ()}).items()}
            folder = work_dir / name / str(seed)
            runs.append(Run(name, seed, config, digest_of(config, options), options, tests, folder))
    return runs


Cell = tuple[float, float]  # mean and standard deviation over the seeds


def summarise(runs: Sequence[Run], metrics: dict[str, str]) -> dict[str, dict[str, Cell]]:
    """(arm, test) -> column -> mean and deviation.

    Args:
        runs: finished ones.
        metrics: column -> name of a metric, or of a training loss (`loss_...`).
    """
    rows: dict[str, dict[str, Cell]] = {}
    for arm in dict.fromkeys(run.name for run in runs):
        own = [run for run in runs if run.name == arm]
        for test in own[0].tests:
            row = rows.setdefault(arm if len(own[0].tests) == 1 else f'{arm}, tested as {test}', {})
            for column, name in metrics.items():
                found = [(run.losses if name.startswith('loss_') else run.results[test]).get(name) for run in own]
                values = [value for value in found if value is not None]
                if values:
                    spread = statistics.stdev(values) if len(values) > 1 else 0.0
                    row[column] = (statistics.fmean(values), spread)
    return rows


def cell_text(cell: Cell | None, seeds: int) -> str:
    """Mean and deviation as people read them; the mean alone of one seed."""
    if cell is None:
        return '-'
    digits = 1 if abs(cell[0]) >= 10 else 3
    return f'{cell[0]:.{digits}f} ± {cell[1]:.{digits}f}' if seeds > 1 else f'{cell[0]:.{digits}f}'


def draw_bars(rows: dict[str, dict[str, Cell]], columns: Sequence[str], path: Path) -> None:
    """A bar an arm with its spread over the seeds, one panel a column of the table."""
    figure, axes = plt.subplots(1, len(columns), figsize=(3.6 * len(columns), 0.5 * len(rows) + 1.4), squeeze=False)
    for axis, column in zip(axes[0], columns, strict=True):
        cells = [row.get(column, (float('nan'), 0.0)) for row in rows.values()]
        spread = [c[1] or float('nan') for c in cells]  # one seed has none to show
        axis.barh(list(rows), [c[0] for c in cells], xerr=spread, color='#4477aa', capsize=3)
        axis.invert_yaxis()
        axis.set_title(column, fontsize=10)
        axis.grid(axis='x', alpha=0.3)
    for axis in axes[0][1:]:
        axis.set_yticklabels([])
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_curve(runs: Sequence[Run], curve: dict[str, Any], path: Path) -> None:
    """Metrics as functions of a number, a line an arm with its spread over the seeds.

    Args:
        runs: finished ones.
        curve: `points` (metric -> position on the x axis), `arms`, `x` and `y` (labels), `test` (default 'test').
        path: picture to write.
    """
    figure, axis = plt.subplots(figsize=(5, 3.6))
    points = sorted(curve['points'].items(), key=lambda item: item[1])
    for arm in curve['arms']:
        own = [run.results[curve.get('test', 'test')] for run in runs if run.name == arm]
        values = [[result[metric] for result in own if metric in result] for metric, _ in points]
        kept = [(x, found) for (_, x), found in zip(points, values, strict=True) if found]
        if kept:
            spread = [statistics.stdev(found) if len(found) > 1 else 0.0 for _, found in kept]
            means = [statistics.fmean(found) for _, found in kept]
            axis.errorbar([x for x, _ in kept], means, spread, marker='o', capsize=3, label=arm)
    axis.set_xlabel(curve['x'])
    axis.set_ylabel(curve['y'])
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write_report(rows: dict[str, dict[str, Cell]], ablation: dict[str, Any], runs: Sequence[Run], folder: Path) -> None:
    """table.md, results.json, the pictures, and the table on the terminal."""
    columns = list(ablation['metrics'])
    lines = ['|arm|seeds|' + '|'.join(columns) + '|', '|-|-:|' + '-:|' * len(columns)]
    number = {name: sum(run.name == name.split(', tested as ')[0] for run in runs) for name in rows}
    lines += [
        f'|{name}|{number[name]}|' + '|'.join(cell_text(row.get(c), number[name]) for c in columns) + '|'
        for name, row in rows.items()
    ]
    seeds = sorted({run.seed for run in runs})
    lines += ['', f'Mean ± standard deviation over seeds; seeds {seeds}.']
    for title, template in ablation.get('by_language', {}).items():
        metrics = {language: template.format(language) for language in LANGUAGES}
        lines += ['', f'**{title}**', '', '|arm|' + '|'.join(LANGUAGES) + '|', '|-|' + '-:|' * len(LANGUAGES)]
        for name, row in summarise(runs, metrics).items():
            lines.append(f'|{name}|' + '|'.join(cell_text(row.get(lang), number[name]) for lang in LANGUAGES) + '|')
    (folder / 'table.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    raw = [{'arm': r.name, 'seed': r.seed, 'results': r.results, 'losses': r.losses} for r in runs]
    (folder / 'results.json').write_text(json.dumps({'rows': rows, 'runs': raw}, indent=1), encoding='utf-8')
    draw_bars(rows, list(ablation.get('chart', columns[:1])), folder / 'chart.png')
    for name, curve in ablation.get('curves', {}).items():
        draw_curve(runs, curve, folder / f'{name}.png')
    table = Table(title=f'{folder.name}: mean ± deviation over seeds {seeds}')
    # a metric a row: there are often more of them than a terminal has room for
    for name in ('', *(f'{name} ({number[name]})' for name in rows)):
        table.add_column(name, justify='right' if name else 'left')
    for column in columns:
        table.add_row(column, *(cell_text(row.get(column), number[name]) for name, row in rows.items()))
    Console().print(table)
    pictures = ['chart.png', *(f'{name}.png' for name in ablation.get('curves', {}))]
    print(', '.join(str(folder / name) for name in ('table.md', 'results.json', *pictures)))


def main() -> None:
    """Prepare, run, report."""
    args = parse_args()
    if not Path(args.config).is_file():
        raise CommandLineError(f'there is no config file {args.config}')
    cfg = Config.fromfile(args.config)
    if 'ablation' not in cfg:
        raise CommandLineError(f'{args.config} has no `ablation` entry; see configs/ablations/')
    if args.jobs < 1:
        raise CommandLineError(f'--jobs must be at least 1, got {args.jobs}')
    ablation = cfg.ablation.to_dict()
    work_dir = args.work_dir or Path('work_dirs') / Path(args.config).stem
    runs = plan_runs(args, ablation, work_dir.resolve())
    cores = len(os.sched_getaffinity(0))
    for command in ablation.get('prepare', ()):
        print(f'prepare: {" ".join(command)}', flush=True)
        call([sys.executable, *command], work_dir / 'prepare.txt', cores)
    finished = execute_all(runs, args.jobs)
    write_report(summarise(finished, ablation['metrics']), ablation, finished, work_dir)


if __name__ == '__main__':
    run_main(main)
