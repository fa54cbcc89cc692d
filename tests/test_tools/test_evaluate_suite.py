"""A suite takes one checkpoint through its tasks and their controls, tabulates, and goes on where it stopped."""

import csv
import importlib
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import TrainedRun, WarmLauncher

ROOT = Path(__file__).parents[2]
PRETRAIN = 'configs/rc3/pretrain_tiny.py'
METRICS = {'text->image R@1': 'retrieval/{}/t2i_R@1', 'image->text R@1': 'retrieval/{}/itm_i2t_R@1'}
TASK: dict[str, Any] = dict(config=PRETRAIN, title='Retrieval', metrics=METRICS, chance={'text->image R@1': 12.5})


def suite_of(**tasks: dict[str, Any]) -> dict[str, Any]:
    return dict(pretrained='work_dirs/none/iter_1.pth', setting='zero-shot', split='test', tasks=tasks)


def write_suite(path: Path, suite: dict[str, Any]) -> Path:
    path.write_text(f'suite = {suite!r}\n', encoding='utf-8')
    return path


def arguments(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**dict(cfg_options=['randomness.seed=3'], finetuned=None, no_controls=False) | changes)


def plan_all(module: ModuleType, options: Any, tasks: Any, *folders: Path) -> dict[Any, Any]:
    """Every run of a suite whose tasks all begin with the pre-trained weights."""
    by_name, steps = {task.name: task for task in tasks}, module.plan_steps(options, tasks)
    runs = {(owner, name): module.plan_run(options, by_name[owner], name, *folders) for owner, name in steps}
    return {key: run for key, run in runs.items() if run}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of tools/."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return importlib.import_module


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('weights') / 'iter_1.pth'
    torch.save({'state_dict': {'w': torch.zeros(1)}}, path)
    return path


# -- from a suite to runs


def test_tasks_come_before_their_controls(load: Any, checkpoint: Path, tmp_path: Path) -> None:
    controls = {'text only': ['model.form_probs.patch=0.0'], 'image only': []}
    suite = suite_of(a=dict(**TASK, controls=controls), b=dict(**TASK, train=False), c=dict(**TASK))
    tasks = load('suite_tasks').read_tasks(suite, None)
    plan = partial(plan_all, load('evaluate_suite'))
    runs = plan(arguments(), tasks, checkpoint, tmp_path)
    assert list(runs) == [
        *(('a', 'zero-shot'), ('b', 'zero-shot'), ('c', 'zero-shot')),
        *(('a', 'text only'), ('a', 'image only')),
    ]
    start = f'load_from={checkpoint}'
    assert runs['a', 'zero-shot'].options == ['randomness.seed=3', start]
    assert runs['a', 'text only'].options == ['randomness.seed=3', 'model.form_probs.patch=0.0', start]
    assert runs['a', 'text only'].folder == tmp_path / 'a/text_only' and runs['c', 'zero-shot'].checkpoint is None
    # tested as it is: nothing is trained, from whatever weights
    assert runs['b', 'zero-shot'].options == ['randomness.seed=3']
    assert runs['b', 'zero-shot'].checkpoint == str(checkpoint)
    assert list(plan(arguments(no_controls=True), tasks, checkpoint, tmp_path)) == list(runs)[:3]
    assert [task.name for task in load('suite_tasks').read_tasks(suite, ['c', 'a'])] == ['a', 'c']


def test_a_task_may_begin_where_another_has_ended(load: Any, checkpoint: Path, tmp_path: Path) -> None:
    module, read = load('evaluate_suite'), load('suite_tasks').read_tasks
    more = dict(after='first', controls={'blind': ['x=1'], 'wrong': ['test_only: y=1']})
    suite = suite_of(first=dict(**TASK), other=dict(**TASK), second=TASK | more, third=dict(**TASK, after='second'))
    tasks = read(suite, ['third'])
    assert [task.name for task in tasks] == ['first', 'second', 'third']  # what it begins with is trained too
    main = 'zero-shot'
    assert module.plan_steps(arguments(), tasks) == {
        **{('first', main): None, ('second', main): ('first', main), ('third', main): ('second', main)},
        **{('second', 'blind'): ('first', main), ('second', 'wrong'): ('second', main)},
    }
    assert set(module.plan_steps(arguments(finetuned=tmp_path, no_controls=True), tasks).values()) == {None}
    tuned = tmp_path / 'first/zero-shot/iter_2.pth'
    tuned.parent.mkdir(parents=True)
    torch.save({'state_dict': {'w': torch.ones(1)}}, tuned)
    (tuned.parent / 'last_checkpoint').write_text(str(tuned))
    for name in ('zero-shot', 'blind'):
        assert f'load_from={tuned}' in module.plan_run(arguments(), tasks[1], name, checkpoint, tmp_path).options
    for after in ('third', 'second', 'last'):
        with pytest.raises(
            load('cli').CommandLineError, match=f"task second: after='{after}' needs.*further up: first"
        ):
            read(suite_of(first=dict(**TASK), second=dict(**TASK, after=after), last=dict(**TASK)), None)


