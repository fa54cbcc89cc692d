"""The converter turns every layout into a store, skips what it may, and goes on where it was stopped."""

import importlib.util
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from rc3mm.datasets.roi import RoiStore
from rc3mm.structures.regions import Regions
from tests.test_datasets.test_roi import making
from tests.test_datasets.test_roi.making import assert_same, make_regions

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools/dataset_converters/convert_roi_features.py'
IMAGES = {str(number): make_regions(number, count=1 + number % 3) for number in range(10)}


def command(kind: object, source: object, store: object, *options: object) -> list[str]:
    return [sys.executable, str(SCRIPT), str(kind), str(source), str(store), '--shard-size', '3', *map(str, options)]


class Done(NamedTuple):
    """What a run left."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the script in this process: starting one takes seconds."""
    monkeypatch.syspath_prepend(str(SCRIPT.parents[1]))
    for own in ('cli', 'roi_reports'):
        monkeypatch.delitem(sys.modules, own, raising=False)
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, 'argv', command(*arguments)[1:])
        capsys.readouterr()
        code = 0
        try:
            script.run_main(script.main)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Done(code, *capsys.readouterr())

    return run


def write_volta(path: Path, bad: dict[str, bytes]) -> Path:
    values = {key.encode(): pickle.dumps(making.volta_raw(value)) for key, value in IMAGES.items()}
    return making.write_lmdb(path, {**values, **{key.encode(): value for key, value in bad.items()}})


BAD = {
    '2': b'',
    '5': pickle.dumps({**making.volta_raw(IMAGES['5']), 'features': np.full((3, making.WIDTH), 1e6)}),
    '7': pickle.dumps({**making.volta_raw(IMAGES['7']), 'cls_prob': np.ones((2, 9))}),
    '8': pickle.dumps({**making.volta_raw(IMAGES['8']), 'boxes': np.zeros((3, 4))}),
}


def test_bad_records_are_counted_and_listed(tmp_path: Path, run: Run) -> None:
    source, store = write_volta(tmp_path / 'a.lmdb', BAD), tmp_path / 'store'
    done = run('volta-lmdb', source, store, '--max-bad', '0.2')
    assert done.code == 2 and len(done.err.splitlines()) <= 2
    assert 'error: 3 of 10 images are bad (' in done.err and 'more than --max-bad allows (2)' in done.err
    done = run('volta-lmdb', source, store, '--max-bad', '4', '--detector', 'vg')
    assert done.code == 2 and "was begun with other settings: detector 'unknown (volta-lmdb)'" in done.err
    done = run('volta-lmdb', source, store, '--max-bad', '4')
    assert done.code == 0, done.err
    found = RoiStore(store, feature_dim=making.WIDTH)
    assert list(found.ids()) == [name for name in IMAGES if name not in BAD]
    for name in found.ids():
        assert_same(found.get(name), IMAGES[name])
    assert found.verify() == []
    listed = [line.split('\t')[:2] for line in (store / 'bad_images.tsv').read_text().splitlines()[1:]]
    assert listed == [
        ['2', 'a damaged pickle'],
        ['5', 'numbers out of range'],
        ['7', 'other parts than the first record'],
        ['8', 'a box without area'],
    ]
    assert '4: 1 a damaged pickle' in ' '.join(done.out.split())


SIDES = {'1': ('h', np.nan), '3': ('w', np.inf), '4': ('h', -np.inf), '6': ('w', 1 << 40), '8': ('h', 0)}


