"""tools/check_benchmarks.py: tables of all benchmarks of a config, and when it says no."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_datasets.test_benchmarks.making import (
    flickr_line,
    wit_line,
    write_image,
    write_lines,
    xvnli_line,
    xvnli_root,
)

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str]]
CONFIG = """
places = dict(ann_root='{root}', image_root='{root}/img')
test_dataloader = dict(dataset=dict(type='WITRetrieval', languages=['ko'], pipeline=[dict(type='Nothing')], **places))
val_dataloader = test_dataloader
train_dataloader = dict(dataset=dict(type='MixedSources', sources=dict(
    one=dict(type='XVNLI', languages=['fr'], split='train', shots=1, **places))))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Korean WIT of three images, one of which is missing, and XVNLI's single shot."""
    write_lines(tmp_path / 'wit/annotations/test_ko.jsonl', [wit_line(k, 'a', 'ko') for k in (0, 1, 2, 2)])
    write_lines(tmp_path / 'XVNLI/annotations/fr/train_1.jsonl', [xvnli_line(k) for k in range(3)])
    for name in ('wit-test_0.jpg', 'wit-test_2.jpg', 'flickr30k-images/0.jpg'):
        write_image(tmp_path / 'img' / name)
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=tmp_path))
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    """Runs the tool as its script does: exit code and all that it printed."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setenv('COLUMNS', '400')

    def call(*arguments: object) -> tuple[int, str]:
        for module in ('cli', 'check_benchmarks'):
            monkeypatch.delitem(sys.modules, module, raising=False)
        tool = importlib.import_module('check_benchmarks')
        monkeypatch.setattr(sys, 'argv', ['check_benchmarks.py', *map(str, arguments)])
        code = 0
        try:
            tool.run_main(tool.main)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out + err

    return call


def rows_of(output: str) -> list[list[str]]:
    """The cells of all lines."""
    return [[cell.strip() for cell in line.split('   ') if cell.strip()] for line in output.splitlines()]


def test_a_missing_image_is_named_and_refused(config: Path, run: Run) -> None:
    code, output = run(config)
    assert code == 2
    rows = rows_of(output)
    assert ['test_dataloader.dataset: WITRetrieval, split test, 3 items'] in rows
    assert ['ko', '3', '4', 'unknown', '3', 'unknown', 'nothing'] in rows
    missing = f'1 of 3 images missing: {config.parent}/img/wit-test_1.jpg [missing_images: UNKNOWN]'
    assert ['all', '3', missing] in rows
    assert ['fr', '3', '3', 'unknown', '1', '1', 'nothing'] in rows and ['all', '1', 'nothing'] in rows
    assert 'XVNLI, split train, shots 1, 3 items' in output
    assert output.count('WITRetrieval') == 1  # the same set for validation is looked at once
    assert 'something is not as published' in rows[-1][0]


def test_what_is_allowed_is_named_too(config: Path, run: Run) -> None:
    code, output = run(config, '--allow', 'missing_images')
    assert code == 0 and '[missing_images: allowed]' in output
    write_image(config.parent / 'img/wit-test_1.jpg')
    code, output = run(config)
    assert code == 0 and 'missing' not in output and output.splitlines()[-1].startswith('all as published')


def test_known_oddities_cost_nothing(config: Path, run: Run) -> None:
    lines = [flickr_line(k, ['' if k == 7 else 'a']) for k in range(2000)]
    write_lines(config.parent / 'xFlickrCO/annotations/id/test.jsonl', lines)
    places = f"ann_root='{config.parent}', image_root='nowhere'"
    config.write_text(f"test_dataloader = dict(dataset=dict(type='XFlickrCO', languages=['id'], {places}))\n")
    code, output = run(config, '--allow', 'missing_images')
    assert code == 0 and '1 empty text: 7 (IGLUE keeps it, CCLM drops it) [empty_texts: known]' in output
    assert '2,000 of 2,000 images missing: nowhere/flickr30k-images/0.jpg' in output


def test_a_set_that_cannot_be_read_does_not_hide_the_others(config: Path, run: Run) -> None:
    write_lines(config.parent / 'wit/annotations/test_ko.jsonl', [wit_line(0, 'a', 'ko'), '{'])
    code, output = run(config)
    assert code == 2 and 'test_ko.jsonl, line 2: not JSON' in output and 'XVNLI, split train' in output
    (config.parent / 'wit/annotations/test_ko.jsonl').unlink()
    code, output = run(config)
    assert code == 2 and 'there is no' in output and 'XVNLI, split train' in output


def test_options_of_the_config_count(config: Path, run: Run) -> None:
    xvnli_root(config.parent, [xvnli_line(k) for k in range(4)], 'fr')
    code, output = run(
        config,
        '--allow',
        'counts',
        'missing_images',
        '--cfg-options',
        'train_dataloader.dataset.sources.one.split=test',
        'train_dataloader.dataset.sources.one.shots=None',
    )
    assert code == 0 and '4 texts instead of 1,164 [counts: allowed]' in output


def test_wrong_use_ends_in_one_line(config: Path, run: Run) -> None:
    code, output = run('configs/nothing.py')
    assert code == 2 and output.startswith('error: there is no config file') and output.count('\n') == 1
    code, output = run(ROOT / 'configs/rc3/pretrain_tiny.py')
    assert code == 2 and 'has no benchmark' in output
    code, output = run(config, '--allow', 'everything')
    assert code == 2 and "invalid choice: 'everything'" in output