def test_other_weights_under_an_old_name_make_another_run(load: Any, tmp_path: Path) -> None:
    tasks = load('suite_tasks').read_tasks(suite_of(a=dict(**TASK)), None)
    module, digests, path = load('evaluate_suite'), [], tmp_path / 'weights.pth'
    for value in (0.0, 0.0, 1.0):
        module.digest_of_file.cache_clear()
        torch.save({'state_dict': {'w': torch.full((1,), value)}}, path)
        digests.append(plan_all(module, arguments(), tasks, path, tmp_path)['a', 'zero-shot'].digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_config_that_asks_for_its_own_start_gets_ours(
    load: Any, configs: Path, checkpoint: Path, tmp_path: Path
) -> None:
    own = configs / 'own_start.py'
    own.write_text(
        "load_from = 'work_dirs/x.pth'\nrequired_files = [dict(path='corpus', what='', get=''), "
        "dict(path=load_from, what='', get='')]\n"
    )
    (task,) = load('suite_tasks').read_tasks(suite_of(a=TASK | dict(config=str(own))), None)
    options = load('evaluate_suite').start_options(task, checkpoint)
    assert options == [f'load_from={checkpoint}', f'required_files.1.path={checkpoint}']


def test_finetuned_checkpoints_are_found_even_if_moved(
    load: Any, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    suite = suite_of(a=dict(**TASK, controls={'text only': [], 'image only': []}), b=dict(**TASK))
    tasks = load('suite_tasks').read_tasks(suite, None)
    for place, note in (('a/zero-shot', checkpoint), ('a/text_only', '/gone/iter_1.pth'), ('b', 'iter_1.pth')):
        folder = tmp_path / 'tuned' / place
        folder.mkdir(parents=True)
        (folder / 'last_checkpoint').write_text(f'{note}\n')
        (folder / 'iter_1.pth').write_bytes(checkpoint.read_bytes())
    plan = partial(plan_all, load('evaluate_suite'))
    runs = plan(arguments(finetuned=tmp_path / 'tuned'), tasks, tmp_path / 'no.pth', tmp_path / 'w')
    found = {key: run.checkpoint for key, run in runs.items()}
    assert found == {
        ('a', 'zero-shot'): str(checkpoint),
        ('b', 'zero-shot'): str(tmp_path / 'tuned/b/iter_1.pth'),
        ('a', 'text only'): str(tmp_path / 'tuned/a/text_only/iter_1.pth'),
    }
    assert all('load_from' not in ' '.join(run.options) for run in runs.values())
    assert 'has no control "image only"; it is left out' in capsys.readouterr().out
    # the best goes before the last
    (tmp_path / 'tuned/b/best_x_iter_1.pth').write_bytes(checkpoint.read_bytes())
    (tmp_path / 'tuned/b/best_checkpoint').write_text('/gone/best_x_iter_1.pth')
    runs = plan(arguments(finetuned=tmp_path / 'tuned'), tasks, tmp_path / 'no.pth', tmp_path / 'w')
    assert runs['b', 'zero-shot'].checkpoint == str(tmp_path / 'tuned/b/best_x_iter_1.pth')
    (tmp_path / 'tuned/b/best_checkpoint').unlink()
    (tmp_path / 'tuned/b/last_checkpoint').unlink()
    with pytest.raises(load('cli').CommandLineError, match=r'there is no .*b/zero-shot/last_checkpoint and no .*/b/'):
        plan(arguments(finetuned=tmp_path / 'tuned'), tasks, checkpoint, tmp_path / 'w')


def test_a_control_may_be_another_test_of_the_same_model(load: Any, checkpoint: Path, tmp_path: Path) -> None:
    controls = {'trained': ['a=1'], 'wrong image': ['test_only: b=2', 'test_only:c=3']}
    suite = suite_of(a=dict(**TASK, controls=controls), b=dict(**TASK, controls=controls, train=False))
    tasks, module = load('suite_tasks').read_tasks(suite, None), load('evaluate_suite')
    tuned = tmp_path / 'a/zero-shot/iter_9.pth'
    tuned.parent.mkdir(parents=True)
    tuned.write_bytes(checkpoint.read_bytes())
    (tuned.parent / 'last_checkpoint').write_text(str(tuned))
    runs = plan_all(module, arguments(), tasks, checkpoint, tmp_path)
    assert {key: run.checkpoint for key, run in runs.items()} == {
        **{('a', 'zero-shot'): None, ('a', 'trained'): None, ('a', 'wrong image'): str(tuned)},
        **{('b', name): str(checkpoint) for name in ('zero-shot', 'trained', 'wrong image')},
    }
    for task in ('a', 'b'):
        assert runs[task, 'wrong image'].options == ['randomness.seed=3', 'b=2', 'c=3']
        assert runs[task, 'wrong image'].folder == tmp_path / task / 'wrong_image'
    assert set(plan_all(module, arguments(no_controls=True), tasks, checkpoint, tmp_path)) == {
        ('a', 'zero-shot'),
        ('b', 'zero-shot'),
    }


# -- from results to rows


def finished(load: Any, folder: Path, metrics: dict[str, float | None], split: str = 'test') -> Any:
    run = load('run_folders').Run('a', 0, PRETRAIN, '', [], {'test': []}, folder, {'test': metrics})
    folder.mkdir(parents=True)
    facts = dict(metrics=metrics, split=split, num_items=30, checkpoint='x.pth', seed=1, git={'revision': 'abc'})
    (folder / 'test_test.json').write_text(json.dumps(facts))
    return run


def answers(**languages: float) -> dict[str, float | None]:
    metrics: dict[str, float | None] = {f'answers/{language}/accuracy': n for language, n in languages.items()}
    return metrics | {f'answers/{language}/num_items': 10 for language in languages} | {'answers/mean_accuracy': 1.0}


@pytest.fixture
def two_tasks(load: Any, tmp_path: Path) -> Any:
    """Finished runs of a classification with a control and of a translation, and their suite."""
    translated = {'translation/de/bleu': 20.0, 'translation/fr/bleu': None, 'translation/de/num_items': 9}
    tasks = dict(
        gqa=dict(
            config=PRETRAIN,
            title='xGQA',
            metrics={'accuracy': 'answers/{}/accuracy'},
            chance={'accuracy': 10.0},
            controls={'text only': []},
            published='xgqa',
            differs='emoji',
        ),
        mmt=dict(config=PRETRAIN, title='MMT', metrics={'BLEU': 'translation/{}/bleu'}, languages=('de', 'fr')),
    )
    runs = {
        ('gqa', 'zero-shot'): finished(load, tmp_path / 'gqa', answers(zh=20.0, en=50.0, de=40.0)),
        ('gqa', 'text only'): finished(load, tmp_path / 'blind', answers(en=15.0, de=12.0)),
        ('mmt', 'zero-shot'): finished(load, tmp_path / 'mmt', translated),
    }
    return suite_of(**tasks), runs


def test_rows_by_hand(load: Any, two_tasks: Any) -> None:
    suite, runs = two_tasks
    gqa, mmt = load('suite_tasks').read_tasks(suite, None)
    row, *peers = load('suite_results').rows_of(gqa, suite, runs)
    assert row.scores == {'zh': 20.0, 'en': 50.0, 'de': 40.0} and row.items == '10 per language'
    assert (row.mean, row.kept, row.chance, row.controls) == (30.0, 50.0, 10.0, {'text only': 15.0})
    assert (row.setting, row.split, row.model) == ('zero-shot', 'test', 'rc3mm')
    assert [peer.model for peer in peers] == ['mUNITER', 'xUNITER', 'UC2', 'M3P']
    assert peers[0].note.startswith('emoji; their mean is of de zh bn id ko pt ru; other numbers of items in de zh;')
    (row,) = load('suite_results').rows_of(mmt, suite, runs)
    # French has no finite number: it is not averaged away
    assert (row.scores, row.mean, row.setting) == ({'de': 20.0}, None, 'supervised')


def test_all_files(load: Any, two_tasks: Any, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    suite, runs = two_tasks
    config = load('mmengine.config').Config(dict(suite=suite))
    tasks = load('suite_tasks').read_tasks(suite, None)
    load('suite_results').write_report(config, tasks, runs, Path('pre.pth'), 'made_up', tmp_path)
    report = json.loads((tmp_path / 'results.json').read_text())
    assert report['metrics']['gqa/zero-shot/answers/de/accuracy'] == 40.0
    assert report['metrics']['gqa/text only/answers/en/accuracy'] == 15.0
    assert (report['setting'], report['split'], report['num_items']) == ('zero-shot', 'test', 60)
    assert {'git', 'environment', 'config'} <= set(report) and report['pretrained'] == 'pre.pth'
    gqa, mmt = report['tasks'].values()
    assert (mmt['setting'], mmt['split'], mmt['num_items']) == ('supervised', 'test', 30)
    assert gqa['num_items_by_language'] == {'zh': 10, 'en': 10, 'de': 10}
    assert gqa['protocol'].endswith('the last weights are tested')
    assert gqa['runs']['text only']['checkpoint'] == 'x.pth' and gqa['runs']['zero-shot']['git'] == {'revision': 'abc'}
    assert 'one of 1,842 answers' in gqa['published']['protocol'] and gqa['rows'][0]['kept'] == 50.0
    rows = list(csv.DictReader((tmp_path / 'table.csv').open()))
    assert [row['model'] for row in rows] == ['rc3mm', 'mUNITER', 'xUNITER', 'UC2', 'M3P', 'rc3mm']
    assert '|50.0|40.0|20.0|30.0|10.0|15.0|50.0|' in (tmp_path / 'table.md').read_text()
    assert '\\toprule' in (tmp_path / 'table.tex').read_text() and (tmp_path / 'chart.png').stat().st_size > 5000
    assert 'xGQA accuracy' in capsys.readouterr().out


def test_a_split_is_never_taken_for_another(load: Any, two_tasks: Any, tmp_path: Path) -> None:
    suite, runs = two_tasks
    suite['tasks'].pop('mmt')
    (task,) = load('suite_tasks').read_tasks(suite, None)
    runs['gqa', 'zero-shot'] = finished(load, tmp_path / 'val', answers(en=1.0), split='val')
    with pytest.raises(
        load('cli').CommandLineError, match=r"tested on split val, but the suite says test; .*split='val'"
    ):
        load('suite_results').rows_of(task, suite, runs)
    task.split = 'val'
    assert load('suite_results').rows_of(task, suite, runs)[0].split == 'val'
    task.metrics = {'accuracy': 'answers/{}/acuracy'}
    with pytest.raises(load('cli').CommandLineError, match=r'no metric is called answers/\{\}/acuracy; there are \['):
        load('suite_results').rows_of(task, suite, runs)


# -- mistakes

MISTAKES = {
    'unknown key': (dict(TASK, chanse={}), 'unknown key chanse; did you mean chance?'),
    'missing key': (dict(config=PRETRAIN, title='x'), 'task a lacks metrics'),
    'no metrics': (dict(TASK, metrics={}, chance=None), 'task a has no metrics'),
    'no config': (dict(TASK, config='configs/none.py'), 'there is no config file'),
    'no language': (dict(TASK, metrics={'R': 'retrieval/mean_R@1'}), r'has no \{\} for the language'),
    'chance of nothing': (dict(TASK, chance={'R': 1.0}), r"chance of \['R'\]; its metrics are"),
    'one folder for two': (dict(TASK, controls={'a b': [], 'a-b': []}), 'need folders of their own'),
    'half a test': (dict(TASK, controls={'a': ['test_only: a=1', 'b=2']}), 'a control is trained, or begins all'),
    'unpublished': (dict(TASK, published='vqa'), 'nothing is published of vqa; of .*xvnli'),
}


@pytest.mark.parametrize('case', MISTAKES)
def test_mistakes_in_a_task_are_named(load: Any, case: str) -> None:
    task, message = MISTAKES[case]
    with pytest.raises(load('cli').CommandLineError, match=message):
        load('suite_tasks').read_tasks(suite_of(a=task), None)


def test_mistakes_in_the_suite_are_named(load: Any) -> None:
    read, error = load('suite_tasks').read_tasks, load('cli').CommandLineError
    with pytest.raises(error, match=r'`suite` must have .*; it has .*spilt'):
        read(suite_of() | dict(spilt='val'), None)
    with pytest.raises(error, match='--tasks: unknown xgqqa; the suite has a, b'):
        read(suite_of(a=TASK, b=TASK), ['a', 'xgqqa'])


def test_mistakes_on_the_command_line_are_one_line(warm: WarmLauncher, configs: Path, tmp_path: Path) -> None:
    config = write_suite(configs / 'made_up_suite.py', suite_of(a=TASK))
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'PK\x03\x04 cut short')
    for command, message in {
        (config,): 'there is no pre-trained checkpoint .*iter_1.pth; `make quickstart` trains the tiny one',
        (config, '--pretrained', broken): 'broken.pth',
        (config, '--jobs', 0): '--jobs must be at least 1, got 0',
        (config, '--work-dir', tmp_path, '--finetuned', tmp_path): 'are both .*; name another --work-dir',
        (config, '--finetuned', tmp_path): 'there is no .*/a/zero-shot/last_checkpoint and no .*/a/last_checkpoint',
        (tmp_path / 'no.py',): 'there is no config file .*no.py',
        (ROOT / PRETRAIN,): 'has no `suite` entry; see configs/suites/',
    }.items():
        done = warm('evaluate_suite.py', *command)
        assert done.code == 2, done.output
        (line,) = done.output.strip().splitlines()
        assert re.search(message, line), line


def test_help_teaches(warm: WarmLauncher) -> None:
    done = warm('evaluate_suite.py', '--help')
    assert done.code == 0
    for words in ('examples:', '--finetuned work_dirs/emoji_scenes', 'kept %', '--tasks xgqa marvl --no-controls'):
        assert words in done.output


# -- from end to end


@pytest.mark.slow
@pytest.mark.usefixtures('warm_scripts')
def test_from_checkpoint_to_table(
    load: Any,
    configs: Path,
    tmp_path: Path,
    shrunk: Any,
    trained: TrainedRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    untuned = dict(TASK, title='Untuned', train=False, controls={'towers alone': ['test_only: test_cfg.rerank_topk=0']})
    config = write_suite(configs / 'small_suite.py', suite_of(tuned=TASK, as_it_is=untuned))
    pretrained = trained.work_dir / 'iter_4.pth'
    command = [config, '--pretrained', pretrained, '--work-dir', tmp_path, '--cfg-options', *shrunk(3)]
    command += ['+default_hooks.checkpoint.save_best=retrieval/mean_R@1', '+default_hooks.checkpoint.rule=greater']
    monkeypatch.setattr(sys, 'argv', ['evaluate_suite.py', *map(str, command)])
    main = load('evaluate_suite').main
    main()
    output = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / 'table.csv').open()))
    assert [(row['task'], row['metric']) for row in rows] == [(t, m) for t in ('Retrieval', 'Untuned') for m in METRICS]
    report = json.loads((tmp_path / 'results.json').read_text())
    for row in rows:
        assert (row['setting'], row['split'], row['items']) == ('zero-shot', 'test', '8 per language')
        others = [float(row[language]) for language in ('de', 'fr', 'cs', 'ja', 'zh')]
        assert float(row['mean w/o en']) == pytest.approx(sum(others) / 5)
    # the control has the metric of the towers, and none of what it lacks
    assert float(rows[2]['towers alone (en)']) == report['metrics']['as_it_is/towers alone/retrieval/en/t2i_R@1']
    assert rows[3]['towers alone (en)'] == ''
    assert 'Untuned' in output and 'chart.png' in output
    # each began with the weights it was given
    log = (tmp_path / 'tuned/zero-shot/log.txt').read_text()
    assert f'load_from={pretrained}' in log and 'test_after_train=False' in log
    tuned = report['tasks']['tuned']  # what validation chose
    assert Path(tuned['runs']['zero-shot']['checkpoint']).name.startswith('best_retrieval_mean_R@1_iter_')
    assert tuned['protocol'].endswith('the best weights are tested')
    own = report['tasks']['as_it_is']['runs']['zero-shot']
    assert own['checkpoint'] == str(pretrained) and not (tmp_path / 'as_it_is/zero-shot/trained').exists()

    # again: nothing is trained or tested a second time
    main()
    assert (tmp_path / 'tuned/zero-shot/log.txt').read_text() == log
    again = json.loads((tmp_path / 'results.json').read_text())
    assert {**again, 'git': 0, 'environment': 0} == {**report, 'git': 0, 'environment': 0}