@pytest.mark.parametrize('kind', ['volta-lmdb', 'roi-npz', 'bottom-up-tsv'])
def test_images_of_no_size_are_counted(tmp_path: Path, run: Run, kind: str) -> None:
    source, store = tmp_path / 'source', tmp_path / 'store'
    if kind == 'volta-lmdb':
        record = making.volta_raw
        write_volta(source, {k: pickle.dumps({**record(IMAGES[k]), f'img_{s}': v}) for k, (s, v) in SIDES.items()})
    elif kind == 'roi-npz':
        making.write_npz(source, IMAGES)
        for name, (side, value) in SIDES.items():
            np.savez(source / f'{name}.npz', **{**making.npz_arrays(IMAGES[name]), f'image_{side}': value})
    else:
        lines = {name: making.tsv_line(name, regions).split(b'\t') for name, regions in IMAGES.items()}
        for name, (side, value) in SIDES.items():
            lines[name]['-wh'.index(side)] = str(value).encode()
        source.write_bytes(b''.join(b'\t'.join(line) + b'\n' for line in lines.values()))
    done = run(kind, source, store, '--max-bad', '0.5')
    assert done.code == 0, done.err
    assert list(RoiStore(store).ids()) == [name for name in IMAGES if name not in SIDES]
    listed = [line.split('\t') for line in (store / 'bad_images.tsv').read_text().splitlines()[1:]]
    assert [line[0] for line in listed] == list(SIDES)
    if kind != 'bottom-up-tsv':  # whose fields are text: 'nan' is no number there
        assert {line[1] for line in listed} == {'no image size'}
    assert '5: ' in ' '.join(done.out.split())


@pytest.mark.parametrize('kind', ['uc2-lmdb', 'bottom-up-tsv', 'roi-npz'])
def test_other_layouts(tmp_path: Path, run: Run, kind: str) -> None:
    write = {'uc2-lmdb': making.write_uc2, 'bottom-up-tsv': making.write_tsv, 'roi-npz': making.write_npz}[kind]
    images = {**IMAGES, 'empty': make_regions(0, count=0)} if kind != 'uc2-lmdb' else IMAGES
    options = ('--num-regions', '2', '--dtype', 'float32')
    done = run(kind, write(tmp_path / 'source', images), tmp_path / 'store', *options)
    assert done.code == 0, done.err
    store = RoiStore(tmp_path / 'store', protocol={'max_regions': 2})
    assert sorted(store.ids()) == sorted(images) and store.verify() == []
    for name, regions in images.items():
        found = store.get(name)
        assert found.features.dtype == np.float32
        np.testing.assert_array_equal(found.features, regions.features[:2])
        shares = [regions.boxes[:2] / [60, 40, 60, 40], found.boxes / np.tile(found.image_size[::-1], 2)]
        np.testing.assert_allclose(shares[1], shares[0], rtol=1e-5)
    assert f'{len(images) - len(IMAGES)} ' in done.out


def test_killed_and_run_again(tmp_path: Path, run: Run) -> None:
    images = {str(number): big(number) for number in range(300)}
    source, store = making.write_npz(tmp_path / 'source', images), tmp_path / 'store'
    with subprocess.Popen(command('roi-npz', source, store), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(store.glob('shard-*')) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
    before = {path.name: path.stat().st_mtime_ns for path in store.glob('shard-*')}
    assert 0 < len(before) < 100 and not (store / 'manifest.json').exists()
    done = run('roi-npz', source, store)
    assert done.code == 0 and f'{len(before)} of 100 shards are there already' in done.err
    assert {name: (store / name).stat().st_mtime_ns for name in before} == before
    found = RoiStore(store)
    assert found.verify() == [] and len(found) == 300
    assert json.loads((store / 'manifest.json').read_text())['num_regions'] == 300 * 20
    np.testing.assert_array_equal(found.get('7').features, images['7'].features)


def big(number: int) -> Regions:
    boxes = np.array([[0, 0, 1, 1]] * 20, np.float32)
    return Regions(np.full((20, 500), number, np.float32), boxes, (2, 2))


def test_what_cannot_be_converted(tmp_path: Path, run: Run) -> None:
    done = run('volta-lmdb', tmp_path / 'none', tmp_path / 'store')
    assert done.code == 2 and done.err.startswith('error: there is no LMDB at')
    source = making.write_lmdb(tmp_path / 'a', {b'1': b'', b'2': b'hello'})
    done = run('volta-lmdb', source, tmp_path / 'store')
    assert done.code == 2 and 'not one of the first 1000 records can be used' in done.err
    assert not (tmp_path / 'store').exists()
