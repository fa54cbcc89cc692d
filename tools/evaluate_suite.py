"""Take one pre-trained checkpoint through a suite of tasks, and tabulate what comes of it; see --help."""

import argparse
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cli import CommandLineError, check_checkpoint, run_main
from mmengine.config import Config
from run_folders import ROOT, Run, digest_of, execute_as_ready
from suite_results import TEST, write_report
from suite_tasks import MAIN, Key, Task, read_tasks, slug, test_only

from rc3mm.utils.checkpoint import find_chosen_checkpoint

_EXAMPLES = """\
examples:
  python tools/evaluate_suite.py configs/suites/emoji_scenes.py
  python tools/evaluate_suite.py configs/suites/emoji_scenes.py --pretrained work_dirs/mine/iter_5000.pth \\
      --work-dir work_dirs/mine_suite --jobs 2
  python tools/evaluate_suite.py configs/suites/emoji_scenes.py --tasks xgqa marvl --no-controls
  # a quick look: everything for 50 iterations (in a folder of its own, because these are other runs)
  python tools/evaluate_suite.py configs/suites/emoji_scenes.py --work-dir work_dirs/look \\
      --cfg-options train_cfg.max_iters=50 param_scheduler.1.end=50
  # test again what an earlier suite has fine-tuned, on other items
  python tools/evaluate_suite.py configs/suites/emoji_scenes.py --finetuned work_dirs/emoji_scenes \\
      --cfg-options test_dataloader.dataset.num_items=5000

Each task is fine-tuned from the pre-trained checkpoint in <work dir>/<task>/zero-shot, and tested; so is each control
(a model that sees only the text, or only the image; or another test of the task's own model) in
<work dir>/<task>/<control>. Finished runs are skipped and
interrupted ones resumed, so the command may be repeated at any time. The work dir then holds table.md, table.csv,
table.tex, chart.png and results.json.

"mean w/o en" is the mean over the languages without English. "kept %" is the share of the English gain over chance
that this mean keeps: 100 (mean - chance) / (English - chance).
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Take one pre-trained checkpoint through all tasks of a suite, and tabulate the results.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('config', help='config with a `suite` entry, such as configs/suites/emoji_scenes.py')
    parser.add_argument('--pretrained', metavar='CKPT', help="pre-trained checkpoint (default: the suite's)")
    parser.add_argument(
        '--finetuned',
        metavar='FOLDER',
        type=Path,
        help='train nothing: test the checkpoints (the best one where one was chosen, else the last) of '
        'FOLDER/<task>/zero-shot or FOLDER/<task>, and of FOLDER/<task>/<control> where they are',
    )
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='only these tasks')
    parser.add_argument('--no-controls', action='store_true', help='only the tasks themselves')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, each with its share of the cores')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='folder (default: work_dirs/<config name>, with --finetuned work_dirs/<config name>_again)',
    )
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='for all')
    return parser.parse_args()


# -- planning the runs


def plan_steps(args: argparse.Namespace, tasks: Sequence[Task]) -> dict[Key, Key | None]:
    """What is to be run, and after what: the tasks themselves first, so that an early look shows all of them."""
    start = {task.name: (task.after, MAIN) if task.after and not args.finetuned else None for task in tasks}
    steps: dict[Key, Key | None] = {(task.name, MAIN): start[task.name] for task in tasks}
    for task in [] if args.no_controls else tasks:
        for name, options in task.controls.items():
            steps[task.name, name] = (task.name, MAIN) if test_only(options) else start[task.name]
    return steps


def check_start(args: argparse.Namespace, tasks: Sequence[Task], pretrained: Path) -> None:
    """Fail before anything is run.

    Raises:
        CommandLineError: a checkpoint is not there.
    """
    if any(not (task.train and args.finetuned) for task in tasks):
        check_pretrained(pretrained)
    for task in tasks:
        if task.train and args.finetuned:
            find_finetuned(args.finetuned, task.name, MAIN)


def plan_run(args: argparse.Namespace, task: Task, name: str, pretrained: Path, folder: Path) -> Run | None:
    """The run of a task (MAIN) or of a control, once what it begins with is there; None if it has no weights to test.

    Raises:
        CommandLineError: a checkpoint is not there.
    """
    marked = task.controls.get(name, [])
    tested = test_only(marked)
    options = [*args.cfg_options, *(tested or marked)]
    if not task.train:
        return make_run(task, name, options, pretrained, pretrained, folder)
    if args.finetuned:
        weights = find_finetuned(args.finetuned, task.name, MAIN if tested else name)
        if weights is None:
            print(f'{task.name}: {args.finetuned} has no control "{name}"; it is left out')
            return None
        return make_run(task, name, options, weights, weights, folder)
    if tested:
        weights = find_finetuned(folder, task.name, MAIN)
        return make_run(task, name, options, weights, weights, folder)
    start = find_finetuned(folder, task.after, MAIN) if task.after else pretrained
    return make_run(task, name, [*options, *start_options(task, start)], None, start, folder)


def make_run(task: Task, name: str, options: list[str], checkpoint: Path | None, weights: Path, folder: Path) -> Run:
    """A run in its folder.

    Args:
        task: whose run it is.
        name: MAIN, or of a control.
        options: `--cfg-options`.
        checkpoint: to be tested as it is; None to train.
        weights: what the run begins with; others under an old name make another run.
        folder: of the whole suite.
    """
    config = str((ROOT / task.config).resolve())
    digest = hashlib.sha256((digest_of(config, options) + digest_of_file(weights)).encode()).hexdigest()
    place = folder / task.name / (MAIN if name == MAIN else slug(name))
    run = Run(f'{task.name}, {name}', 0, config, digest, options, {TEST: []}, place)
    run.checkpoint = str(checkpoint) if checkpoint else None
    return run


def start_options(task: Task, pretrained: Path) -> list[str]:
    """Options that begin a training with the pre-trained weights, and ask for no other ones."""
    cfg = Config.fromfile(ROOT / task.config)
    needed = enumerate(cfg.get('required_files') or ())
    own = [number for number, entry in needed if cfg.get('load_from') and entry['path'] == cfg.load_from]
    return [f'load_from={pretrained}', *(f'required_files.{number}.path={pretrained}' for number in own)]


def check_pretrained(path: Path) -> None:
    """Fail early if the pre-trained checkpoint is missing or broken.

    Raises:
        CommandLineError: it is; the message says how to get one.
    """
    if not path.is_file():
        raise CommandLineError(
            f'there is no pre-trained checkpoint {path}; `make quickstart` trains the tiny one of EmojiScenes, and '
            '--pretrained names any other'
        )
    check_checkpoint(str(path))


def find_finetuned(folder: Path, task: str, name: str) -> Path | None:
    """The checkpoint that the training of a task chose, or of a control if it is there: the best one, else the last.

    Raises:
        CommandLineError: that of a task is not there.
    """
    places = [folder / task / MAIN, folder / task] if name == MAIN else [folder / task / slug(name)]
    for place in places:
        if path := find_chosen_checkpoint(place):
            check_checkpoint(str(path))
            return path.resolve()
    if name == MAIN:
        raise CommandLineError(
            f'--finetuned: there is no {places[0]}/last_checkpoint and no {places[1]}/last_checkpoint'
        )
    return None


@cache
def digest_of_file(path: Path) -> str:
    """Stands for what a file holds."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def main() -> None:
    """Plan, run, report."""
    args = parse_args()
    if not Path(args.config).is_file():
        raise CommandLineError(f'there is no config file {args.config}')
    if args.jobs < 1:
        raise CommandLineError(f'--jobs must be at least 1, got {args.jobs}')
    cfg = Config.fromfile(args.config)
    if 'suite' not in cfg:
        raise CommandLineError(f'{args.config} has no `suite` entry; see configs/suites/')
    suite = cfg.suite.to_dict()
    tasks = read_tasks(suite, args.tasks)
    stem = Path(args.config).stem
    folder = (args.work_dir or Path('work_dirs') / (f'{stem}_again' if args.finetuned else stem)).resolve()
    if args.finetuned and args.finetuned.resolve() == folder:
        raise CommandLineError(f'--work-dir and --finetuned are both {folder}; name another --work-dir for the tests')
    # what the command line names is seen from here, what the config names from the root
    pretrained = Path(args.pretrained).resolve() if args.pretrained else (ROOT / suite['pretrained']).resolve()
    check_start(args, tasks, pretrained)
    by_name = {task.name: task for task in tasks}

    def plan(key: Key) -> Run | None:
        return plan_run(args, by_name[key[0]], key[1], pretrained, folder)

    steps = plan_steps(args, tasks)
    finished = execute_as_ready(steps, plan, args.jobs)
    runs = {key: finished[key] for key in steps if key in finished}  # in the suite's order
    write_report(cfg, tasks, runs, pretrained, suite.get('title', stem), folder)


if __name__ == '__main__':
    run_main(main)
