"""Configs of the published tasks: each tunes and tests, in small, on files made on the spot in the official layouts."""

import importlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from rc3mm.registry import DATASETS, MODELS, RUNNERS
from rc3mm.utils import requirements
from rc3mm.utils.requirements import check_required_files
from tests.benchmark_files import make_benchmarks
from tests.small_weights import make_weights, shrink_model

ROOT = Path(__file__).resolve().parents[1]
TASKS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ('retrieval', 'xvnli', 'xgqa', 'marvl', 'mmt')
    for path in (ROOT / 'configs' / folder).glob('*.py')
    if not path.stem.startswith('emoji')
)
FEW_SHOT = [path for path in TASKS if path.endswith('_few_shot.py')]
IGLUE = {'xvnli': (2e-5, 128, 10), 'gqa': (4e-5, 256, 5), 'nlvr2': (1e-5, 64, 20), 'xflickrco': (2e-5, 64, 10)} | {
    'wit': (2e-5, 64, 2)
}
# one or two metrics that each test must have
RETRIEVED = ('mean_R@1', 'itm_mean_R@1')
METRICS = {
    'xvnli/xvnli': {'answers/fr/accuracy', 'answers/en/accuracy_labelled', 'answers/mean_accuracy'},
    'xvnli/xvnli_roi': {'answers/fr/accuracy', 'answers/mean_accuracy_labelled'},
    'xvnli/xvnli_translate_test': {'answers/fr/accuracy', 'answers/mean_accuracy'},
    'xvnli/xvnli_few_shot': {'answers/fr/accuracy', 'answers/fr/accuracy_labelled'},
    'xgqa/gqa': {'answers/en/accuracy', 'answers/de/accuracy', 'answers/mean_accuracy'},
    'xgqa/gqa_ranking': {'answers/en/accuracy', 'answers/de/accuracy', 'answers/mean_accuracy'},
    'xgqa/gqa_translate_test': {'answers/zh/accuracy', 'answers/mean_accuracy'},
    'xgqa/gqa_few_shot': {'answers/de/accuracy'},
    'marvl/nlvr2': {'marvl/answers/mean_consistency', 'marvl/answers/zh/accuracy', 'nlvr2/answers/en/accuracy'},
    'marvl/nlvr2_translate_test': {'answers/zh/accuracy', 'answers/mean_accuracy'},
    'marvl/nlvr2_few_shot': {'answers/zh/accuracy', 'answers/zh/consistency'},
    'retrieval/xflickrco': {'xflickrco/retrieval/itm_mean_R@1', 'flickr30k/retrieval/en/itm_t2i_R@1'},
    'retrieval/xflickrco_translate_test': {'retrieval/de/itm_i2t_R@1', 'retrieval/itm_mean_R@1'},
    'retrieval/xflickrco_few_shot': {'retrieval/de/itm_t2i_R@1'},
    'retrieval/wit': {'ja/retrieval/ja/itm_t2i_R@1', 'en/retrieval/en/t2i_R@1', 'wit/retrieval/mean/itm_t2i_R@1'},
    'retrieval/wit_translate_test': {'ja/retrieval/ja/itm_t2i_R@1', 'wit/retrieval/itm_mean_R@1'},
    'retrieval/multi30k': {'retrieval/cs/itm_t2i_R@1', 'retrieval/mean_R@1'},
    'retrieval/multi30k_multilingual': {'retrieval/cs/itm_t2i_R@1', 'retrieval/mean_R@1'},
    'retrieval/mscoco': {'all/retrieval/ja/itm_t2i_R@1', 'coco_cn/retrieval/zh/i2t_R@1'},
    'retrieval/mscoco_multilingual': {'all/retrieval/ja/itm_t2i_R@1', 'coco_cn/retrieval/zh/i2t_R@1'},
    'mmt/multi30k': {'test_2016_flickr/translation/cs/bleu', 'test_2017_mscoco/translation/mean_bleu'},
}


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders with data and weights, named by the environment; a small pre-trained model among the weights."""
    root = tmp_path_factory.mktemp('world')
    make_benchmarks(root / 'data')
    (root / 'weights').mkdir()
    make_weights(root / 'weights')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('RC3MM_DATA', str(root / 'data'))
        patch.setenv('RC3MM_WEIGHTS', str(root / 'weights'))
        model = Config.fromfile(ROOT / 'configs/_base_/models/rc3_base.py').model
        shrink_model(model)
        torch.manual_seed(0)
        torch.save({'state_dict': MODELS.build(model).state_dict()}, root / 'weights/rc3_base.pth')
        for config in FEW_SHOT:
            shutil.copy(root / 'weights/rc3_base.pth', Config.fromfile(ROOT / config).load_from)
        yield root


# --------------------------------------------------------------------------------------- small variants


def loaders_of(entry: Any) -> list[Any]:
    """The one loader, or those of the parts."""
    return [entry] if 'dataset' in entry else list(entry.values())


def shrink(cfg: Config, iterations: int = 3) -> None:
    """A run of seconds with every part of the test in it, but the folds of MSCOCO, which must have 5,000 images."""
    shrink_model(cfg.model)
    for name in [name for name in cfg.test_dataloader if name.startswith('fold')]:
        for entry in (cfg.test_dataloader, cfg.test_evaluator, cfg.test_cfg.parts):
            del entry[name]
        cfg.test_cfg.pop('means', None)
    for loader in (cfg.train_dataloader, *loaders_of(cfg.val_dataloader), *loaders_of(cfg.test_dataloader)):
        loader.update(num_workers=0, persistent_workers=False, pin_memory=False)
    cfg.train_dataloader.sampler.update(batch_size=4)
    if 'search' in cfg.model:
        cfg.model.search.update(beams=2, max_length=6)
    for loop in (cfg.val_cfg, cfg.test_cfg, *cfg.test_cfg.get('parts', {}).values()):
        if 'rerank_topk' in loop:
            loop.update(rerank_topk=2)
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.param_scheduler[0].update(end=1)
    cfg.param_scheduler[1].update(begin=1, end=iterations)
    cfg.default_hooks.checkpoint.update(interval=iterations)
    cfg.default_hooks.logger.update(interval=1)
    cfg.custom_hooks = []  # pictures take longer than the rest and have tests of their own
    cfg.visualizer.vis_backends = cfg.vis_backends[:1]


# ------------------------------------------------------------------------------------------- configs


def test_every_config_is_run_below() -> None:
    assert {f'configs/{name}.py' for name in METRICS} == set(TASKS)


@pytest.mark.parametrize('name', METRICS)
def test_runs(name: str, world: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    check_required_files(cfg, 'train')
    check_required_files(cfg, 'test')
    shrink(cfg)
    cfg.update(work_dir=str(tmp_path), launcher='none', experiment_name=f'{Path(name).name}_{tmp_path.name}')
    runner = RUNNERS.build(cfg)
    runner.train()
    start = torch.load(cfg.load_from)['state_dict']
    after = runner.model.state_dict()
    shared = [key for key in start if key in after]
    for part in ('text_encoder', 'patch_encoder', 'fusion'):
        moved = [float((after[key] - start[key]).abs().max()) for key in shared if key.startswith(part)]
        assert 0 < max(moved) < 0.01, f'{part}: {max(moved)}'  # tuned, from these weights
    metric = cfg.default_hooks.checkpoint.save_best
    assert [path.name for path in tmp_path.glob('best_*.pth')] == [f'best_{metric}_iter_3.pth'.replace('/', '_')]
    found = runner.test()
    assert METRICS[name] <= found.keys(), sorted(found)
    assert all(0 <= value <= 100 for key, value in found.items() if '/num_' not in key)


def noting(method: Callable[..., Any], read: set[str]) -> Callable[..., Any]:
    """A method of paths that notes whose it was."""

    def noted(path: Path, *args: Any, **more: Any) -> Any:
        read.add(str(path))
        return method(path, *args, **more)

    return noted


@pytest.mark.parametrize('config', TASKS)
def test_required_files_are_all_that_is_read(config: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No annotation file is read that the message about missing files would not name."""
    cfg = Config.fromfile(ROOT / config)
    read: set[str] = set()
    for method in ('open', 'read_bytes', 'read_text'):
        monkeypatch.setattr(Path, method, noting(getattr(Path, method), read))
    loaders = {
        'train': [*cfg.train_dataloader.dataset.sources.values(), cfg.val_dataloader.dataset],
        'test': [loader.dataset for loader in loaders_of(cfg.test_dataloader) if 'fold' not in loader.dataset],
    }
    for phase, datasets in loaders.items():
        read.clear()
        for dataset in datasets:
            DATASETS.build({**dataset, 'pipeline': ()})
        named = [entry for entry in cfg.required_files if phase in entry.get('phases', (phase,))]
        paths = [path for entry in named for path in ([entry.path] if isinstance(entry.path, str) else entry.path)]
        lacking = [file for file in read if not any(file.startswith(path) for path in paths)]
        assert [file for file in lacking if 'image_splits' not in file] == [], f'{phase}: not in required_files'


