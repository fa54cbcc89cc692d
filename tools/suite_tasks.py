"""The tasks of a suite, as its config names them: checked before anything is run."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any

from cli import CommandLineError
from mmengine.config import Config
from run_folders import ROOT

__all__ = ['MAIN', 'Key', 'Task', 'published', 'read_tasks', 'slug', 'test_only']

MAIN = 'zero-shot'  # folder of a task's own run; those of controls are called by their names
Key = tuple[str, str]  # name of a task; MAIN, or name of a control
_KEYS, _OPTIONAL = {'pretrained', 'setting', 'split', 'tasks'}, {'title'}
_TEST_ONLY = 'test_only:'


@dataclass
class Task:
    """A task of a suite.

    Attributes:
        name: its folder.
        config: config file that fine-tunes and tests it, seen from the root of the checkout.
        title: what it is called in tables.
        metrics: title -> full name of a metric, `{}` in the place of the language.
        chance: title of a metric -> what guessing gives, in per cent.
        languages: those that a model is tuned on together, as targets of translation; the mean is over all of them.
            None: zero-shot from English.
        controls: name -> `--cfg-options` that take something away from the model. Where they begin with `test_only: `,
            no model is trained with them: the task's own one is tested with them.
        published: benchmark of configs/_base_/published.py whose numbers are shown beneath ours.
        differs: what keeps these from being compared, beyond settings, splits, languages and items, which are compared.
        train: False: the pre-trained checkpoint is tested as it is.
        after: another task of the suite, with whose tuned weights the training of this one and of its controls begins
            in the place of the pre-trained ones (intermediate-task training, Pruksachatkun et al. 2020).
        setting: instead of the suite's.
        split: instead of the suite's.
    """

    name: str
    config: str
    title: str
    metrics: dict[str, str]
    chance: dict[str, float] | None = None
    languages: tuple[str, ...] | None = None
    controls: dict[str, list[str]] = field(default_factory=dict)
    published: str | None = None
    differs: str = ''
    train: bool = True
    after: str | None = None
    setting: str | None = None
    split: str | None = None


def read_tasks(suite: Mapping[str, Any], only: Sequence[str] | None) -> list[Task]:
    """The tasks of a suite, checked before anything is run.

    Raises:
        CommandLineError: an unknown or missing key, metric without `{}`, unknown benchmark, config or task.
    """
    known, missing = {entry.name for entry in fields(Task)} - {'name'}, _KEYS - suite.keys()
    if missing or suite.keys() - _KEYS - _OPTIONAL:
        wanted = f'{", ".join(sorted(_KEYS))} and may have {", ".join(_OPTIONAL)}'
        raise CommandLineError(f'`suite` must have {wanted}; it has {", ".join(sorted(suite))}')
    for name in only or ():
        if name not in suite['tasks']:
            raise CommandLineError(f'--tasks: unknown {name}; the suite has {", ".join(suite["tasks"])}')
    tasks = []
    for name, entry in suite['tasks'].items():
        for key in entry.keys() - known:
            near = difflib.get_close_matches(key, known) or sorted(known)
            raise CommandLineError(f'task {name}: unknown key {key}; did you mean {", ".join(near)}?')
        for own in fields(Task):
            required = own.default is MISSING and own.default_factory is MISSING
            if required and own.name not in {'name', *entry}:
                raise CommandLineError(f'task {name} lacks {own.name}')
        tasks.append(Task(name, **{key: value for key, value in entry.items() if value is not None}))
        check_task(tasks[-1])
    check_order(tasks)
    wanted = set(only or suite['tasks'])
    for task in reversed(tasks):
        wanted |= {task.after} if task.after and task.name in wanted else set()
    return [task for task in tasks if task.name in wanted]


def check_order(tasks: Sequence[Task]) -> None:
    """See that what tasks begin with is trained, and named before them: so it ends somewhere.

    Raises:
        CommandLineError: it is not.
    """
    before: list[str] = []
    for task in tasks:
        if task.after and (task.after not in before or not task.train):
            raise CommandLineError(
                f'task {task.name}: after={task.after!r} needs a training here, and names a task that is trained and '
                f'stands further up: {", ".join(before) or "there is none"}'
            )
        before += [task.name] if task.train else []


def check_task(task: Task) -> None:
    """See `read_tasks`."""
    if not (ROOT / task.config).is_file():
        raise CommandLineError(f'task {task.name}: there is no config file {ROOT / task.config}')
    for title, metric in task.metrics.items():
        if metric.count('{}') != 1:
            raise CommandLineError(f'task {task.name}: metric {title}: {metric!r} has no {{}} for the language')
    if not task.metrics:
        raise CommandLineError(f'task {task.name} has no metrics')
    strange = set(task.chance or ()) - set(task.metrics)
    if strange:
        raise CommandLineError(f'task {task.name}: chance of {sorted(strange)}; its metrics are {list(task.metrics)}')
    slugs = [MAIN, *map(slug, task.controls)]
    if len(set(slugs)) < len(slugs):
        raise CommandLineError(f'task {task.name}: the controls need folders of their own, not {slugs[1:]}')
    for options in task.controls.values():
        test_only(options)
    if task.published and task.published not in published():
        raise CommandLineError(f'task {task.name}: nothing is published of {task.published}; of {list(published())} is')


@cache
def published() -> dict[str, Any]:
    """Others' numbers, by benchmark."""
    return Config.fromfile(ROOT / 'configs/_base_/published.py').published.to_dict()


def slug(name: str) -> str:
    """Name of a control's folder."""
    return re.sub(r'\W+', '_', name)


def test_only(options: Sequence[str]) -> list[str] | None:
    """The options of a control that is but another test of the task's own model, or None of one that is trained.

    Raises:
        CommandLineError: some of the options are for the test only, some not.
    """
    marked = [option for option in options if option.startswith(_TEST_ONLY)]
    if marked and len(marked) < len(options):
        raise CommandLineError(f'a control is trained, or begins all its options with "{_TEST_ONLY} "; got {options}')
    return [option.removeprefix(_TEST_ONLY).strip() for option in marked] or None
