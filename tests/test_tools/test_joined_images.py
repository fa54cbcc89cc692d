"""tools/dataset_converters/joined_images.py: images that cannot be read cost their rows, not the conversion."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rc3mm.datasets.shards import DropReport
from tests.test_datasets.test_corpora.corpus_files import counts, jpeg, samples, write_downloads

ROOT = Path(__file__).resolve().parents[2]
URLS = [f'https://x.org/{k}.jpg' for k in range(4)]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for place in ('tools', 'tools/dataset_converters'):
        monkeypatch.syspath_prepend(str(ROOT / place))
    return importlib.import_module('joined_images')


@pytest.fixture
def join(module: ModuleType, tmp_path: Path) -> Callable[[], Any]:
    steps = importlib.import_module('shard_conversion').Steps()
    args = argparse.Namespace(images=tmp_path / 'tars', image_table=None, keep_missing=False, max_fault_share=0.1)
    return lambda: module.JoinedImages(args, tmp_path / 'work', steps)


def test_archive_that_shrinks_or_goes(join: Callable[[], Any], tmp_path: Path) -> None:
    archive = write_downloads(tmp_path / 'tars', 0, {url: jpeg(k) for k, url in enumerate(URLS)})
    with join() as images:
        report = DropReport()
        assert images.find(URLS[3], 'x:1', report) == {'image_bytes': jpeg(3)}
        archive.write_bytes(archive.read_bytes()[:2000])
        assert images.find(URLS[3], 'x:2', report, 3) is None
        archive.unlink()
        assert images.find(URLS[0], 'x:3', report) is None
    assert counts(report) == {'image cannot be read': 4} and report.num_faults == 4
    assert samples(report, 'image cannot be read')[0][0] == 'x:2' and '00000.tar' in str(
        samples(report, 'image cannot be read')
    )


def test_other_archives_make_another_set(module: ModuleType, tmp_path: Path) -> None:
    args = argparse.Namespace(images=tmp_path / 'tars', image_table=None)
    archive = write_downloads(tmp_path / 'tars', 0, {URLS[0]: jpeg()})
    described = module.describe_images(args)
    assert described.startswith('tars: 1 archives, ') and module.describe_images(args) == described
    archive.rename(archive.with_name('00001.tar'))
    assert module.describe_images(args) != described
