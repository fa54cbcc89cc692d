"""tools/inspect_roi_store.py: its table, its verdict and its picture, on stores and on other people's files."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from rc3mm.datasets.image_sources import open_dataset
from rc3mm.datasets.roi import RoiManifest, begin_store, finish_store, write_shard
from rc3mm.structures import Regions

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('cat', 'dog', '犬')


def regions(count: int, seed: int, best: int | None = None) -> Regions:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 20, (count, 2))
    probs = rng.dirichlet(np.ones(len(CLASSES) + 1), count)
    if best is not None:
        probs[:, best] = 2.0
    return Regions(
        features=rng.normal(size=(count, 4)).astype(np.float16),
        boxes=np.concatenate([corner, corner + rng.uniform(1, 20, (count, 2))], 1).astype(np.float32),
        image_size=(40, 40),
        scores=np.sort(rng.random(count))[::-1].astype(np.float32),
        class_probs=probs.astype(np.float16),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Eight images in two shards: k regions of class k % 3 in image k, none in the first."""
    folder = tmp_path / 'store'
    plan = RoiManifest(
        'tiny',
        'head',
        4,
        2,
        4,
        'inputs',
        num_classes=3,
        class_names=CLASSES,
        protocol={'min_regions': 0},
        command='cmd',
    )
    begin_store(folder, plan)
    for shard in range(2):
        write_shard(folder, shard, [(f'image/{k}', regions(k, k, k % 3)) for k in range(4 * shard, 4 * shard + 4)])
    finish_store(folder)
    return folder


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setenv('COLUMNS', '300')
    for name in ('cli', 'inspect_roi_store'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module('inspect_roi_store')


class Inspect:
    """Runs the tool as its script does."""

    def __init__(self, tool: ModuleType, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tool, self.capsys, self.monkeypatch = tool, capsys, monkeypatch

    def __call__(self, *arguments: object) -> tuple[int, str]:
        self.monkeypatch.setattr(sys, 'argv', ['inspect_roi_store.py', *map(str, arguments)])
        code = 0
        try:
            self.tool.run_main(self.tool.main)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = self.capsys.readouterr()
        return code, out + err

    def cells(self, *arguments: object) -> dict[str, str]:
        """The table's rows."""
        code, output = self(*arguments)
        assert code == 0, output
        rows = [line.strip().split('  ', 1) for line in output.splitlines() if '  ' in line.strip()]
        return {row[0]: row[1].strip() for row in rows}


@pytest.fixture
def inspect(tool: ModuleType, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Inspect:
    return Inspect(tool, capsys, monkeypatch)


def test_the_table_counts_what_was_written(inspect: Inspect, store: Path) -> None:
    cells = inspect.cells(store)
    assert cells['images'] == '8' and cells['regions'] == '28' and cells['without any region'] == '1'
    assert cells['regions an image'] == 'mean 3.5, min 0, max 7'
    assert cells['feature'] == 'head, 4-d, float16' and cells['class probabilities'] == '3 classes'
    assert cells['detector'] == 'tiny' and cells['protocol'] == 'min_regions 0'
    assert cells['classes, best 10 of 3'] == '42.9%  dog'  # 1 + 4 + 7 of 28
    assert '32.1%  cat' in inspect(store)[1] and '25.0%' in inspect(store)[1]
    scores = np.concatenate([regions(k, k).scores for k in range(8)])
    assert f'50 %: {np.median(scores):.3f}' in cells['scores']


def test_statistics_may_be_of_a_sample(inspect: Inspect, store: Path) -> None:
    cells = inspect.cells(store, '--sample', 2)
    assert cells['statistics of'] == '2 images'
    assert cells['regions an image'] == 'mean 2.0, min 0, max 4'  # of images 0 and 4
    assert cells['regions'] == '28'  # the whole store's


def test_the_verdict(inspect: Inspect, store: Path) -> None:
    code, output = inspect(store, '--verify')
    assert code == 0 and 'intact: ' in output and '8 images were read and checked' in output
    path = store / 'shard-00001.safetensors'
    whole = path.read_bytes()
    for damaged in (whole[:-3], whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:]):
        path.write_bytes(damaged)
        code, output = inspect(store, '--verify')
        assert code == 1 and 'DAMAGED: ' in output and '1 problem' in output and str(path) in output
    path.unlink()
    code, output = inspect(store, '--verify')
    assert code == 1 and str(path) in output


def test_a_damaged_index_is_a_verdict_too(inspect: Inspect, store: Path) -> None:
    (store / 'index.safetensors').write_bytes(b'')
    code, output = inspect(store, '--verify')
    assert code == 1 and 'DAMAGED' in output and 'index.safetensors' in output
    code, output = inspect(store)
    assert code == 2 and output.startswith('error: ') and output.count('\n') == 1


def test_what_is_no_store_is_said_in_one_line(inspect: Inspect, store: Path, tmp_path: Path) -> None:
    code, output = inspect(tmp_path / 'nowhere')
    assert code == 2 and output.count('\n') == 1 and 'is no store of regions' in output
    (store / 'manifest.json').unlink()
    code, output = inspect(store, '--verify')
    assert code == 2 and 'is not finished' in output
    code, output = inspect(store, '--images', 'x')
    assert code == 2 and 'give --out PICTURE.png' in output


def test_skipped_images_are_mentioned(inspect: Inspect, store: Path) -> None:
    (store / 'bad_images.tsv').write_text('id\treason\nx\tbroken\ny\tbroken\n')
    assert inspect.cells(store)['skipped images'].startswith('2, see ')


def test_the_picture(inspect: Inspect, store: Path, tmp_path: Path) -> None:
    images = tmp_path / 'images' / 'image'
    images.mkdir(parents=True)
    Image.new('RGB', (40, 40), (250, 240, 10)).save(images / '1.png')
    (images / '2.png').write_bytes(b'broken')
    picture = tmp_path / 'x.png'
    code, output = inspect(store, '--out', picture, '--num', 3, '--images', tmp_path / 'images')
    assert code == 0 and 'image/2: not an image' in output
    pixels = np.asarray(Image.open(picture).convert('RGB')).astype(int)
    yellow = (np.abs(pixels - [250, 240, 10]).sum(-1) < 12).mean()
    assert 0.05 < yellow < 0.4  # one of the three images; the others are grey
    code, output = inspect(store, '--out', picture, '--images', tmp_path / 'images', '--num', 1)
    assert code == 2 and "has no image with an id such as 'image/0'" in output


def test_images_of_a_dataset(inspect: Inspect, tmp_path: Path) -> None:
    folder = tmp_path / 'emoji'
    begin_store(folder, RoiManifest('tiny', 'head', 4, 1, 4, 'inputs', num_classes=3))
    place = f'{ROOT}/configs/rc3/pretrain_tiny.py:test_dataloader.dataset'
    dataset = open_dataset(place)
    write_shard(folder, 0, [(dataset.get_image_id(k), regions(3, k)) for k in range(4)])
    finish_store(folder)
    code, output = inspect(folder, '--out', tmp_path / 'x.png', '--images', place)
    assert code == 0 and (tmp_path / 'x.png').stat().st_size > 20_000, output
    assert 'class 1' in output  # no names are known


def test_other_peoples_files(inspect: Inspect, tmp_path: Path) -> None:
    folder = tmp_path / 'npz'
    folder.mkdir()
    for k in range(3):
        own = regions(5, k)
        np.savez(folder / f'{k}.npz', features=own.features, boxes=own.boxes, image_h=40, image_w=40)
    cells = inspect.cells(folder, '--kind', 'roi-npz', '--verify')
    assert cells['reader'] == 'RoiNpzFolder' and cells['images'] == '3'
    assert cells['features'].startswith('4-d') and cells['regions an image'] == 'mean 5.0, min 5, max 5'
    (folder / '1.npz').write_bytes((folder / '1.npz').read_bytes()[:200])
    code, output = inspect(folder, '--kind', 'roi-npz', '--verify')
    assert code == 1 and '1 problem' in output and '1.npz' in output


def test_the_help_teaches(inspect: Inspect) -> None:
    code, output = inspect('--help')
    assert code == 0 and 'examples:' in output and 'exit code' in output
