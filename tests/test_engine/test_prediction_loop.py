"""The prediction loop: from a config to metrics, by the real runner."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from rc3mm.registry import RUNNERS

ROOT = Path(__file__).resolve().parents[2]
# items that belong together
CONFIGS = {'xgqa/emoji': 4, 'xgqa/emoji_ranking': 4, 'xvnli/emoji': 3, 'marvl/emoji': 48, 'mmt/emoji': 2}
SUITE = Config.fromfile(str(ROOT / 'configs/suites/emoji_scenes.py')).suite.to_dict()


def small(config: str, folder: Path) -> Config:
    """A configuration of three steps without pre-training, tested on a few items a language."""
    cfg = Config.fromfile(str(ROOT / f'configs/{config}.py'))
    cfg.work_dir, cfg.load_from, cfg.launcher = str(folder), None, 'none'
    cfg.train_cfg.max_iters = 3
    cfg.train_dataloader.sampler.batch_size = 8
    cfg.test_dataloader.dataset.num_items = CONFIGS[config]
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='ReportHook', out_item=str(folder / 'items.jsonl'))]
    return cfg


def check_suite(task: str, cfg: Config, metrics: dict[str, float]) -> None:
    """What the suite wants to tabulate is there, under the setting that it names."""
    entry = SUITE['tasks'][task]
    assert cfg.test_cfg.setting == entry.get('setting', SUITE['setting'])
    for metric in entry['metrics'].values():
        for language in entry.get('languages', ('en', 'de', 'fr', 'cs', 'ja', 'zh')):
            assert metric.format(language) in metrics


def test_retrieval_is_tuned_with_one_text_an_image(tmp_path: Path) -> None:
    cfg = Config.fromfile(str(ROOT / 'configs/retrieval/emoji.py'))
    cfg.work_dir, cfg.load_from, cfg.launcher = str(tmp_path), None, 'none'
    cfg.train_cfg.max_iters = 2
    cfg.train_dataloader.sampler.batch_size = 4
    cfg.test_dataloader.dataset.num_scenes = 4
    runner = RUNNERS.build(cfg)
    runner.train()
    check_suite('retrieval', cfg, runner.test())


@pytest.mark.parametrize('config', CONFIGS)
def test_train_and_test(config: str, tmp_path: Path) -> None:
    cfg, (task, _) = small(config, tmp_path), config.split('/')
    runner = RUNNERS.build(cfg)
    runner.train()
    metrics = runner.test()
    languages = ('de', 'fr', 'cs') if task == 'mmt' else ('en', 'de', 'fr', 'cs', 'ja', 'zh')
    check_suite(task, cfg, metrics)
    prefix, name = ('translation', 'bleu') if task == 'mmt' else ('answers', 'accuracy')
    for language in languages:
        assert metrics[f'{prefix}/{language}/num_items'] == CONFIGS[config]
        assert 0 <= metrics[f'{prefix}/{language}/{name}'] <= 100
    assert f'{prefix}/mean_{name}' in metrics
    written: dict[str, Any] = json.loads((tmp_path / 'results.json').read_text())
    assert written['metrics'] == pytest.approx(metrics) and written['split'] == 'test'
    assert (tmp_path / 'gallery.png').stat().st_size > 5000
    table = (tmp_path / 'results.md').read_text()
    assert all(f'|{language}|' in table for language in languages) and '**mean w/o en**' in table
    items = [json.loads(line) for line in (tmp_path / 'items.jsonl').read_text().splitlines()]
    dataset = runner.test_loop.dataloader.dataset
    assert len(items) == len(dataset) == CONFIGS[config] * len(languages)
    for item in items:
        sample = dataset.get_sample(item['number'])
        assert sample['item_id'] == item['item_id'] and sample['texts'][0][1] == item['text']
