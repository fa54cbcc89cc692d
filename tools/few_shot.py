"""Tune a model on a few items of another language, with several seeds, and tabulate the results; see --help."""

import argparse
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from cli import CommandLineError, check_checkpoint, run_main
from evaluate_suite import digest_of_file
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from run_folders import Run, digest_of, execute_all

from rc3mm.evaluation.functional.languages import mean_without_pivot
from rc3mm.evaluation.functional.seeds import over_seeds
from rc3mm.registry import DATASETS
from rc3mm.utils.checkpoint import find_chosen_checkpoint
from rc3mm.utils.results import write_results

_EXAMPLES = """\
examples:
  python tools/few_shot.py configs/xvnli/xvnli_few_shot.py --finetuned work_dirs/xvnli/best_*.pth
  python tools/few_shot.py configs/xvnli/xvnli_few_shot.py --finetuned work_dirs/xvnli/best_*.pth \\
      --shots 0 1 5 --seeds 0 1 2 --languages fr ru --jobs 2

For each language, number of shots and seed, the fine-tuned English model is trained with each learning rate of the
protocol; the learning rate and the checkpoint that are best on the validation set are tested. 0 shots: the model as it
is. Finished runs are skipped and interrupted ones resumed, so the command may be repeated at any time. The work dir
then holds table.md, results.json, and a folder <language>/<shots>/<seed>/<learning rate> a training, beside it `test`.
Of each training the best weights are kept, of those that were not chosen none.
"""


@dataclass(frozen=True)
class Cell:
    """One of the experiments of a table.

    Attributes:
        language: language code.
        shots: size of the training set, as its file name has it; 0 for none.
        seed: of weights, order and draws.
    """

    language: str
    shots: int | str
    seed: int

    @property
    def place(self) -> str:
        """Its folder below the work dir."""
        return f'{self.language}/{self.shots}/{self.seed}'


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Tune a fine-tuned English model on a few items of other languages, and tabulate the results.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('config', help='config with a `few_shot` entry, such as configs/xvnli/xvnli_few_shot.py')
    parser.add_argument('--finetuned', required=True, type=Path, metavar='CKPT', help='the fine-tuned English model')
    parser.add_argument('--shots', nargs='+', help="sizes, 0 for none (default: the config's)")
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='seeds (default: 0 1 2)')
    parser.add_argument('--languages', nargs='+', help="languages (default: the config's)")
    parser.add_argument('--learning-rates', type=float, nargs='+', help="candidates (default: the config's)")
    parser.add_argument('--epochs', type=int, help="default: the config's")
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, each with its share of the cores')
    parser.add_argument('--work-dir', type=Path, help='folder (default: work_dirs/<config name>)')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='for all')
    return parser.parse_args()


def read_protocol(cfg: Config, args: argparse.Namespace) -> dict[str, Any]:
    """The config's `few_shot` with the command line's changes.

    Raises:
        CommandLineError: there is none, or a size, language or number is not to be had.
    """
    if 'few_shot' not in cfg:
        raise CommandLineError(f'{args.config} has no `few_shot` entry; see configs/xvnli/xvnli_few_shot.py')
    protocol = cfg.few_shot.to_dict()
    for name in ('epochs', 'learning_rates'):
        protocol[name] = getattr(args, name) or protocol[name]
    sizes = {str(size): size for size in (0, *protocol['shots'])}
    for name, asked, known in (
        ('--shots', args.shots, sizes),
        ('--languages', args.languages, protocol['languages']),
    ):
        if unknown := [value for value in asked or () if value not in known]:
            raise CommandLineError(f'{name}: {", ".join(unknown)} not among {", ".join(map(str, known))}')
    protocol['languages'] = args.languages or protocol['languages']
    protocol['shots'] = [sizes[size] for size in args.shots] if args.shots else protocol['shots']
    if args.jobs < 1 or protocol['epochs'] < 1:
        raise CommandLineError('--jobs and --epochs must be at least 1')
    return protocol


