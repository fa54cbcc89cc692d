"""Means over the parts of a suite, and its report: that of each part is the one it has alone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from rc3mm.registry import RUNNERS

ROOT = Path(__file__).resolve().parents[2]


def config_of(task: str, folder: Path, **changes: Any) -> Config:
    """A task on EmojiScenes, untrained, tested on a few items."""
    cfg = Config.fromfile(str(ROOT / f'configs/{task}/emoji.py'))
    cfg.work_dir, cfg.load_from, cfg.launcher = str(folder), None, 'none'
    cfg.train_dataloader = cfg.train_cfg = cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.experiment_name = f'{task}_{folder.name}'
    cfg.test_dataloader.dataset.update(changes)
    cfg.custom_hooks = [dict(type='ReportHook', gallery_rows=1, out_item=str(folder / 'items.jsonl'))]
    cfg.visualizer.vis_backends = cfg.vis_backends[:1]
    return cfg


def as_suite(cfg: Config, parts: dict[str, dict[str, Any]], **means: list[str]) -> Config:
    """The same test with several datasets, which differ by some arguments."""
    loader, loop, metrics = cfg.test_dataloader.to_dict(), cfg.test_cfg.to_dict(), cfg.test_evaluator
    cfg.test_dataloader = {name: {**loader, 'dataset': {**loader['dataset'], **own}} for name, own in parts.items()}
    cfg.test_evaluator = dict.fromkeys(parts, metrics)
    cfg.test_cfg = dict(type='EvaluationSuite', parts=dict.fromkeys(parts, loop), means=means, setting='zero-shot')
    return cfg


def results_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'results.json').read_text(encoding='utf-8'))


def test_one_language_a_part_gives_the_mean_of_all_together(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    languages = ('en', 'de', 'ja')
    small = dict(num_scenes=6, languages=languages)
    together = RUNNERS.build(config_of('retrieval', tmp_path / 'together', **small)).test()
    cfg = config_of('retrieval', tmp_path / 'apart', **small)
    parts = {code: dict(languages=(code,)) for code in languages}
    apart = RUNNERS.build(as_suite(cfg, parts, others=['de', 'ja'])).test()
    for name, value in together.items():
        language = name.split('/')[1]
        known = f'{language}/{name}' if language in languages else f'others/{name}'
        assert apart[known] == pytest.approx(value), name
    assert not any(name.startswith('others/') and 'num_' in name for name in apart)
    table = (tmp_path / 'apart/results.md').read_text()
    (row,) = re.findall(r'^\|\*\*mean w/o en.*$', (tmp_path / 'together/results.md').read_text(), flags=re.MULTILINE)
    assert re.search(r'\*\*others, mean over de, ja, zero-shot.*, split test, 12 images', table)
    recalls = row.split('|**-**')[0]  # together there are no counts either, only columns for them
    assert recalls in table.partition('others, mean over')[2]
    assert 'others, mean over de, ja' in capsys.readouterr().out


def test_each_translation_part_is_reported_as_it_is_alone(tmp_path: Path) -> None:
    RUNNERS.build(config_of('mmt', tmp_path / 'alone', num_items=2)).test()
    parts = dict(known=dict(split='test'), tuned=dict(split='val'))
    metrics = RUNNERS.build(as_suite(config_of('mmt', tmp_path / 'suite', num_items=2), parts, both=list(parts))).test()
    alone, suite = results_of(tmp_path / 'alone'), results_of(tmp_path / 'suite')
    assert {f'known/{name}': text for name, text in alone['signatures'].items()}.items() <= suite['signatures'].items()
    assert set(suite['signatures']) <= metrics.keys() and 'nrefs:1' in suite['signatures']['tuned/translation/de/bleu']
    assert metrics['both/translation/de/chrf'] == pytest.approx(
        (metrics['known/translation/de/chrf'] + metrics['tuned/translation/de/chrf']) / 2
    )

    table = (tmp_path / 'suite/results.md').read_text()
    assert (tmp_path / 'alone/results.md').read_text().partition('\n')[2] in table
    assert re.findall(r'^\*\*(.*)\*\*$', table, flags=re.MULTILINE)[1].startswith('tuned, ')
    assert 'both, mean over known, tuned' in table and ', split val' in table
    items = [json.loads(line) for line in (tmp_path / 'suite/items.jsonl').read_text().splitlines()]
    own = [json.loads(line) for line in (tmp_path / 'alone/items.jsonl').read_text().splitlines()]
    assert [item for item in items if item['part'] == 'known'] == [{'part': 'known', **item} for item in own]
    assert {item['part'] for item in items} == {'known', 'tuned'} and len(items) == 2 * len(own)
    assert all((tmp_path / f'suite/gallery_{part}.png').stat().st_size > 5000 for part in parts)


@pytest.mark.parametrize(
    ('means', 'said'),
    [
        (dict(de=['en', 'de']), r"means\['de'\] has the name of a part"),
        (dict(all=['de', 'fr']), r"names \['fr'\], but the parts are \['en', 'de', 'many', 'other'\]"),
        (dict(all=[]), 'must name parts, each once'),
        (dict(all=['de', 'de']), 'must name parts, each once'),
        (dict(all=['de', 'other']), r"the parts \['de', 'other'\] share no metric"),
        (dict(all=['en', 'de']), 'no mean over languages; .* They have en: none; de: de'),
        (dict(all=['many', 'de']), 'no mean over languages; .* They have many: de ja; de: de'),
    ],
)
def test_a_mean_that_cannot_be_is_refused_before_anything_is_evaluated(
    tmp_path: Path, means: dict[str, list[str]], said: str
) -> None:
    parts = {'en': ('en',), 'de': ('de',), 'many': ('en', 'de', 'ja'), 'other': ('de',)}
    cfg = config_of('retrieval', tmp_path, num_scenes=2)
    cfg = as_suite(cfg, {name: dict(languages=languages) for name, languages in parts.items()}, **means)
    cfg.test_evaluator['other'] = [dict(type='ProximityMetric')]
    runner = RUNNERS.build(cfg)
    with pytest.raises(ValueError, match=said):
        runner.test()
