"""The command line: overrides that never pass silently, and errors of one line."""

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / 'configs/rc3/pretrain_tiny.py'


def tool(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    """A module of tools/, imported as when a script there runs."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    for own in ('cli', 'train', 'test'):
        monkeypatch.delitem(sys.modules, own, raising=False)
    return importlib.import_module(name)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return tool(monkeypatch, 'cli')


@pytest.fixture
def tiny() -> Config:
    return Config.fromfile(TINY)


def at(cfg: Config, key: str) -> Any:
    """The entry under a dotted key."""
    node: Any = cfg
    for part in key.split('.'):
        node = node[int(part)] if isinstance(node, list | tuple) else node[part]
    return node


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('train_cfg.max_iters=7', 7),
        ('train_cfg.max_iters=1e3', 1000),
        ('optim_wrapper.optimizer.lr=1', 1.0),
        ('optim_wrapper.optimizer.lr=5e-4', 5e-4),
        ('optim_wrapper.optimizer.betas=0.8,0.9', (0.8, 0.9)),
        ('param_scheduler.1.end=500', 500),
        ('train_dataloader.dataset.sources.weak.pipeline.2.scorer.num_sentences=50', 50),
        ('model.objectives.itc.sources=[strict]', ('strict',)),
        ('model.test_form=both', 'both'),
        ('model.objectives.rxvtcl.regularizer.type=NoRegularizer', 'NoRegularizer'),
        ('optim_wrapper.optimizer.type=SGD', 'SGD'),
        ('test_after_train=False', False),
        ('load_from=a b/iter_1.pth', 'a b/iter_1.pth'),
        ('custom_hooks=None', None),
        ('+model.fusion.dropout=0.1', 0.1),
        ('+optim_wrapper.accumulative_counts=2', 2),
        ('+custom_hooks.1.type=EMAHook', 'EMAHook'),
        ('+default_hooks.checkpoint.deep.er=[1,2]', [1, 2]),
        ('experiment_name=mine', 'mine'),  # an argument of the runner, so no typing error
    ],
)
def test_an_option_sets_its_entry_and_no_other(cli: ModuleType, tiny: Config, option: str, value: Any) -> None:
    before = Config.fromfile(TINY)
    cli.apply_options(tiny, [option])
    key = option.lstrip('+').partition('=')[0]
    found = at(tiny, key)
    assert found == value and type(found) is type(value)
    first = key.partition('.')[0]
    assert {name: tiny[name] for name in tiny if name != first} == {n: before[n] for n in before if n != first}


def test_entries_that_configs_share_are_changed_in_one_place_only(cli: ModuleType) -> None:
    shared = {'size': 8}
    cfg = Config({'train_dataloader': {'pipeline': [shared]}, 'val_dataloader': {'pipeline': [shared]}})
    cli.apply_options(cfg, ['train_dataloader.pipeline.0.size=16'])
    assert cfg.train_dataloader.pipeline[0].size == 16
    assert cfg.val_dataloader.pipeline[0].size == 8


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ('train_cfg.max_iter=7', ['train_cfg.max_iter;', 'train_cfg.max_iters', '+train_cfg.max_iter=']),
        ('modle.embed_dim=7', ['modle.embed_dim', 'model']),
        ('lr=1e-4', ['lr', 'optim_wrapper.optimizer.lr']),
        ('max_iters=7', ['max_iters', 'no effect', 'train_cfg.max_iters']),
        ('world.num_concepts=7', ['world.num_concepts', 'no effect', 'train_dataloader']),
        ('param_scheduler.2.end=7', ['param_scheduler', '2 items', '"2"']),
        ('+param_scheduler.3.end=7', ['param_scheduler', '2 items', '"3"']),
        ('param_scheduler.end=7', ['param_scheduler', '"end"']),
        ('train_cfg.max_iters=many', ['train_cfg.max_iters=many', 'str', 'int']),
        ('train_cfg.max_iters=1.5', ['float', 'int']),
        ('train_cfg.max_iters=True', ['bool', 'int']),
        ('test_after_train=1', ['int', 'bool']),
        ('optim_wrapper.optimizer.lr=True', ['bool', 'float']),
        ('model.objectives.itc.sources=strict', ['str', 'tuple', '"[strict]"']),
        ('model.objectives=3', ['model.objectives', 'group', 'itc']),
        ('train_cfg.max_iters.x=3', ['train_cfg.max_iters is', 'there is no train_cfg.max_iters.x']),
        ('optim_wrapper.optimizer.betas=(0.8,0.9', ['optim_wrapper.optimizer.betas', 'mbalanced']),
        ('train_cfg.max_iters', ['train_cfg.max_iters', 'key=value']),
        ('=3', ['key=value']),
    ],
)
def test_a_wrong_option_is_an_error_that_helps(cli: ModuleType, tiny: Config, option: str, said: list[str]) -> None:
    before = tiny.to_dict()
    with pytest.raises(cli.CommandLineError) as error:
        cli.apply_options(tiny, [option])
    message = str(error.value)
    assert '\n' not in message
    assert all(part in message for part in said), message
    assert tiny.to_dict() == before


def test_main_turns_its_error_into_one_line_and_code_2(cli: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise cli.CommandLineError('no such thing')

    with pytest.raises(SystemExit) as stop:
        cli.run_main(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == 'error: no such thing\n'


@pytest.mark.parametrize(
    ('error', 'kinds', 'told'),
    [
        (OSError('no\n such  file'), (), 'no such file'),
        (IndexError('row 9'), (IndexError,), 'row 9'),
        (IndexError('row 9'), (), None),
    ],
)
def test_errors_of_chosen_kinds_are_told_in_one_line(
    cli: ModuleType, error: Exception, kinds: tuple[type[Exception], ...], told: str | None
) -> None:
    @cli.in_one_line(*kinds)
    def main() -> None:
        raise error

    with pytest.raises(type(error) if told is None else cli.CommandLineError) as caught:
        main()
    assert told is None or str(caught.value) == told


def test_other_errors_keep_their_traceback(cli: ModuleType) -> None:
    with pytest.raises(ZeroDivisionError):
        cli.run_main(lambda: 1 / 0)


@pytest.fixture
def config_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Parses a command line of train.py or test.py and returns the config it makes."""
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    monkeypatch.setenv('LOCAL_RANK', '0')

    def make(script: str, *arguments: object) -> Config:
        module = tool(monkeypatch, script)
        monkeypatch.setattr(sys, 'argv', [f'{script}.py', *map(str, arguments)])
        args: argparse.Namespace = module.parse_args()
        return module.training_config(args) if script == 'train' else module.test_config(args)

    return make


def test_work_dirs(config_of: Callable[..., Config]) -> None:
    assert config_of('train', TINY).work_dir == 'work_dirs/pretrain_tiny'
    assert config_of('train', TINY, '--work-dir', 'w').work_dir == 'w'
    assert config_of('train', TINY, '--cfg-options', 'work_dir=c').work_dir == 'c'
    assert config_of('test', TINY, 'x.pth').work_dir == 'work_dirs/pretrain_tiny/test'
    assert config_of('test', TINY, 'x.pth', '--work-dir', 'w').work_dir == 'w'
    assert config_of('test', TINY, 'x.pth', '--cfg-options', 'work_dir=c').work_dir == 'c/test'


def test_amp_keeps_the_wrappers_options(config_of: Callable[..., Config]) -> None:
    cfg = config_of('train', TINY, '--amp', '--cfg-options', '+optim_wrapper.accumulative_counts=2')
    plain = Config.fromfile(TINY).optim_wrapper.to_dict()
    assert cfg.optim_wrapper.to_dict() == {**plain, 'accumulative_counts': 2, 'type': 'BFloat16OptimWrapper'}
    already = config_of('train', TINY, '--amp', '--cfg-options', 'optim_wrapper.type=AmpOptimWrapper')
    assert already.optim_wrapper.type == 'AmpOptimWrapper'
    with pytest.raises(ValueError, match='ApexOptimWrapper'):
        config_of('train', TINY, '--amp', '--cfg-options', 'optim_wrapper.type=ApexOptimWrapper')


def test_resume(config_of: Callable[..., Config], tmp_path: Path) -> None:
    cfg = config_of('train', TINY)
    assert (cfg.resume, cfg.load_from) == (False, None)
    cfg = config_of('train', TINY, '--resume', '--work-dir', tmp_path)
    assert (cfg.resume, cfg.load_from) == (True, None)
    # the first start of a job that is always started with --resume begins from the config's weights
    start = ('--resume', '--work-dir', tmp_path, '--cfg-options', 'load_from=start.pth')
    cfg = config_of('train', TINY, *start)
    assert (cfg.resume, cfg.load_from) == (False, 'start.pth')
    torch.save({'state_dict': {'a': torch.zeros(1)}}, tmp_path / 'iter_3.pth')
    cfg = config_of('train', TINY, *start)
    assert (cfg.resume, cfg.load_from) == (True, None)
    cfg = config_of('train', TINY, '--resume', tmp_path / 'iter_3.pth')
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'iter_3.pth'))
    with pytest.raises(ValueError, match='no checkpoint at'):
        config_of('train', TINY, '--resume', tmp_path / 'iter_4.pth')