@pytest.mark.parametrize('config', TASKS)
def test_zero_shot_sees_english_alone(config: str) -> None:
    """What is called zero-shot is tuned and selected on English; nothing is tuned or selected on a test split."""
    cfg = Config.fromfile(ROOT / config)
    seen = [*cfg.train_dataloader.dataset.sources.values(), cfg.val_dataloader.dataset]
    assert not any(dataset.split.startswith('test') for dataset in seen)
    assert all(loader.dataset.split.startswith('test') for loader in loaders_of(cfg.test_dataloader))
    languages = {language for dataset in seen for language in dataset.get('languages', ('en',))}
    english = 'selected on English' in cfg.test_cfg.setting
    assert english == (languages == {'en'}) and ('zero-shot' not in cfg.test_cfg.setting or english)


@pytest.mark.parametrize('config', TASKS)
def test_arithmetic_of_iterations(config: str) -> None:
    """The comment's sum is right and gives the length; warm-up, decay and interval fit it; IGLUE's settings hold."""
    cfg = Config.fromfile(ROOT / config)
    length = cfg.train_cfg.max_iters
    warm_up, decay = cfg.param_scheduler
    assert warm_up.end == decay.begin == length // 10 and decay.end == length
    assert length % cfg.train_cfg.val_interval == 0 and length % cfg.default_hooks.checkpoint.interval == 0
    optimizer, batch = cfg.optim_wrapper.optimizer, cfg.train_dataloader.sampler.batch_size
    assert optimizer.weight_decay == 1e-4 and cfg.optim_wrapper.clip_grad.max_norm == 1.0
    source = (ROOT / config).read_text(encoding='utf-8')
    for epochs, items, size, result in re.findall(r'(\d+) \* ([\d,]+) / (\d+) = ([\d,]+)', source):
        steps = int(result.replace(',', ''))
        assert steps == round(int(epochs) * int(items.replace(',', '')) / int(size)) and int(size) == batch
        assert steps <= length <= steps * 1.002
        if settings := IGLUE.get(Path(config).stem):
            assert settings == (optimizer.lr, batch, int(epochs))
    for epochs, steps in re.findall(r': (\d+) \* (\d+)\n', source):
        assert config in FEW_SHOT and int(epochs) * int(steps) == length
        assert (int(epochs), int(steps)) == (cfg.few_shot.epochs, cfg.train_cfg.val_interval)