def options_of(cfg: Config, protocol: dict[str, Any], cell: Cell) -> list[str]:
    """`--cfg-options` of an experiment, without its learning rate: data, seed, and as many iterations as epochs take.

    Raises:
        CommandLineError: the training set cannot be read.
    """
    options = [f'{place}.languages=["{cell.language}"]' for place in protocol['tested']]
    if cell.shots == 0:
        return options
    source = f'train_dataloader.dataset.sources.{protocol["source"]}'
    train = cfg.train_dataloader.dataset.sources[protocol['source']].to_dict()
    train.update(shots=cell.shots, languages=(cell.language,), pipeline=())
    try:
        items = len(DATASETS.build(train))
    except (OSError, ValueError) as error:
        raise CommandLineError(f'{cell.language}, {cell.shots} shots: {error}') from error
    epoch = math.ceil(items / cfg.train_dataloader.sampler.batch_size)
    iterations = epoch * protocol['epochs']
    warm_up = max(1, iterations // 10)
    return [
        *options,
        f'{source}.languages=["{cell.language}"]',
        f'{source}.shots=None',  # then it may be a number or a text
        f'{source}.shots={cell.shots}',
        f'randomness.seed={cell.seed}',
        f'train_dataloader.sampler.seed={cell.seed}',
        f'train_cfg.max_iters={iterations}',
        f'train_cfg.val_interval={epoch}',
        f'param_scheduler.0.end={warm_up}',
        f'param_scheduler.1.begin={warm_up}',
        f'param_scheduler.1.end={max(iterations, warm_up + 1)}',
        f'default_hooks.checkpoint.interval={iterations}',
        f'default_hooks.checkpoint.save_best={protocol["select"].format(cell.language)}',
    ]


def plan(args: argparse.Namespace, cfg: Config, protocol: dict[str, Any], folder: Path) -> dict[Cell, list[Run]]:
    """The trainings of each experiment, one a learning rate; none for 0 shots. Seed by seed, for an early look."""
    start = args.finetuned.resolve()
    own = [n for n, entry in enumerate(cfg.get('required_files') or ()) if entry['path'] == cfg.load_from]
    begin = [f'load_from={start}', *(f'required_files.{number}.path={start}' for number in own)]
    plans: dict[Cell, list[Run]] = {}
    for seed, shots, language in product(args.seeds, protocol['shots'], protocol['languages']):
        cell = Cell(language, shots, seed if shots else args.seeds[0])  # nothing is drawn where nothing is learnt
        if cell not in plans:
            options = [*options_of(cfg, protocol, cell), *begin]
            plans[cell] = [
                make_run(args, [*options, f'optim_wrapper.optimizer.lr={rate}'], start, cell, folder, f'{rate:g}')
                for rate in (protocol['learning_rates'] if shots else ())
            ]
    return plans


def make_run(
    args: argparse.Namespace,
    options: list[str],
    weights: Path,
    cell: Cell,
    folder: Path,
    name: str,
    tested: bool = False,
) -> Run:
    """A training that begins with some weights, or a test of them; other weights under an old name make another run."""
    config, options = str(Path(args.config).resolve()), [*options, *args.cfg_options]
    digest = hashlib.sha256((digest_of(config, options) + digest_of_file(weights)).encode()).hexdigest()
    run = Run(
        cell.place, cell.seed, config, digest, options, {'test': []} if tested else {}, folder / cell.place / name
    )
    run.checkpoint = str(weights) if tested else None
    return run


def best_score(folder: Path, metric: str) -> float:
    """The best value of a metric that a training has seen on its validation set.

    Raises:
        CommandLineError: it has seen none.
    """
    lines = [file.read_text(encoding='utf-8').splitlines() for file in sorted(folder.glob('*/vis_data/scalars.json'))]
    records = map(json.loads, lines[-1] if lines else ())  # of the last start: the others were cut short
    scores = [record[metric] for record in records if record.get(metric) is not None]
    if not scores:
        raise CommandLineError(f'{folder} has no {metric}: was it trained without validation?')
    return max(scores)


def drop_last(run: Run) -> None:
    """Remove a finished training's last weights: the best are kept beside them."""
    for path in run.folder.glob('iter_*.pth'):
        path.unlink()


def choose(trainings: Sequence[Run], metric: str) -> tuple[Run, Path]:
    """The training that is best on its validation set, the first of equals, and its weights; others lose theirs.

    Raises:
        CommandLineError: its weights are gone.
    """
    best = max(trainings, key=lambda run: best_score(run.folder, metric))
    for run in trainings:
        for path in () if run is best else run.folder.glob('best_*.pth'):
            path.unlink()
    weights = find_chosen_checkpoint(best.folder)
    if weights is None or not weights.is_file():
        raise CommandLineError(f'{best.folder} has no best_*.pth any more; remove the folder to train it again')
    return best, weights


def run_all(
    args: argparse.Namespace, cfg: Config, protocol: dict[str, Any], folder: Path
) -> tuple[dict[Cell, Run], dict[Cell, str]]:
    """Train, choose, test: the finished test of each experiment, and the learning rate of its training."""
    plans = plan(args, cfg, protocol, folder)
    execute_all([run for trainings in plans.values() for run in trainings], args.jobs, drop_last)
    tests, rates = {}, {}
    for cell, trainings in plans.items():
        weights, options = args.finetuned.resolve(), options_of(cfg, protocol, cell)
        if trainings:
            best, weights = choose(trainings, protocol['select'].format(cell.language))
            rates[cell] = best.folder.name
            options.append(f'optim_wrapper.optimizer.lr={best.folder.name}')
        tests[cell] = make_run(args, options, weights, cell, folder, 'test', tested=True)
    execute_all(list(tests.values()), args.jobs)
    return tests, rates


Rows = dict[tuple[str, int | str], dict[str, tuple[float, float]]]


def summarise(tests: dict[Cell, Run], protocol: dict[str, Any]) -> Rows:
    """(language, shots) -> title of a metric -> mean and deviation over the seeds; `mean` is over the languages.

    Metrics that some test lacks are left out.
    """
    values = {
        cell: {
            title: run.results['test'].get(name.format(cell.language)) for title, name in protocol['metrics'].items()
        }
        for cell, run in tests.items()
    }
    titles = [title for title in protocol['metrics'] if all(own[title] is not None for own in values.values())]
    rows = {}
    for shots in protocol['shots']:
        seeds = sorted({cell.seed for cell in tests if cell.shots == shots})
        of_seed = []
        for seed in seeds:
            own = {cell.language: values[cell] for cell in tests if (cell.shots, cell.seed) == (shots, seed)}
            means = {title: mean_without_pivot({code: found[title] for code, found in own.items()}) for title in titles}
            of_seed.append({**own, 'mean': means})
        for language in [*protocol['languages'], 'mean']:
            found = [{title: part[language][title] for title in titles} for part in of_seed]
            if None not in found[0].values():
                rows[language, shots] = over_seeds(found)
    return rows


def cell_text(mean: float, deviation: float) -> str:
    """Mean and deviation as people read them; the mean alone of one seed."""
    return f'{mean:.2f}' if math.isnan(deviation) else f'{mean:.2f} ± {deviation:.2f}'


def write_report(
    cfg: Config, protocol: dict[str, Any], tests: dict[Cell, Run], rates: dict[Cell, str], folder: Path
) -> None:
    """table.md, results.json, and the table on the terminal."""
    rows = summarise(tests, protocol)
    titles = list(next(iter(rows.values())))
    seeds = sorted({cell.seed for cell in tests})
    note = f'Mean ± standard deviation over seeds {seeds}, split test; `mean` is over the languages without English.'
    table = Table(title=folder.name, caption=note)
    for title in ('language', 'shots', *titles):
        table.add_column(title, justify='right' if title in titles else 'left')
    lines = [f'|language|shots|{"|".join(titles)}|', f'|-|-|{"-:|" * len(titles)}']
    for (language, shots), row in rows.items():
        cells = [language, str(shots), *(cell_text(*row[title]) for title in titles)]
        table.add_row(*cells)
        lines.append(f'|{"|".join(cells)}|')
    (folder / 'table.md').write_text('\n'.join([*lines, '', note]) + '\n', encoding='utf-8')
    facts = [json.loads((run.folder / 'test_test.json').read_text(encoding='utf-8')) for run in tests.values()]
    write_results(
        folder / 'results.json',
        {f'{a}/{shots}/{title}': row[title][0] for (a, shots), row in rows.items() for title in titles},
        setting='few-shot, from the English model',
        split=facts[0]['split'],
        num_items=sum(fact['num_items'] for fact in facts),
        config_text=cfg.pretty_text,
        seed=None,  # each run tells its own
        extra={
            'protocol': protocol,
            'deviations': {
                f'{a}/{shots}/{title}': row[title][1] for (a, shots), row in rows.items() for title in titles
            },
            'runs': [
                {
                    **vars(cell),
                    'learning_rate': rates.get(cell),
                    'checkpoint': run.checkpoint,
                    'metrics': run.results['test'],
                }
                for cell, run in tests.items()
            ],
        },
    )
    Console().print(table)
    print(', '.join(str(folder / name) for name in ('table.md', 'results.json')))


def main() -> None:
    """Plan, run, report."""
    args = parse_args()
    if not Path(args.config).is_file():
        raise CommandLineError(f'there is no config file {args.config}')
    cfg = Config.fromfile(args.config)
    protocol = read_protocol(cfg, args)
    check_checkpoint(str(args.finetuned))
    folder = (args.work_dir or Path('work_dirs') / Path(args.config).stem).resolve()
    tests, rates = run_all(args, cfg, protocol, folder)
    write_report(cfg, protocol, tests, rates, folder)


if __name__ == '__main__':
    run_main(main)
