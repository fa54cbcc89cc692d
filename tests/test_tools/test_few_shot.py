"""Few-shot tuning: which runs a protocol asks for, what is chosen, what is tabulated; and all of it once, in small."""

import argparse
import importlib
import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine.config import Config

from rc3mm.registry import MODELS
from tests.benchmark_files import make_gqa, make_pairs, make_xvnli
from tests.small_weights import make_jpeg, make_weights, shrink_model

ROOT = Path(__file__).parents[2]
XVNLI, GQA, NLVR2 = (f'configs/{n}_few_shot.py' for n in ('xvnli/xvnli', 'xgqa/gqa', 'marvl/nlvr2'))
LOADERS = [f'{name}_dataloader' for name in ('train', 'val', 'test')]
SHRUNK = [
    '+model.patch_encoder.embed_dim=24',
    '+model.patch_encoder.depth=1',
    '+model.patch_encoder.num_heads=2',
    'model.fusion.width=32',
    'model.fusion.depth=1',
    'model.fusion.heads=2',
    *(f'{loader}.{key}' for loader in LOADERS for key in ('num_workers=0', 'persistent_workers=False')),
]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/few_shot.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return importlib.import_module('few_shot')


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data and weights, named by the environment, and a small English model."""
    root = tmp_path_factory.mktemp('world')
    for make in (make_xvnli, make_gqa, make_pairs):
        list(make(root / 'data/iglue'))
    (root / 'data/images/flickr30k-images').mkdir(parents=True)
    for k in range(6):
        (root / f'data/images/flickr30k-images/{k}.jpg').write_bytes(make_jpeg(k))
    (root / 'weights').mkdir()
    make_weights(root / 'weights')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('RC3MM_DATA', str(root / 'data'))
        patch.setenv('RC3MM_WEIGHTS', str(root / 'weights'))
        model = Config.fromfile(ROOT / XVNLI).model
        shrink_model(model)
        torch.save({'state_dict': MODELS.build(model).state_dict()}, root / 'english.pth')
        yield root


def arguments(config: str, world: Path, **changes: Any) -> argparse.Namespace:
    values = dict(shots=None, seeds=[0, 1], languages=None, learning_rates=None, epochs=None, jobs=1, cfg_options=[])
    return argparse.Namespace(config=str(ROOT / config), finetuned=world / 'english.pth', **{**values, **changes})


def test_a_run_for_each_language_size_seed_and_rate(module: ModuleType, world: Path, tmp_path: Path) -> None:
    args = arguments(XVNLI, world, shots=['0', '1'], languages=['ru', 'fr'])
    cfg = Config.fromfile(args.config)
    plans = module.plan(args, cfg, module.read_protocol(cfg, args), tmp_path)
    # nothing is drawn without shots: one seed will do
    assert [(cell.seed, cell.shots, cell.language, len(runs)) for cell, runs in plans.items()] == [
        *((0, 0, 'ru', 0), (0, 0, 'fr', 0), (0, 1, 'ru', 3), (0, 1, 'fr', 3)),
        *((1, 1, 'ru', 3), (1, 1, 'fr', 3)),
    ]
    run = plans[module.Cell('fr', 1, 1)][2]
    assert run.folder == tmp_path / 'fr/1/1/1e-05' and run.tests == {} and run.checkpoint is None
    assert {
        'test_dataloader.dataset.languages=["fr"]',
        'train_dataloader.dataset.sources.xvnli.shots=1',
        'randomness.seed=1',
        'train_dataloader.sampler.seed=1',
        'train_cfg.max_iters=20',  # 20 epochs of one batch: three hypotheses
        'train_cfg.val_interval=1',
        'default_hooks.checkpoint.save_best=answers/en/accuracy',
        f'load_from={world}/english.pth',
        f'required_files.2.path={world}/english.pth',
        'optim_wrapper.optimizer.lr=1e-05',
    } <= set(run.options)
    digests = [run.digest for runs in plans.values() for run in runs]
    assert len(set(digests)) == len(digests) == 12


@pytest.mark.parametrize(('config', 'shots', 'language'), [(GQA, '5', 'ko'), (NLVR2, '10x2', 'tr'), (NLVR2, '4', 'id')])
def test_options_fit_every_protocol(module: ModuleType, world: Path, config: str, shots: str, language: str) -> None:
    """They change a config as the command line would; the sets with texts for sizes, too."""
    args = arguments(config, world, shots=[shots], languages=[language], seeds=[4])
    cfg = Config.fromfile(args.config)
    protocol = module.read_protocol(cfg, args)
    (cell,) = module.plan(args, cfg, protocol, Path())
    importlib.import_module('cli').apply_options(cfg, module.options_of(cfg, protocol, cell))
    train = cfg.train_dataloader.dataset.sources[cfg.few_shot.source]
    assert (str(train.shots), tuple(train.languages), type(train.shots)) == (shots, (language,), type(cell.shots))
    assert tuple(cfg.test_dataloader.dataset.languages) == (language,)
    assert tuple(cfg.val_dataloader.dataset.languages) == ((language,) if config == GQA else ('en',))
    assert cfg.default_hooks.checkpoint.save_best == f'answers/{language if config == GQA else "en"}/accuracy'
    assert cfg.train_cfg.max_iters == 20 * cfg.train_cfg.val_interval == cfg.param_scheduler[1].end


def test_the_best_on_the_validation_set_is_chosen(module: ModuleType, tmp_path: Path) -> None:
    runs = []
    for name, starts in (('a', [[90.0], [10.0, 30.0]]), ('b', [[20.0, 30.0, 25.0]]), ('c', [[40.0, None]])):
        folder = tmp_path / name
        for number, scores in enumerate(starts):  # what an earlier start had seen counts no more
            (folder / f'{number}/vis_data').mkdir(parents=True)
            lines = [json.dumps({'answers/en/accuracy': score, 'step': k}) for k, score in enumerate(scores)]
            (folder / f'{number}/vis_data/scalars.json').write_text('\n'.join(['{"loss": 1.0}', *lines]))
        for weights in ('best_x_iter_1.pth', 'iter_2.pth'):
            (folder / weights).touch()
        (folder / 'best_checkpoint').write_text(str(folder / 'best_x_iter_1.pth'))
        runs.append(module.Run(name, 0, '', '', [], {}, folder))
        module.drop_last(runs[-1])
        assert [path.name for path in folder.glob('*.pth')] == ['best_x_iter_1.pth']
    best, weights = module.choose(runs, 'answers/en/accuracy')
    assert best is runs[2] and weights == tmp_path / 'c/best_x_iter_1.pth'
    assert list(tmp_path.rglob('*.pth')) == [weights]
    assert module.choose(runs, 'answers/en/accuracy') == (best, weights)  # again, as after an interruption
    assert module.best_score(tmp_path / 'a', 'answers/en/accuracy') == 30.0
    error = importlib.import_module('cli').CommandLineError
    with pytest.raises(error, match='has no answers/fr/accuracy'):
        module.choose(runs, 'answers/fr/accuracy')
    weights.unlink()
    with pytest.raises(error, match='remove the folder to train it again'):
        module.choose(runs, 'answers/en/accuracy')


def test_rows_by_hand(module: ModuleType, tmp_path: Path) -> None:
    values = {('fr', 0, 0): 50.0, ('ru', 0, 0): 40.0, ('fr', 5, 0): 60.0, ('ru', 5, 0): 50.0} | {
        ('fr', 5, 1): 64.0,
        ('ru', 5, 1): 58.0,
    }
    tests = {}
    for (language, shots, seed), value in values.items():
        results = {'test': {f'answers/{language}/accuracy': value}}
        tests[module.Cell(language, shots, seed)] = module.Run('', 0, '', '', [], {}, tmp_path, results)
    metrics = {'accuracy': 'answers/{}/accuracy', 'never': 'answers/{}/none'}
    rows = module.summarise(tests, dict(metrics=metrics, languages=['fr', 'ru'], shots=[0, 5]))
    assert list(rows) == [('fr', 0), ('ru', 0), ('mean', 0), ('fr', 5), ('ru', 5), ('mean', 5)]
    assert rows['fr', 5] == {'accuracy': (62.0, pytest.approx(8**0.5))}
    # the deviation of the mean is that of the seeds' means (55 and 61), not the mean of the deviations
    assert rows['mean', 5]['accuracy'] == (58.0, pytest.approx(18**0.5))
    mean, deviation = rows['mean', 0]['accuracy']
    assert mean == 45.0 and math.isnan(deviation)
    assert module.cell_text(mean, deviation) == '45.00' and module.cell_text(62.0, 8**0.5) == '62.00 ± 2.83'


@pytest.mark.slow
@pytest.mark.usefixtures('warm_scripts')
def test_from_config_to_table(
    world: Path, tmp_path: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    command = [ROOT / XVNLI, '--finetuned', world / 'english.pth', '--work-dir', tmp_path / 'w', '--shots', '5']
    command += ['--languages', 'fr', '--seeds', 3, '--epochs', 1, '--learning-rates', 1e-3, '--jobs', 2]
    command += ['--cfg-options', *SHRUNK]
    monkeypatch.setattr(sys, 'argv', ['few_shot.py', *map(str, command)])
    module.main()
    assert 'accuracy (labelled)' in capsys.readouterr().out
    report = json.loads((tmp_path / 'w/results.json').read_text())
    assert list(report['metrics']) == [
        f'{a}/5/{title}' for a in ('fr', 'mean') for title in ('accuracy', 'accuracy (labelled)')
    ]
    assert set(report['deviations'].values()) == {None}  # one seed has no spread
    assert (report['setting'], report['split'], report['num_items']) == ('few-shot, from the English model', 'test', 18)
    assert [(run['shots'], run['seed'], run['learning_rate']) for run in report['runs']] == [(5, 3, '0.001')]
    checkpoints = [Path(run['checkpoint']) for run in report['runs']]
    assert sorted((tmp_path / 'w').rglob('*.pth')) == sorted(checkpoints)  # those that were not chosen are gone
    table = (tmp_path / 'w/table.md').read_text()
    assert table.startswith('|language|shots|accuracy|accuracy (labelled)|') and '|fr|5|' in table
    log = tmp_path / 'w/fr/5/3/0.001/log.txt'
    size = log.stat().st_size
    module.main()
    assert log.stat().st_size == size  # nothing is run a second time
    assert json.loads((tmp_path / 'w/results.json').read_text()) == report


def test_mistakes_are_named(world: Path, tmp_path: Path, module: ModuleType) -> None:
    error = importlib.import_module('cli').CommandLineError
    cfg = Config.fromfile(ROOT / XVNLI)
    for changes, message in (
        (dict(shots=['7']), '--shots: 7 not among 0, 1, 5, 10, 20, 25, 48'),
        (dict(languages=['fr', 'de']), '--languages: de not among ar, es, fr, ru'),
        (dict(jobs=0), 'must be at least 1'),
    ):
        with pytest.raises(error, match=message):
            module.read_protocol(cfg, arguments(XVNLI, world, **changes))
    with pytest.raises(error, match=r'xvnli\.py has no `few_shot` entry'):
        config = 'configs/xvnli/xvnli.py'
        module.read_protocol(Config.fromfile(ROOT / config), arguments(config, world))
    moved = world / 'data/iglue/XVNLI/annotations/es'
    shutil.move(moved, tmp_path)
    try:
        with pytest.raises(error, match=r'es, 5 shots: there is no .*train_5\.jsonl'):
            module.options_of(cfg, cfg.few_shot.to_dict(), module.Cell('es', 5, 0))
    finally:
        shutil.move(tmp_path / 'es', moved)