@pytest.mark.parametrize('config', FEW_SHOT)
def test_few_shot_protocols(config: str) -> None:
    cfg = Config.fromfile(ROOT / config)
    protocol, train = cfg.few_shot, cfg.train_dataloader.dataset.sources[cfg.few_shot.source]
    assert set(protocol.shots) <= set(train.type.known_shots) and train.shots in protocol.shots
    assert set(protocol.languages) <= set(train.type.known_languages) - {'en'}
    assert (protocol.epochs, protocol.learning_rates) == (20, [1e-4, 5e-5, 1e-5])
    batches = {'xvnli': 16, 'gqa': 16, 'nlvr2': 8, 'retrieval': 4}
    assert cfg.train_dataloader.sampler.batch_size == batches[protocol.source]
    assert cfg.default_hooks.checkpoint.save_best == protocol.select.format(*train.languages)


@pytest.mark.parametrize('config', TASKS)
def test_tells_all_that_is_missing(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, '_is_on_hub', lambda reference: False)
    monkeypatch.setenv('RC3MM_DATA', str(tmp_path / 'data'))
    monkeypatch.setenv('RC3MM_WEIGHTS', str(tmp_path / 'weights'))
    cfg = Config.fromfile(ROOT / config)
    for phase, own in (('train', True), ('test', False)):
        with pytest.raises(SystemExit) as stop:
            check_required_files(cfg, phase)
        message = capsys.readouterr().err
        assert stop.value.code == 2 and (cfg.load_from in message) == own
        datasets = cfg.train_dataloader if own else cfg.test_dataloader
        roots = set(re.findall(r'"(?:ann_root|image_root)": "([^"]+)"', json.dumps(datasets.to_dict(), default=str)))
        assert roots and all(root in message for root in roots)


@pytest.mark.parametrize('config', ['configs/xgqa/gqa.py', 'configs/retrieval/wit.py', 'configs/marvl/nlvr2.py'])
def test_data_can_be_checked(
    config: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of the documents looks at the sets that are loaded, and at no half of a set that a config names."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setattr(sys, 'argv', ['check_benchmarks.py', str(ROOT / config), '--allow', 'counts', 'duplicate_ids'])
    monkeypatch.setenv('COLUMNS', '400')
    importlib.import_module('check_benchmarks').main()
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1].startswith('all as published')
    assert set(re.findall(r'^(\w+_dataloader)', shown, flags=re.M)) == {
        f'{n}_dataloader' for n in ('train', 'val', 'test')
    }
