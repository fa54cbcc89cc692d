"""Train the arms of an ablation with several seeds, test them, and tabulate the results; see --help."""

import argparse
import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from cli import CommandLineError, run_main
from mmengine.config import Config
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from rc3mm.engine.hooks.report import read_history
from rc3mm.evaluation.functional.languages import LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
_LAST = 0.1  # share of a training whose losses are averaged


@dataclass
class Run:
    """One arm with one seed.

    Attributes:
        arm: its name.
        seed: of weights, order and draws.
        config: path of its config file.
        digest: of the config and the options.
        options: `--cfg-options` of training and tests.
        tests: name -> further `--cfg-options` of a test.
        folder: where it works.
    """

    arm: str
    seed: int
    config: str
    digest: str
    options: list[str]
    tests: dict[str, list[str]]
    folder: Path
    results: dict[str, dict[str, float]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)


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


def call(command: Sequence[str], log: Path, threads: int) -> None:
    """Run one command to its end.

    Raises:
        CommandLineError: it failed; the message has its last lines.
    """
    environment = {**os.environ, 'OMP_NUM_THREADS': str(threads), 'MKL_NUM_THREADS': str(threads)}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('a', encoding='utf-8') as file:
        file.write(f'$ {shlex.join(command)}\n')
        file.flush()
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT, check=False)
    if done.returncode:
        last = ' | '.join(log.read_text(encoding='utf-8', errors='replace').splitlines()[-3:])
        raise CommandLineError(f'{shlex.join(command)} ended with code {done.returncode}; see {log}: {last}')


def digest_of(config: str, options: Sequence[str]) -> str:
    """Stands for what a run is made of. Not for threads: parsing a config changes the state of the interpreter."""
    cfg = Config.fromfile(config)
    cfg.pop('ablation')
    text = json.dumps([cfg.to_dict(), options], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_same(run: Run) -> None:
    """Note what a run is made of, or compare it with what is noted."""
    note = run.folder / 'made_of.json'
    if not note.exists():
        run.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({'sha256': run.digest, 'options': run.options}, indent=1), encoding='utf-8')
    elif json.loads(note.read_text(encoding='utf-8'))['sha256'] != run.digest:
        raise CommandLineError(
            f'{run.folder} holds a run of another config or other options (see {note}); name another --work-dir, or '
            'remove the folder'
        )


def execute(run: Run, threads: int) -> Run:
    """Train and test one run, or read what is there of it.

    Raises:
        CommandLineError: a command failed, or the folder holds a run of another config or other options.
    """
    log, python = run.folder / 'log.txt', sys.executable
    check_same(run)
    done = run.folder / 'trained'
    if not done.exists():
        train = [python, 'tools/train.py', run.config, '--work-dir', str(run.folder), '--resume']
        call([*train, '--cfg-options', *run.options, 'test_after_train=False'], log, threads)
        done.touch()
    checkpoint = (run.folder / 'last_checkpoint').read_text(encoding='utf-8').strip()
    for name, options in run.tests.items():
        out = run.folder / f'test_{name}.json'
        if not out.exists():
            test = [python, 'tools/test.py', run.config, checkpoint, '--work-dir', str(run.folder / f'test_{name}')]
            call([*test, '--out', str(out), '--cfg-options', *run.options, *options], log, threads)
        run.results[name] = json.loads(out.read_text(encoding='utf-8'))['metrics']
    for name, points in read_history(run.folder).items():
        if name.startswith('loss_'):
            last = [value for step, value in points if step > points[-1][0] * (1 - _LAST)]
            run.losses[name] = statistics.fmean(last)
    return run


Cell = tuple[float, float]  # mean and standard deviation over the seeds


def summarise(runs: Sequence[Run], metrics: dict[str, str]) -> dict[str, dict[str, Cell]]:
    """(arm, test) -> column -> mean and deviation.

    Args:
        runs: finished ones.
        metrics: column -> name of a metric, or of a training loss (`loss_...`).
    """
    rows: dict[str, dict[str, Cell]] = {}
    for arm in dict.fromkeys(run.arm for run in runs):
        own = [run for run in runs if run.arm == arm]
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
        own = [run.results[curve.get('test', 'test')] for run in runs if run.arm == arm]
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
    number = {name: sum(run.arm == name.split(', tested as ')[0] for run in runs) for name in rows}
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
    raw = [{'arm': r.arm, 'seed': r.seed, 'results': r.results, 'losses': r.losses} for r in runs]
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
    parts = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task('runs', total=len(runs))

        def work(run: Run) -> Run:
            finished = execute(run, max(1, cores // args.jobs))
            progress.advance(bar)
            return finished

        with ThreadPoolExecutor(args.jobs) as pool:
            finished = list(pool.map(work, runs))
    write_report(summarise(finished, ablation['metrics']), ablation, finished, work_dir)


if __name__ == '__main__':
    run_main(main)
