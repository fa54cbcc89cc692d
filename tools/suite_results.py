"""What the runs of a suite have found: rows of a table, and the files that hold it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli import CommandLineError
from mmengine.config import Config
from rich.console import Console
from run_folders import Run
from suite_tasks import MAIN, Key, Task, published

from rc3mm.utils.results import write_results
from rc3mm.visualization.suite_chart import draw_suite
from rc3mm.visualization.suite_report import to_csv, to_latex, to_markdown, to_rich
from rc3mm.visualization.suite_rows import SuiteRow, SuiteTable, count_text, measured_row, peer_rows

__all__ = ['TEST', 'rows_of', 'write_report']

TEST = 'test'  # name of the one test of each run


def facts_of(run: Run) -> dict[str, Any]:
    """The results file of a finished run."""
    return json.loads((run.folder / f'test_{TEST}.json').read_text(encoding='utf-8'))


def by_language(metrics: Mapping[str, float], template: str, languages: Sequence[str] | None = None) -> dict[str, Any]:
    """Language -> number, from full names of metrics; only those of `languages`, if these are given."""
    pattern = re.compile(re.escape(template).replace(re.escape('{}'), '(?P<language>[A-Za-z-]+)'))
    matches = {match['language']: value for name, value in metrics.items() if (match := pattern.fullmatch(name))}
    # numbers that were not finite are null in the file
    found = {language: value for language, value in matches.items() if language != 'mean' and value is not None}
    return found if languages is None else {language: found[language] for language in languages if language in found}


def counts_of(metrics: Mapping[str, float], template: str) -> dict[str, int]:
    """Language -> number of items, or of queries in the direction of a recall."""
    head, _, leaf = template.rpartition('/')
    direction = leaf.removeprefix('itm_').partition('_')[0]
    counts = by_language(metrics, f'{head}/num_items') or by_language(metrics, f'{head}/num_{direction}')
    return {language: int(count) for language, count in counts.items()}


def rows_of(task: Task, suite: Mapping[str, Any], runs: Mapping[Key, Run]) -> list[SuiteRow]:
    """The rows of one task, and those of others beneath.

    Raises:
        CommandLineError: a metric is not there, or the test was of another split.
    """
    run = runs[task.name, MAIN]
    metrics, facts = run.results[TEST], facts_of(run)
    setting, split = setting_of(task, suite), task.split or suite['split']
    if facts['split'] != split:
        raise CommandLineError(
            f'task {task.name} was tested on split {facts["split"]}, but the suite says {split}; give the task '
            f"split='{facts['split']}', or change its config"
        )
    rows = []
    for title, template in task.metrics.items():
        scores = by_language(metrics, template, task.languages)
        if not scores:
            raise CommandLineError(f'task {task.name}: no metric is called {template}; there are {list(metrics)[:8]}')
        counts = {language: n for language, n in counts_of(metrics, template).items() if language in scores}
        controls = {
            control: by_language(runs[task.name, control].results[TEST], template, task.languages)
            for control in task.controls
            if (task.name, control) in runs
        }
        row = measured_row(
            scores,
            controls,
            languages=task.languages,
            chance=(task.chance or {}).get(title),
            task=task.title,
            metric=title,
            setting=setting,
            split=split,
            items=count_text(counts, facts['num_items']),
        )
        rows.append(row)
        if task.published:
            leaf = template.rpartition('/')[2]
            rows += peer_rows(row, counts, published()[task.published], leaf, task.differs)
    return rows


def setting_of(task: Task, suite: Mapping[str, Any]) -> str:
    """A model that was tuned on the languages it is tested in is no zero-shot one."""
    return task.setting or (suite['setting'] if task.languages is None else 'supervised')


def protocol_of(task: Task, run: Run, checkpoint: str) -> str:
    """How the weights came about; `checkpoint` is what was tested."""
    if not task.train:
        return 'the pre-trained checkpoint, tested as it is'
    if run.checkpoint:
        return 'a checkpoint fine-tuned earlier, tested'
    which = 'best' if Path(checkpoint).name.startswith('best_') else 'last'
    return f"fine-tuned from the pre-trained checkpoint by the task's config; the {which} weights are tested"


def write_report(
    cfg: Config, tasks: Sequence[Task], runs: Mapping[Key, Run], pretrained: Path, title: str, folder: Path
) -> None:
    """All files, and the table on the terminal."""
    suite = cfg.suite.to_dict()
    rows = {task.name: rows_of(task, suite, runs) for task in tasks}
    table = SuiteTable(title, [row for own in rows.values() for row in own])
    metrics, entries, items = {}, {}, 0
    for task in tasks:
        parts = {name: run for (owner, name), run in runs.items() if owner == task.name}
        facts = {name: facts_of(run) for name, run in parts.items()}
        metrics |= {f'{task.name}/{name}/{key}': n for name, of in facts.items() for key, n in of['metrics'].items()}
        items += facts[MAIN]['num_items']
        entries[task.name] = {
            'title': task.title,
            'setting': setting_of(task, suite),
            'split': facts[MAIN]['split'],
            'num_items': facts[MAIN]['num_items'],
            'num_items_by_language': counts_of(facts[MAIN]['metrics'], next(iter(task.metrics.values()))),
            'protocol': protocol_of(task, parts[MAIN], facts[MAIN]['checkpoint']),
            'config': task.config,
            'published': {**published()[task.published], 'metrics': None} if task.published else None,
            'rows': [vars(row) for row in rows[task.name]],
            'runs': {
                name: {
                    'options': run.options,
                    **{key: facts[name].get(key) for key in ('checkpoint', 'form', 'seed', 'git', 'environment')},
                }
                for name, run in parts.items()
            },
        }
    write_results(
        folder / 'results.json',
        metrics,
        setting=suite['setting'],
        split=suite['split'],
        num_items=items,
        config_text=cfg.pretty_text,
        seed=None,  # each run tells its own
        extra={'suite': title, 'pretrained': str(pretrained), 'tasks': entries},
    )
    for name, text in (('md', to_markdown(table)), ('csv', to_csv(table)), ('tex', to_latex(table))):
        (folder / f'table.{name}').write_text(text, encoding='utf-8')
    draw_suite(table, folder / 'chart.png')
    show(table)
    print(', '.join(str(folder / name) for name in ('table.md', 'table.csv', 'table.tex', 'chart.png', 'results.json')))


def show(table: SuiteTable) -> None:
    """Print the table, if need be wider than the terminal: numbers must not be cut."""
    console, shown = Console(), to_rich(table)
    console.width = max(console.width, console.measure(shown, options=console.options.update(max_width=1000)).minimum)
    console.print(shown)
