"""RoiStore gives back what was written, to any process, and says what is wrong with what it cannot use."""

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import load_file
from torch.utils.data import DataLoader, Dataset

from rc3mm.datasets.roi import RoiSource, RoiStore, begin_store, finish_store, index, write_shard
from rc3mm.datasets.roi import rows as rows_module
from rc3mm.datasets.roi.shard import RoiShard, hash_id, shard_path
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions
from tests.test_datasets.test_roi.making import assert_same, make_regions, make_store, plan

SHARDS = [{'a': make_regions(0), 'größe/犬': make_regions(1, count=0)}, {}, {'': make_regions(2, count=5)}]
IMAGES = {key: value for shard in SHARDS for key, value in shard.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_store(tmp_path / 'store', SHARDS)


def test_what_was_written_comes_back(folder: Path) -> None:
    store = DATASETS.build(dict(type='RoiStore', path=str(folder), feature_dim=6, detector='tiny'))
    assert isinstance(store, RoiSource)
    assert list(store.ids()) == list(IMAGES) and len(store) == 3
    for image_id, regions in IMAGES.items():
        assert image_id in store
        found = store.get(image_id)
        assert_same(found, regions)
        assert found.features.dtype == np.float16 and found.features.flags.owndata and found.features.flags.writeable
    assert 'b' not in store and 3 not in store and '\ud800' not in store
    assert (store.manifest.num_images, store.manifest.num_regions) == (3, 8)
    assert store.verify() == []
    assert {path.name for path in folder.iterdir()} == {
        'plan.json',
        'manifest.json',
        'index.safetensors',
        *(f'shard-0000{number}.safetensors' for number in range(3)),
    }


def test_files_are_safetensors(folder: Path) -> None:
    arrays = load_file(folder / 'shard-00000.safetensors')
    assert arrays['features'].shape == (3, 6) and arrays['offsets'].tolist() == [0, 3, 3]
    entries = load_file(folder / 'index.safetensors')
    assert entries['hashes'].tolist() == sorted(map(hash_id, IMAGES))


REGIONS = st.integers(0, 4).flatmap(
    lambda count: st.builds(
        lambda features, corners, sides, scores, probs, size: Regions(
            features, np.concatenate([corners, corners + sides], 1), size, scores, probs, probs[:, :2]
        ),
        npst.arrays(np.float32, (count, 6), elements=st.floats(-60000, 60000, width=32)),
        npst.arrays(np.float32, (count, 2), elements=st.floats(0, 500, width=16)),
        npst.arrays(np.float32, (count, 2), elements=st.floats(1, 500, width=16)),
        npst.arrays(np.float32, count, elements=st.floats(0, 1, width=32)),
        npst.arrays(np.float32, (count, 4), elements=st.floats(0, 1, width=16)),
        st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    )
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(images=st.dictionaries(st.text(st.characters(codec='utf-8')), REGIONS, min_size=1, max_size=6))
def test_any_regions(tmp_path_factory: pytest.TempPathFactory, images: dict[str, Regions]) -> None:
    items = list(images.items())
    middle = len(items) // 2
    shards = [dict(items[:middle]), dict(items[middle:])]
    store = RoiStore(make_store(tmp_path_factory.mktemp('any') / 's', shards, num_attributes=2))
    assert list(store.ids()) == list(images)
    for image_id, regions in items:
        assert_same(store.get(image_id), regions)
    assert store.verify() == []


@pytest.mark.parametrize('dtype', ['float16', 'float32'])
def test_types_and_their_range(tmp_path: Path, dtype: Any) -> None:
    regions = make_regions(0, count=1)
    regions.features[:] = 70000
    begin_store(tmp_path, plan(1, dtype=dtype))
    if dtype == 'float16':
        with pytest.raises(ValueError, match=r"image 'a' .*: features leave the range of float16; .* dtype float32"):
            write_shard(tmp_path, 0, [('a', regions)], dtype)
        return
    write_shard(tmp_path, 0, [('a', regions)], dtype)
    finish_store(tmp_path)
    assert_same(RoiStore(tmp_path).get('a'), regions)


# -- workers


class Rows(Dataset[torch.Tensor]):
    """The features of a store's images."""

    def __init__(self, store: RoiStore, ids: list[str]) -> None:
        self.store, self.names = store, ids

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.store.get(self.names[index]).features)


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_read_the_same(folder: Path, method: str) -> None:
    store = RoiStore(folder)
    names = ['a', 'größe/犬', ''] * 3
    store.get('a')  # so that the parent has files open
    assert len(pickle.dumps(store)) < 1000  # no open file, no index
    loader = DataLoader(Rows(store, names), batch_size=None, num_workers=2, multiprocessing_context=method)
    for name, features in zip(names, loader, strict=True):
        assert torch.equal(features, torch.from_numpy(IMAGES[name].features).half())


def test_process_ends_with_a_store_open(folder: Path) -> None:
    code = f'import os; from rc3mm.datasets.roi import RoiStore; store = RoiStore({str(folder)!r}); store.get("a")'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and 'Exception ignored' not in done.stderr, done.stderr


# -- large stores


def test_few_files_are_open_and_buckets_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, '_BUCKET', 3)
    monkeypatch.setattr(rows_module, '_OPEN_FILES', 2)
    shards = [{f'{number}-{row}': make_regions(7 * number + row, 1) for row in range(7)} for number in range(9)]
    store = RoiStore(make_store(tmp_path / 's', shards))
    for shard in shards:
        for image_id, regions in shard.items():
            assert_same(store.get(image_id), regions)
    assert len(store._rows._files) == 2
    assert store.verify() == []


