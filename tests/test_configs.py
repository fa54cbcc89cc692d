"""Every config is parsed, built and run in a small variant; metafiles list what is there.

The base config runs on files made on the spot: shard sets with JPEGs, relevance, region features, a small XLM-R with
its tokenizer, and a small ViT.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mmengine.config import Config

import rc3mm.datasets
from rc3mm.datasets.roi import RoiManifest, begin_store, finish_store, write_shard
from rc3mm.datasets.shards import ImageTextRecord, RelevanceWriter, ShardSet, ShardWriter
from rc3mm.datasets.shards.manifest import ShardKind
from rc3mm.registry import MODELS, RUNNERS
from rc3mm.utils import requirements
from rc3mm.utils.requirements import check_required_files
from tests.small_weights import make_jpeg, make_regions, make_weights, shrink_model

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs').rglob('*.py'))
TOP = [path for path in CONFIGS if '_base_' not in path]
PRETRAIN = [path for path in TOP if path.startswith('configs/rc3/')]
LANGUAGES = ('cs', 'de', 'en', 'fr', 'ja', 'zh')
XLMR_BASE = dict(vocab_size=250002, hidden_size=768, num_hidden_layers=12, num_attention_heads=12) | dict(
    intermediate_size=3072, max_position_embeddings=514, type_vocab_size=1
)
SOURCES = ('strict', 'weak', 'parallel')


# ------------------------------------------------------------------------------------- data made on the spot


def make_shards(folder: Path, kind: ShardKind, records: Sequence[ImageTextRecord]) -> ShardSet:
    with ShardWriter(folder, made_of={}, kind=kind) as writer:
        for number, record in enumerate(records):
            writer.add(record, number)
    return ShardSet(folder)


def make_data(root: Path) -> None:
    """The tree that the base config's docstring shows, with six to eight items of each kind."""
    texts = [tuple((language, f'{language} text {k} 犬') for language in LANGUAGES) for k in range(8)]
    images = [make_jpeg(k) for k in range(8)]

    def records(prefix: str, count: int) -> list[ImageTextRecord]:
        return [ImageTextRecord(f'{prefix}{k}', texts[k], images[k]) for k in range(count)]

    make_shards(root / 'cc3m/train', 'strict', records('c', 8))
    make_shards(root / 'cc3m/heldout', 'retrieval', records('h', 6))
    wit = make_shards(root / 'wit/train', 'weak', records('w', 8))
    scores = RelevanceWriter(wit, 'labse', {'name': 'made'})
    scores.write(0, [[(0, 1, 0.1 * k), (1, 5, 0.5)] for k in range(8)])
    scores.finish()
    for place, prefix, count in (('cc3m/regions', 'c', 8), ('cc3m/heldout_regions', 'h', 6), ('wit/regions', 'w', 8)):
        make_regions(root / place, [f'{prefix}{k}' for k in range(count)])
    for a in LANGUAGES:
        for b in LANGUAGES:
            if a < b:
                pairs = [
                    ImageTextRecord(f'{k}', ((a, f'{a} sentence {k}'), (b, f'{b} sentence {k}'))) for k in range(8)
                ]
                make_shards(root / f'wikimatrix/{a}-{b}', 'parallel', pairs)


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders with data and weights, named by the environment."""
    root = tmp_path_factory.mktemp('world')
    make_data(root / 'data')
    (root / 'weights').mkdir()
    make_weights(root / 'weights')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('RC3MM_DATA', str(root / 'data'))
        patch.setenv('RC3MM_WEIGHTS', str(root / 'weights'))
        yield root


# --------------------------------------------------------------------------------------- small variants


def shrink(cfg: Config, iterations: int) -> None:
    """A run of seconds with every source in it."""
    shrink_model(cfg.model)
    loader = cfg.train_dataloader
    loader.update(num_workers=0, persistent_workers=False, pin_memory=False, prefetch_factor=None)
    loader.sampler.update(batch_size=dict.fromkeys(SOURCES, 4), ratios=dict.fromkeys(SOURCES, 1.0))
    evaluations = (cfg.val_dataloader, cfg.test_dataloader)
    for evaluation in evaluations:
        evaluation.update(num_workers=0, batch_size=3)
    if 'required_files' in cfg:
        evaluations[0].dataset.update(stop=3)
        evaluations[1].dataset.update(start=3, stop=6)
    else:
        for dataset in (*loader.dataset.sources.values(), *(e.dataset for e in evaluations)):
            dataset.update(num_scenes=40 if 'split' not in dataset else 6)
        (scorer,) = (step.scorer for step in loader.dataset.sources.weak.pipeline if 'scorer' in step)
        scorer.update(num_sentences=300)
        scorer.corpus.update(num_scenes=300)
    cfg.model.form_probs.update(patch=0.0)  # regions in every batch
    for objective in cfg.model.objectives.values():
        if 'probability' in objective:
            objective.update(probability=1.0)  # at every step, not at some
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.test_cfg.update(rerank_topk=2)
    cfg.default_hooks.checkpoint.update(interval=iterations)
    cfg.default_hooks.logger.update(interval=1)
    cfg.custom_hooks = []  # pictures take longer than the rest and have tests of their own
    cfg.visualizer.vis_backends = cfg.vis_backends[:1]


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, '_is_on_hub', lambda reference: False)


# ------------------------------------------------------------------------------------------- configs


@cache
def source_of(config: str) -> str:
    return (ROOT / config).read_text(encoding='utf-8')


@pytest.mark.parametrize('config', CONFIGS)
def test_parses_and_says_what_it_is(config: str) -> None:
    assert ast.get_docstring(ast.parse(source_of(config))), f'{config} has no docstring'
    cfg = Config.fromfile(ROOT / config)
    assert '<module' not in cfg.pretty_text  # a run stores its config


@pytest.mark.parametrize('config', TOP)
def test_docstring_has_the_command(config: str) -> None:
    docstring = ast.get_docstring(ast.parse(source_of(config))) or ''
    commands = re.findall(r'tools/[\w/]+\.(?:py|sh) .*', docstring)
    assert any(config in command for command in commands), f'{config}: no command in the docstring'


@pytest.mark.parametrize('config', [path for path in CONFIGS if '/models/rc3_' in path])
def test_model_configs_build(config: str, world: Path) -> None:
    cfg = Config.fromfile(ROOT / config)
    shrink_model(cfg.model)
    assert MODELS.build(cfg.model).objectives


@pytest.mark.parametrize('config', PRETRAIN)
def test_runs(config: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config.fromfile(ROOT / config)
    check_required_files(cfg, 'train')
    check_required_files(cfg, 'test')
    shrink(cfg, iterations=7)
    cfg.update(work_dir=str(tmp_path), launcher='none', experiment_name=f'{Path(config).stem}_{tmp_path.name}')
    runner = RUNNERS.build(cfg)
    seen: dict[str, set[str]] = {}
    losses = type(runner.model).losses

    def watch(self: Any, inputs: dict[str, Any], data_samples: list[Any]) -> dict[str, torch.Tensor]:
        found = losses(self, inputs, data_samples)
        seen[data_samples[0].source] = {name for name in found if name.startswith('loss_')}
        return found

    monkeypatch.setattr(type(runner.model), 'losses', watch)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    objectives = runner.model.objectives.items()
    assert seen == {
        source: {
            f'loss_{name}'
            for name, objective in objectives
            if source in objective.sources and source not in getattr(objective, 'strict_sources', ())
        }
        for source in SOURCES
    }
    after = runner.model.state_dict()
    for part in ('text_encoder', 'patch_encoder', 'roi_encoder', 'fusion', 'lm_head'):
        assert any(not torch.equal(before[name], after[name]) for name in after if name.startswith(part)), part
    assert (tmp_path / 'iter_7.pth').is_file()
    assert 0 <= runner.test()['retrieval/mean_R@1'] <= 100


def test_base_config_tells_all_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_hub: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('RC3MM_DATA', str(tmp_path / 'data'))
    monkeypatch.setenv('RC3MM_WEIGHTS', str(tmp_path / 'weights'))
    cfg = Config.fromfile(ROOT / 'configs/rc3/pretrain_base.py')
    with pytest.raises(SystemExit) as stop:
        check_required_files(cfg)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.count(str(tmp_path)) >= 24 and '(24 missing)' in message
    with pytest.raises(SystemExit):
        check_required_files(cfg, 'test')
    assert '(4 missing)' in capsys.readouterr().err
    used = set(re.findall(rf'"{tmp_path}/((?:data/)[^"]+)"', json.dumps(cfg.to_dict(), default=str)))
    assert len(used) == 22 and all(f'{tmp_path}/{path}' in message for path in used)


# ------------------------------------------------------------------------------------------- metafiles


def read_models() -> dict[str, dict[str, Any]]:
    """Config -> entry of the metafiles that model-index.yml imports."""
    found = {}
    for name in yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))['Import']:
        metafile = yaml.safe_load((ROOT / name).read_text(encoding='utf-8'))
        collections = {collection['Name'] for collection in metafile['Collections']}
        for model in metafile['Models']:
            assert model['In Collection'] in collections
            assert model['Config'] not in found
            found[model['Config']] = model
    return found


def test_metafiles_list_every_config() -> None:
    models = read_models()
    plans = ('configs/ablations/', 'configs/suites/', 'configs/benchmarks/')  # what to do with other configs
    assert sorted(models) == [path for path in TOP if not path.startswith(plans)]
    assert len({model['Name'] for model in models.values()}) == len(models)


@pytest.mark.parametrize('config', PRETRAIN)
def test_number_of_parameters(config: str) -> None:
    """In full size, on the meta device: no memory is taken and nothing is loaded."""
    model = Config.fromfile(ROOT / config).model
    model.pop('roi_extractor', None)  # frozen, and its weights would be loaded
    if model.text_encoder.get('pretrained'):
        model.text_encoder = dict(type=model.text_encoder.type, config=XLMR_BASE)
        model.patch_encoder.update(pretrained=False, checkpoint=None)
    with torch.device('meta'):
        built = MODELS.build(model)
    count = sum(parameter.numel() for parameter in built.parameters())
    assert count == read_models()[config]['Metadata']['Parameters'], f'{config} has {count:,} parameters'


# ------------------------------------------------------------------------------------------- ablations


def test_ablation_of_visual_forms_runs(tmp_path: Path) -> None:
    """Each arm trains a few steps and is tested in each of its forms, on stores that the detector made."""
    pytest.importorskip('mmdet')
    cfg = Config.fromfile(ROOT / 'configs/ablations/visual_forms.py')
    extractor = MODELS.build(Config.fromfile(ROOT / 'configs/detectors/faster_rcnn_emoji.py').roi_extractor)
    sources = cfg.train_dataloader.dataset.sources
    for name, dataset in (('strict', sources.strict), ('weak', sources.weak), ('test', cfg.test_dataloader.dataset)):
        count = 6 if name == 'test' else 40
        scenes = rc3mm.datasets.EmojiStrict(
            **{key: value for key, value in dataset.items() if key not in ('type', 'pipeline', 'num_scenes')},
            num_scenes=count,
        )
        samples = [scenes.get_sample(index) for index in range(count)]
        found = extractor.extract([sample['image'] for sample in samples])
        plan = RoiManifest('made', 'head', 256, num_shards=1, shard_size=count, inputs='', num_classes=100)
        begin_store(tmp_path / name, plan)
        write_shard(tmp_path / name, 0, [(s['image_id'], r) for s, r in zip(samples, found, strict=True)])
        finish_store(tmp_path / name)
        dataset.pipeline[0].source.path = str(tmp_path / name)
        dataset.num_scenes = count
    sources.parallel.num_scenes = 40
    (scorer,) = (step.scorer for step in sources.weak.pipeline if 'scorer' in step)
    scorer.update(num_sentences=300)
    scorer.corpus.update(num_scenes=300)
    cfg.train_dataloader.sampler.update(batch_size=dict.fromkeys(SOURCES, 4), ratios=dict.fromkeys(SOURCES, 1.0))
    cfg.train_cfg.max_iters = 4
    cfg.test_cfg.rerank_topk = 2
    cfg.custom_hooks, cfg.visualizer.vis_backends = [], cfg.vis_backends[:1]
    assert list(cfg.ablation.arms) == ['roi', 'patch', 'both', 'sampled']
    for name in cfg.ablation.arms:
        only = {form: float(form == name) for form in ('roi', 'patch', 'both', 'split')}
        cfg.model.form_probs = dict.fromkeys(only, 0.25) if name == 'sampled' else only
        cfg.update(work_dir=str(tmp_path / 'w' / name), launcher='none', experiment_name=f'{name}_{tmp_path.name}')
        runner = RUNNERS.build(cfg)
        runner.train()
        assert runner.model.region_counts['missing'] == 0
        assert (runner.model.region_counts['images'] > 0) == (name != 'patch')
        assert 0 <= runner.test()['retrieval/mean_R@1'] <= 100
