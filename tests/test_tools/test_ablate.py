"""An ablation trains each arm with each seed, tests it, tabulates, and goes on where it stopped."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.conftest import WarmLauncher

ROOT = Path(__file__).parents[2]

CONFIG = """
from mmengine.config import read_base

with read_base():
    from .rc3.pretrain_tiny import *

ablation = dict(
    prepare=[['-c', 'print("prepared")']],
    seeds=[0, 1],
    arms=dict(
        sampled=dict(
            options=['model.form_probs.patch=0.0'],
            tests=dict(roi=['+test_cfg.form=roi'], patch=['+test_cfg.form=patch']),
        ),
    ),
    metrics={'R@1': 'retrieval/mean_R@1', 'ITC': 'loss_itc', 'never': 'loss_none'},
)
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/ablate.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return importlib.import_module('ablate')


def test_rows_are_means_over_the_seeds(module: ModuleType, tmp_path: Path) -> None:
    runs = []
    for seed, (a, b) in enumerate([(10.0, 1.0), (20.0, 3.0)]):
        runs.append(module.Run('one', seed, 'c', 'd', [], {'x': []}, tmp_path, {'x': {'m': a}}, {'loss_l': b}))
        runs.append(
            module.Run('two', seed, 'c', 'd', [], {'x': [], 'y': []}, tmp_path, {'x': {'m': b}, 'y': {'m': a}}, {})
        )
    rows = module.summarise(runs, {'M': 'm', 'L': 'loss_l', 'none': 'k'})
    deviation = pytest.approx(50**0.5)
    assert rows == {
        'one': {'M': (15.0, deviation), 'L': (2.0, pytest.approx(2**0.5))},
        'two, tested as x': {'M': (2.0, pytest.approx(2**0.5))},
        'two, tested as y': {'M': (15.0, deviation)},
    }
    assert module.cell_text((15.0, 7.07), 3) == '15.0 ± 7.1' and module.cell_text((0.5, 0.01), 2) == '0.500 ± 0.010'
    assert module.cell_text((15.0, 0.0), 1) == '15.0' and module.cell_text(None, 2) == '-'


def test_arms_may_have_configs_and_seeds_of_their_own(module: ModuleType, tmp_path: Path) -> None:
    other = 'configs/ablations/weak_pairs_arms/soft_target.py'
    ablation = dict(seeds=[0, 1], arms=dict(base=dict(), other=dict(config=other, seeds=[1], options=['a=1'])))
    args = SimpleNamespace(arms=None, seeds=None, cfg_options=['b=2'], config='configs/ablations/weak_pairs.py')
    runs = module.plan_runs(args, ablation, tmp_path)
    assert [(run.name, run.seed) for run in runs] == [('base', 0), ('base', 1), ('other', 1)]
    assert [Path(run.config).name for run in runs] == ['weak_pairs.py', 'weak_pairs.py', 'soft_target.py']
    assert runs[2].options == ['b=2', 'randomness.seed=1', 'train_dataloader.sampler.seed=1', 'a=1']
    assert all(run.tests == {'test': []} for run in runs) and runs[2].folder == tmp_path / 'other/1'
    # what stands for a run is found before any of them starts, is that of no other, and is the same the next time
    assert len({run.digest for run in runs}) == 3
    assert [run.digest for run in module.plan_runs(args, ablation, tmp_path)] == [run.digest for run in runs]
    args.seeds = [7]
    assert [(run.name, run.seed) for run in module.plan_runs(args, ablation, tmp_path)] == [('base', 7), ('other', 7)]


def test_report_by_language_and_with_curves(module: ModuleType, tmp_path: Path) -> None:
    def run(arm: str, seed: int, value: float) -> Any:
        metrics = {'de/m': value, 'zh/m': value + 1, 'at_0': value / 10, 'at_1': value / 5}
        return module.Run(arm, seed, 'c', 'd', [], {'test': []}, tmp_path, {'test': metrics}, {})

    runs = [run('one', 0, 2.0), run('one', 1, 4.0), run('two', 0, 5.0)]
    metrics = {'M': 'de/m'}
    curve = dict(points={'at_1': 1.0, 'at_0': 0.0, 'at_2': 2.0}, arms=['one', 'two', 'three'], x='r', y='s')
    ablation = dict(metrics=metrics, by_language={'M by language': '{}/m'}, curves={'line': curve})
    module.write_report(module.summarise(runs, metrics), ablation, runs, tmp_path)
    lines = (tmp_path / 'table.md').read_text().splitlines()
    assert '|one|2|3.000 ± 1.414|' in lines and '|two|1|5.000|' in lines
    assert '**M by language**' in lines and '|two|-|5.000|-|-|-|6.000|' in lines
    assert (tmp_path / 'line.png').stat().st_size > 5000


@pytest.mark.slow
def test_from_config_to_table(
    configs: Path,
    tmp_path: Path,
    shrunk: Callable[..., list[str]],
    module: ModuleType,
    warm_scripts: WarmLauncher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = configs / 'tiny_ablation.py'
    config.write_text(CONFIG)
    arguments = [config, '--work-dir', tmp_path / 'w', '--seeds', '3', '--cfg-options', *shrunk(4)]
    monkeypatch.setattr(sys, 'argv', ['ablate.py', *map(str, arguments)])
    module.main()
    report = json.loads((tmp_path / 'w/results.json').read_text())
    assert list(report['rows']) == ['sampled, tested as roi', 'sampled, tested as patch']
    for row in report['rows'].values():
        assert 0 <= row['R@1'][0] <= 100 and row['R@1'][1] == 0 and 'never' not in row
    itc = report['runs'][0]['losses']['loss_itc']
    assert report['rows']['sampled, tested as roi']['ITC'] == [itc, 0] and itc > 0
    table = (tmp_path / 'w/table.md').read_text()
    assert table.count('\n|') == 3 and 'seeds [3]' in table and '|-|' in table
    assert (tmp_path / 'w/chart.png').stat().st_size > 5000
    log = tmp_path / 'w/sampled/3/log.txt'
    for option in ('randomness.seed=3', 'train_dataloader.sampler.seed=3', 'model.form_probs.patch=0.0'):
        assert option in log.read_text()

    # again: nothing is trained or tested a second time
    size = log.stat().st_size
    module.main()
    assert log.stat().st_size == size and json.loads((tmp_path / 'w/results.json').read_text()) == report
    # but never taken for a run with other options
    sys.argv.append('optim_wrapper.optimizer.lr=1e-5')
    error = importlib.import_module('cli').CommandLineError
    with pytest.raises(error, match='holds a run of another config or other options'):
        module.main()


def test_mistakes_are_named(warm: WarmLauncher, configs: Path, tmp_path: Path) -> None:
    done = warm('ablate.py', 'configs/rc3/pretrain_tiny.py')
    assert done.code == 2 and 'has no `ablation` entry' in done.output
    config = configs / 'tiny_ablation_2.py'
    config.write_text(CONFIG.replace('print("prepared")', 'raise SystemExit(3)'))
    done = warm('ablate.py', config, '--work-dir', tmp_path / 'w')
    assert done.code == 2 and 'ended with code 3' in done.output
    done = warm('ablate.py', config, '--arms', 'sampld')
    assert done.code == 2 and "unknown ['sampld']" in done.output