def test_headers_are_read_once_however_many_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    def look(path: Path, command: str) -> RoiShard:
        looked.append(path)
        return RoiShard(path, command)

    monkeypatch.setattr(rows_module, '_OPEN_FILES', 3)
    monkeypatch.setattr(rows_module, 'RoiShard', look)
    shards = [{f'{number}-{row}': make_regions(2 * number + row) for row in range(2)} for number in range(12)]
    store = RoiStore(make_store(tmp_path / 's', shards))
    for turn in range(3):
        for number in np.random.default_rng(turn).permutation(24):
            name = f'{number // 2}-{number % 2}'
            assert_same(store.get(name), shards[number // 2][name])
    assert len(looked) == len(set(looked)) == 12


def test_shard_that_is_made_anew_while_the_store_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, '_OPEN_FILES', 1)
    store = RoiStore(folder)
    assert_same(store.get('a'), SHARDS[0]['a'])
    assert_same(store.get(''), SHARDS[2][''])  # closes the first
    other = {'a': make_regions(5, count=9), 'größe/犬': make_regions(6)}
    write_shard(folder, 0, other.items())
    for name, regions in other.items():
        assert_same(store.get(name), regions)


def test_ids_may_share_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ('index', 'shard', 'verify'):
        monkeypatch.setattr(f'rc3mm.datasets.roi.{module}.hash_id', lambda image_id: len(image_id))
    shards = [{'aa': make_regions(0), 'ab': make_regions(1), 'b': make_regions(2)}, {'ac': make_regions(3)}]
    store = RoiStore(make_store(tmp_path / 's', shards))
    for shard in shards:
        for image_id, regions in shard.items():
            assert_same(store.get(image_id), regions)
    assert 'ad' not in store and store.verify() == []
    with pytest.raises(ValueError, match=r"the id 'ab' comes twice in the inputs: number 1 of .*00000.* 0 of .*00001"):
        make_store(tmp_path / 't', [shards[0], {'ab': make_regions(1)}])


def peak_of_reading(folder: Path, count: int) -> int:
    tracemalloc.start()
    store = RoiStore(folder)
    for number in range(0, count, max(1, count // 200)):
        store.get(f'image {number}')
    assert sum(1 for _ in store.ids()) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, '_OPEN_FILES', 4)
    regions, peaks = make_regions(0, count=1, probs=False), []
    for count in (1000, 16000):
        shards = [{f'image {k}': regions for k in range(start, start + 500)} for start in range(0, count, 500)]
        folder = make_store(tmp_path / str(count), shards, num_classes=None)
        del shards
        peak_of_reading(folder, count)
        peaks.append(peak_of_reading(folder, count))
    assert peaks[1] < 1.3 * peaks[0] + 20_000


# -- what a store refuses


def test_missing_image(folder: Path) -> None:
    with pytest.raises(KeyError, match=r"no regions of image 'b'; its 3 ids look like 'a'. Extract the regions"):
        RoiStore(folder).get('b')
    for other in ('\ud800', 'x' * 5000, '../a', 7, None):
        with pytest.raises(KeyError, match='has no regions of image'):
            RoiStore(folder).get(other)  # type: ignore[arg-type]


EXPECTATIONS: dict[str, dict[str, Any]] = {
    'feature_dim 6, expected 2048': dict(feature_dim=2048),
    "detector 'tiny', expected 'large'": dict(detector='large'),
    r'protocol.max_regions 3, expected 36; protocol.nms None, expected 0.5': dict(
        protocol=dict(max_regions=36, nms=0.5, min_regions=1)
    ),
}


@pytest.mark.parametrize('message', EXPECTATIONS)
def test_other_expectations(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=f'was made with {message}.*extract the regions anew.*python make.py'):
        RoiStore(folder, **EXPECTATIONS[message])


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'is no store of regions: it has no manifest\.json'):
        RoiStore(tmp_path)


def test_unfinished_store(tmp_path: Path) -> None:
    begin_store(tmp_path, plan(3))
    write_shard(tmp_path, 1, SHARDS[0].items())
    with pytest.raises(FileNotFoundError, match=r'not finished: 1 of 3 shards .* run again: python make\.py'):
        RoiStore(tmp_path)
    with pytest.raises(ValueError, match=r'2 of 3 shards are missing \[0, 2\]'):
        finish_store(tmp_path)


@pytest.mark.parametrize('text', ['{', '[]', '{"detector": "d"}', '{"format_version": 99}'])
def test_broken_manifest(folder: Path, text: str) -> None:
    (folder / 'manifest.json').write_text(text)
    with pytest.raises(ValueError, match=r'manifest\.json cannot be read as the manifest'):
        RoiStore(folder)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize('share', [0.0, 0.001, 0.3, 0.99])
def test_shard_cut_short(folder: Path, share: float) -> None:
    cut(folder / 'shard-00000.safetensors', share)
    message = r'shard-00000\.safetensors is damaged: .*Remove this file and run `python make\.py` again'
    with pytest.raises(ValueError, match=message):
        RoiStore(folder).get('a')
    assert len(RoiStore(folder).verify()) == 1


@pytest.mark.parametrize('share', [0.1, 0.6, 0.9])
def test_shard_cut_short_while_it_is_read(folder: Path, share: float) -> None:
    store = RoiStore(folder)
    store.get('a')  # the file stays mapped
    path = shard_path(folder, 0)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(ValueError, match=r'shard-00000\.safetensors is damaged.*Remove this file'):
        store.get('a')


@pytest.mark.parametrize('name', ['offsets', 'id_offsets'])
@pytest.mark.parametrize('value', [-1, 1 << 40])
def test_offsets_that_leave_the_shard(folder: Path, name: str, value: int) -> None:
    shard = RoiShard(shard_path(folder, 0))
    with shard.file.path.open('r+b') as file:
        file.seek(shard.file.starts[name] + 8)
        file.write(value.to_bytes(8, 'little', signed=True))
    with pytest.raises(ValueError, match=rf'shard-00000\.safetensors is damaged: its {name} make no sense'):
        RoiStore(folder).get('a')


@pytest.mark.parametrize('share', [0.0, 0.3, 0.99])
def test_index_cut_short(folder: Path, share: float) -> None:
    cut(folder / 'index.safetensors', share)
    with pytest.raises(ValueError, match=r'index\.safetensors is damaged: .*the index is made anew'):
        RoiStore(folder)


def test_lost_shard_is_made_anew(folder: Path) -> None:
    (folder / 'shard-00000.safetensors').unlink()
    with pytest.raises(FileNotFoundError, match=r'there is no shard .*only this shard is made anew'):
        RoiStore(folder).get('a')
    assert begin_store(folder, plan(3, command='other words', rc3mm_version='0.2')) == {1, 2}
    write_shard(folder, 0, SHARDS[0].items())
    finish_store(folder)
    assert_same(RoiStore(folder).get('a'), IMAGES['a'])


def test_verify_finds_changed_bytes(folder: Path) -> None:
    path = folder / 'shard-00002.safetensors'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert any('checksum' in problem and path.name in problem for problem in RoiStore(folder).verify())


def test_verify_finds_exchanged_shards_and_wrong_counts(folder: Path) -> None:
    one, other = (folder / f'shard-0000{number}.safetensors' for number in (0, 2))
    one.rename(folder / 'x')
    other.rename(one)
    (folder / 'x').rename(other)
    assert 'it was written as shard 2' in RoiStore(folder).verify()[0]
    other.rename(folder / 'x')
    one.rename(other)
    (folder / 'x').rename(one)
    entries = json.loads((folder / 'manifest.json').read_text())
    (folder / 'manifest.json').write_text(json.dumps({**entries, 'num_regions': 9}))
    assert 'holds (3, 8) images and regions, but its manifest says (3, 9)' in RoiStore(folder).verify()[0]
