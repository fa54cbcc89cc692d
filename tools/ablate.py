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

ROOT = Path(__file__).resolve().parents[1]
_LAST = 0.1  # share of a training whose losses are averaged


@dataclass
class Run:
    """One arm with one seed.

    Attributes:
        arm: its name.
        seed: of weights, order and draws.
        options: `--cfg-options` of training and tests.
        tests: name -> further `--cfg-options` of a test.
        folder: where it works.
    """

    arm: str
    seed: int
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
        'leaves table.md, results.json and chart.png in the work dir, and a folder <arm>/<seed> a run',
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
    for seed in args.seeds or ablation['seeds']:
        for name, arm in ablation['arms'].items():
            if args.arms and name not in args.arms:
                continue
            options = [*args.cfg_options, f'randomness.seed={seed}', f'train_dataloader.sampler.seed={seed}']
            tests = {test: list(more) for test, more in arm['tests'].items()}
            runs.append(Run(name, seed, [*options, *arm.get('options', ())], tests, work_dir / name / str(seed)))
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


def check_same(run: Run, config: str) -> None:
    """Note what a run is made of, or compare it with what is noted."""
    cfg = Config.fromfile(config)
    cfg.pop('ablation')
    text = json.dumps([cfg.to_dict(), run.options], default=str, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    note = run.folder / 'made_of.json'
    if not note.exists():
        run.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({'sha256': digest, 'options': run.options}, indent=1), encoding='utf-8')
    elif json.loads(note.read_text(encoding='utf-8'))['sha256'] != digest:
        raise CommandLineError(
            f'{run.folder} holds a run of another config or other options (see {note}); name another --work-dir, or '
            'remove the folder'
        )


def execute(run: Run, config: str, threads: int) -> Run:
    """Train and test one run, or read what is there of it.

    Raises:
        CommandLineError: a command failed, or the folder holds a run of another config or other options.
    """
    log, python = run.folder / 'log.txt', sys.executable
    check_same(run, config)
    done = run.folder / 'trained'
    if not done.exists():
        train = [python, 'tools/train.py', config, '--work-dir', str(run.folder), '--resume']
        call([*train, '--cfg-options', *run.options, 'test_after_train=False'], log, threads)
        done.touch()
    checkpoint = (run.folder / 'last_checkpoint').read_text(encoding='utf-8').strip()
    for name, options in run.tests.items():
        out = run.folder / f'test_{name}.json'
        if not out.exists():
            test = [python, 'tools/test.py', config, checkpoint, '--work-dir', str(run.folder / f'test_{name}')]
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


def cell_text(cell: Cell | None) -> str:
    """Mean and deviation as people read them."""
    if cell is None:
        return '-'
    digits = 1 if abs(cell[0]) >= 10 else 3
    return f'{cell[0]:.{digits}f} ± {cell[1]:.{digits}f}'


def write_report(rows: dict[str, dict[str, Cell]], ablation: dict[str, Any], runs: Sequence[Run], folder: Path) -> None:
    """table.md, results.json, chart.png, and the table on the terminal."""
    columns = list(ablation['metrics'])
    lines = ['|arm|' + '|'.join(columns) + '|', '|-|' + '-:|' * len(columns)]
    lines += [f'|{name}|' + '|'.join(cell_text(row.get(c)) for c in columns) + '|' for name, row in rows.items()]
    seeds = sorted({run.seed for run in runs})
    (folder / 'table.md').write_text('\n'.join(lines) + f'\n\nMean ± deviation, seeds {seeds}.\n', encoding='utf-8')
    raw = [{'arm': r.arm, 'seed': r.seed, 'results': r.results, 'losses': r.losses} for r in runs]
    (folder / 'results.json').write_text(json.dumps({'rows': rows, 'runs': raw}, indent=1), encoding='utf-8')
    shown = list(ablation.get('chart', columns[:1]))
    figure, axes = plt.subplots(1, len(shown), figsize=(4.2 * len(shown), 0.5 * len(rows) + 1.4), squeeze=False)
    for axis, column in zip(axes[0], shown, strict=True):
        cells = [row.get(column, (float('nan'), 0.0)) for row in rows.values()]
        axis.barh(list(rows), [c[0] for c in cells], xerr=[c[1] for c in cells], color='#4477aa', capsize=3)
        axis.invert_yaxis()
        axis.set_title(column, fontsize=10)
        axis.grid(axis='x', alpha=0.3)
    for axis in axes[0][1:]:
        axis.set_yticklabels([])
    figure.tight_layout()
    figure.savefig(folder / 'chart.png', dpi=110)
    table = Table(title=f'{folder.name}: mean ± deviation over seeds {seeds}')
    for column in ('arm', *columns):
        table.add_column(column, justify='left' if column == 'arm' else 'right')
    for name, row in rows.items():
        table.add_row(name, *(cell_text(row.get(column)) for column in columns))
    Console().print(table)
    print(f'{folder / "table.md"}, {folder / "results.json"}, {folder / "chart.png"}')


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
            finished = execute(run, str(Path(args.config).resolve()), max(1, cores // args.jobs))
            progress.advance(bar)
            return finished

        with ThreadPoolExecutor(args.jobs) as pool:
            finished = list(pool.map(work, runs))
    write_report(summarise(finished, ablation['metrics']), ablation, finished, work_dir)


if __name__ == '__main__':
    run_main(main)
