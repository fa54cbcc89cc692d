"""The benchmarks' configs in small: they build, step, and the fast and the plain one have the same losses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from rc3mm.datasets.collate import vl_collate
from rc3mm.registry import DATA_SAMPLERS, DATASETS, MODELS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(path.stem for path in (ROOT / 'configs/benchmarks').glob('*.py'))
TEXT = dict(vocab_size=6000, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64) | dict(
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
)


def small(name: str) -> Config:
    """A benchmark's config with narrow layers and small images."""
    cfg = Config.fromfile(ROOT / f'configs/benchmarks/{name}.py')
    model = cfg.model
    model.text_encoder.config.update(TEXT)
    model.patch_encoder.update(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2)
    model.fusion.update(width=32, depth=1, heads=2, dropout=0.0)
    for key, objective in model.objectives.items():
        if key in ('itm', 'mrm'):
            objective.update(width=32)
    regions = dict(feature_dim=16, num_classes=11)
    if model.roi_encoder:
        model.roi_encoder.update(feature_dim=16)
        model.objectives.mrm.update(regions)
    for dataset in cfg.train_dataloader.dataset.sources.values():
        dataset.update(vocab_size=6000, num_items=64)
        if dataset.get('regions'):
            dataset.update(regions=4, **regions)
        if dataset.get('image_size', 224):
            dataset.update(image_size=32)
    return cfg


def build(name: str) -> Any:
    torch.manual_seed(0)
    return MODELS.build(small(name).model).train()


def batches(name: str) -> dict[str, Any]:
    """A batch of each source."""
    loader = small(name).train_dataloader
    dataset = DATASETS.build(loader.dataset)
    sampler = DATA_SAMPLERS.build(dict(loader.sampler), default_args=dict(dataset=dataset))
    found: dict[str, Any] = {}
    for draws in sampler:
        found.setdefault(sampler.names[draws[0].source], vl_collate(dataset[draws]))
        if len(found) == len(sampler.names):
            return found
    raise AssertionError('the sampler ended')


@pytest.mark.parametrize('name', CONFIGS)
def test_steps(name: str) -> None:
    model = build(name)
    wrapper = build_optim_wrapper(model, small(name).optim_wrapper)
    for source, batch in batches(name).items():
        logged = model.train_step(batch, wrapper)
        assert torch.isfinite(logged['loss']), source


@pytest.mark.parametrize('source', ['strict', 'weak', 'parallel'])
def test_the_fast_step_has_the_losses_of_the_plain_one(source: str) -> None:
    found = []
    for name in ('step_base', 'step_base_plain'):
        model, batch = build(name), batches('step_base_plain')[source]
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        found.append({key: float(value.detach()) for key, value in losses.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5, abs=1e-5)


def test_the_cases_shapes() -> None:
    """What the peer's step was measured at."""
    cfg = Config.fromfile(ROOT / 'configs/benchmarks/step_cclm.py')
    text, fusion = cfg.model.text_encoder.config, cfg.model.fusion
    assert (text.vocab_size, text.num_hidden_layers, fusion.depth, fusion.width) == (250_002, 6, 6, 768)
    assert cfg.train_dataloader.sampler.batch_size == 8
    (pairs,) = cfg.train_dataloader.dataset.sources.values()
    assert (min(pairs.caption_lengths), max(pairs.caption_lengths), pairs.image_size) == (8, 40, 224)
    assert set(cfg.model.objectives) == {'itc', 'itm', 'mlm', 'xlco'} and cfg.model.objectives.itm.texts == 1


def test_all_benchmarks_in_one_command(warm: Any, tmp_path: Path) -> None:
    options = ['model.text_encoder.config.num_hidden_layers=1', 'model.text_encoder.config.vocab_size=6000']
    options += ['model.patch_encoder.depth=1', 'model.fusion.depth=1']
    options += ['train_dataloader.dataset.sources.strict.vocab_size=6000', 'train_dataloader.sampler.batch_size=2']
    command = ['benchmarks/run_all.py', '--only', 'step_cclm', '--steps', '1', '--batches', '1', '--out', str(tmp_path)]
    done = warm(*command, '--cfg-options', *options)
    assert done.code == 0, done.output[-2000:]
    (line,) = (tmp_path / 'results.jsonl').read_text(encoding='utf-8').splitlines()
    assert json.loads(line)['config'].endswith('step_cclm.py')
    assert 'step_cclm' in (tmp_path / 'table.md').read_text(encoding='utf-8')
    assert (tmp_path / 'step.png').stat().st_size > 1000