def test_no_validate_and_auto_scale_lr(config_of: Callable[..., Config]) -> None:
    cfg = config_of('train', TINY, '--no-validate')
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    with pytest.raises(ValueError, match='base_batch_size'):
        config_of('train', TINY, '--auto-scale-lr')
    cfg = config_of('train', TINY, '--auto-scale-lr', '--cfg-options', '+auto_scale_lr.base_batch_size=64')
    assert cfg.auto_scale_lr.to_dict() == {'base_batch_size': 64, 'enable': True}


def test_options_of_the_test(config_of: Callable[..., Config]) -> None:
    cfg = config_of(
        'test',
        TINY,
        'x.pth',
        '--form',
        'roi',
        '--no-rerank',
        '--amp',
        '--out-item',
        'i.jsonl',
        '--show-dir',
        's',
    )
    plain = Config.fromfile(TINY).test_cfg.to_dict()
    assert cfg.test_cfg.to_dict() == {**plain, 'form': 'roi', 'rerank_topk': 0, 'bf16': True}
    (hook,) = cfg.custom_hooks
    assert (hook['out_item'], hook['show_dir']) == ('i.jsonl', 's')
    assert (cfg.resume, cfg.load_from) == (False, 'x.pth')
    cfg = config_of('test', TINY, 'x.pth', '--out-item', 'i', '--cfg-options', 'custom_hooks=None')
    assert cfg.custom_hooks == [dict(type='ReportHook', out_item='i')]
    with pytest.raises(ValueError, match=r'--form.*TestLoop'):
        config_of('test', TINY, 'x.pth', '--form', 'roi', '--cfg-options', 'test_cfg.type=TestLoop')


def test_a_missing_config_is_named_with_what_was_meant(config_of: Callable[..., Config]) -> None:
    with pytest.raises(ValueError, match=r'no config file .*pretrain_tinny.py; did you mean .*pretrain_tiny\.py\?'):
        config_of('train', TINY.with_name('pretrain_tinny.py'))


def test_several_processes_without_a_launcher_are_refused(
    config_of: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(ValueError, match='--launcher pytorch'):
        config_of('train', TINY)


@pytest.mark.parametrize('script', ['train', 'test'])
def test_help_teaches_with_examples(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tool(monkeypatch, script)
    monkeypatch.setattr(sys, 'argv', [f'{script}.py', '--help'])
    with pytest.raises(SystemExit) as stop:
        module.parse_args()
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f'python tools/{script}.py configs/rc3/pretrain_tiny.py' in text
    for word in text.split():
        if word.startswith('configs/') and word.endswith('.py'):
            assert (ROOT / word).is_file(), f'the help names {word}, which is not there'
