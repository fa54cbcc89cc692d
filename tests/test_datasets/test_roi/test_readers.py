"""Every reader gives the regions that its files hold, to any process, and names file, key and fault of bad records."""

import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import msgpack
import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from rc3mm.datasets.roi import BottomUpTsv, RoiNpzFolder, RoiRecordError, RoiSource, Uc2Lmdb, VoltaLmdb
from rc3mm.registry import DATASETS
from rc3mm.structures.regions import Regions
from tests.test_datasets.test_roi import making
from tests.test_datasets.test_roi.making import SIZE, WIDTH, assert_same, make_regions

IMAGES = {'7': make_regions(0), '12': make_regions(1, count=1), 'größe_犬': make_regions(2, count=5)}


def without(regions: Regions, *parts: str) -> Regions:
    kept = {name: getattr(regions, name) for name in ('scores', 'class_probs') if name not in parts}
    return Regions(regions.features, regions.boxes, regions.image_size, **kept)


def as_shares(regions: Regions) -> Regions:
    return Regions(
        regions.features,
        making.uc2_record(regions)['norm_bb'][:, :4],
        (1, 1),
        regions.scores,
        regions.class_probs,
    )


Writer = Callable[[Path, dict[str, Regions]], Path]
# kind -> registered name, how to write such a file, what a reader makes of regions
KINDS: dict[str, tuple[str, Writer, Callable[[Regions], Regions]]] = {
    'volta, raw': ('VoltaLmdb', making.write_volta, lambda regions: regions),
    'volta, base64': (
        'VoltaLmdb',
        lambda path, images: making.write_volta(path, images, making.volta_base64),
        lambda regions: regions,
    ),
    'uc2, msgpack': ('Uc2Lmdb', making.write_uc2, as_shares),
    'uc2, npz': ('Uc2Lmdb', lambda path, images: making.write_uc2(path, images, making.pack_npz), as_shares),
    'uc2, lz4': (
        'Uc2Lmdb',
        lambda path, images: making.write_uc2(path, images, lambda record: lz4.frame.compress(making.pack(record))),
        as_shares,
    ),
    'tsv': ('BottomUpTsv', making.write_tsv, lambda regions: without(regions, 'scores', 'class_probs')),
    'npz': ('RoiNpzFolder', making.write_npz, lambda regions: regions),
}


def make_source(kind: str, folder: Path, **options: Any) -> Any:
    name, write, _ = KINDS[kind]
    path = write(folder / 'file', IMAGES)
    return DATASETS.build({'type': name, ('root' if kind == 'npz' else 'path'): str(path), **options})


@pytest.mark.parametrize('kind', KINDS)
def test_regions_come_back(tmp_path: Path, kind: str) -> None:
    source = make_source(kind, tmp_path, feature_dim=WIDTH)
    assert isinstance(source, RoiSource)
    assert len(source) == 3 and sorted(source.ids()) == sorted(IMAGES)
    for image_id, regions in IMAGES.items():
        assert image_id in source
        found = source.get(image_id)
        assert_same(found, KINDS[kind][2](regions))
        assert found.features.dtype.kind == 'f' and found.features.flags.writeable and found.boxes.flags.writeable
    for other in ('8', '', 'keys', '__keys__', '\ud800', '\0', 'x' * 300, 'x' * 5000, '7/7', '/', '..', 7, None):
        assert other not in source
        with pytest.raises(
            KeyError, match=r'file.* like .(7|12|größe_犬)..*(extract this image too|extract them)'
        ) as caught:
            source.get(other)
        assert repr(other)[1:-1] in caught.value.args[0]


@pytest.mark.parametrize('kind', KINDS)
def test_features_of_another_width(tmp_path: Path, kind: str) -> None:
    source = make_source(kind, tmp_path, feature_dim=2048)
    with pytest.raises(RoiRecordError, match=r'file.*7.*features of another width: they have 6 numbers, expected 2048'):
        source.get('7')


class Features(Dataset[np.ndarray]):
    """Features of a source's images."""

    def __init__(self, source: RoiSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> np.ndarray:
        return self.source.get(list(IMAGES)[index % 3]).features


@pytest.mark.parametrize('kind', ['volta, raw', 'uc2, msgpack', 'tsv', 'npz'])
def test_forked_workers_and_pickled_copies(tmp_path: Path, kind: str) -> None:
    source = make_source(kind, tmp_path)
    source.get('7')  # so that the parent has the file open
    loader = DataLoader(
        Features(source), batch_size=None, num_workers=2, multiprocessing_context='fork', collate_fn=np.asarray
    )
    for index, features in enumerate(loader):
        np.testing.assert_array_equal(features, IMAGES[list(IMAGES)[index % 3]].features)
    copy = pickle.loads(pickle.dumps(source))
    assert_same(copy.get('12'), source.get('12'))


def test_spawned_workers(tmp_path: Path) -> None:
    sources = []
    for kind in ('volta, raw', 'tsv'):
        (tmp_path / kind).mkdir()
        sources.append(make_source(kind, tmp_path / kind))
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        for source in sources:
            np.testing.assert_array_equal(pool.apply(source.get, ('7',)).features, IMAGES['7'].features)


def test_one_file_twice_in_a_process(tmp_path: Path) -> None:
    path = making.write_volta(tmp_path / 'a', IMAGES)
    one, other = VoltaLmdb(path), VoltaLmdb(path / 'data.mdb')
    assert_same(one.get('7'), other.get('7'))
    del one
    assert_same(VoltaLmdb(path).get('12'), other.get('12'))


def test_best_regions_first(tmp_path: Path) -> None:
    scores = np.array([0.1, 0.9, 0.5], np.float32)
    regions = without(make_regions(0), 'class_probs')
    np.savez(tmp_path / 'a.npz', **{**making.npz_arrays(IMAGES['7']), 'scores': scores})
    found = RoiNpzFolder(tmp_path).get('a')
    assert found.scores is not None and found.scores.tolist() == sorted(scores.tolist(), reverse=True)
    np.testing.assert_array_equal(found.features, regions.features[[1, 2, 0]])
    np.testing.assert_array_equal(found.boxes, regions.boxes[[1, 2, 0]])


def test_scores_from_class_probabilities(tmp_path: Path) -> None:
    record = making.volta_raw(IMAGES['7'])
    del record['obj_conf']
    record['cls_prob'] = np.array([[0.7, 0.1, 0.2, 0], [0.1, 0.3, 0.3, 0.3], [0, 1, 0, 0]], np.float32)
    found = VoltaLmdb(making.write_volta(tmp_path / 'a', {'7': IMAGES['7']}, lambda _: record)).get('7')
    np.testing.assert_allclose(found.scores, [1, 0.3, 0.2], rtol=1e-6)
    assert found.class_probs is not None
    np.testing.assert_allclose(found.class_probs[2], [0.1, 0.2, 0, 0.7], rtol=1e-6)


def test_image_without_regions(tmp_path: Path) -> None:
    nothing = make_regions(0, count=0, probs=False)
    for source in (
        BottomUpTsv(making.write_tsv(tmp_path / 'a.tsv', {'a': nothing})),
        RoiNpzFolder(making.write_npz(tmp_path / 'npz', {'a': nothing})),
    ):
        assert len(source.get('a')) == 0 and source.get('a').image_size == SIZE


# -- bad records


def check_bad(source: Any, image_id: str, message: str) -> None:
    with pytest.raises(RoiRecordError, match=message) as caught:
        source.get(image_id)
    assert 'Make this record anew, or leave the image out' in str(caught.value)
    assert caught.value.reason in str(caught.value)


BOXES = IMAGES['7'].boxes
VOLTA: dict[str, dict[str, Any]] = {
    'a missing entry: there are no features': dict(features=None),
    'a missing entry: there are no boxes': dict(boxes=None),
    'a missing entry: no img_h and img_w among .*boxes': dict(img_w=None),
    'no image size: the height must be one positive number, it is nan': dict(img_h=float('nan')),
    'no image size: the height must be one positive number, it is -inf': dict(img_h=-np.inf),
    r'no image size: the width must be one positive number, it is 1e\+300': dict(img_w=1e300),
    'no image size: the width must be one positive number, it is 4294967296': dict(img_w=1 << 32),
    'no image size: the width must be one positive number, it is an array': dict(img_w=np.array([40, 60])),
    'an entry of another type: boxes is no array': dict(boxes=[[0, 0, 1], [0]]),
    'numbers that are not finite: features': dict(features=np.full((3, WIDTH), np.nan)),
    'a box without area: box 1, .*has no area': dict(boxes=np.array([BOXES[0], [5, 5, 5, 9], BOXES[2]])),
    'shapes that do not agree: features have the shape': dict(features=np.zeros((2, WIDTH))),
    'shapes that do not agree: boxes have 5 numbers': dict(boxes=np.zeros(5)),
    'shapes that do not agree: class_probs': dict(cls_prob=np.zeros((4, 4))),
    'broken base64: features .*': dict(features='AAA?'),
    'broken base64: boxes has 2 bytes': dict(boxes='AAA='),
    'an entry of another type: features holds <U1': dict(features=np.array(['a'])),
    'pickled objects: its pickle holds the object .*system': dict(other=os.system),
}


@pytest.mark.parametrize('message', VOLTA)
def test_bad_volta_records(tmp_path: Path, message: str) -> None:
    record = {**making.volta_raw(IMAGES['7']), **VOLTA[message]}
    kept = {key: value for key, value in record.items() if value is not None}
    source = VoltaLmdb(making.write_volta(tmp_path / 'a.lmdb', {'7': IMAGES['7']}, lambda _: kept))
    check_bad(source, '7', rf"a\.lmdb, key '7': {message}")


@pytest.mark.parametrize('value', [b'', b'hello', pickle.dumps(making.volta_raw(IMAGES['7']))[:-30]])
def test_damaged_volta_pickles(tmp_path: Path, value: bytes) -> None:
    source = VoltaLmdb(making.write_lmdb(tmp_path / 'a', {b'7': value}))
    check_bad(source, '7', "a, key '7': a damaged pickle: cannot be read as a pickle")
    source = VoltaLmdb(making.write_lmdb(tmp_path / 'b', {b'7': pickle.dumps([1])}))
    check_bad(source, '7', "b, key '7': an entry of another type: it is a list")


RECORD = making.uc2_record(IMAGES['7'])
OBJECTS = {b'nd': True, b'type': '|O', b'kind': b'O', b'shape': (1,), b'data': pickle.dumps([1])}
UC2: dict[str, bytes] = {
    'broken msgpack: ': making.pack(RECORD)[:-20],
    'broken msgpack: it holds a int': b'\x01',
    'broken lz4: ': lz4.frame.compress(making.pack(RECORD))[:-20],
    'a broken .npz archive: ': making.pack_npz(RECORD)[:-20],
    'a missing entry: there are no boxes': making.pack({'features': RECORD['features']}),
    'shapes that do not agree: norm_bb has the shape': making.pack({**RECORD, 'norm_bb': np.zeros(6)}),
    'a box without area': making.pack({**RECORD, 'norm_bb': np.zeros((3, 6))}),
    'numbers that are not finite: scores': making.pack({**RECORD, 'conf': np.full(3, np.inf)}),
    'pickled objects: it holds Python objects': msgpack.packb({'features': OBJECTS}),
}


@pytest.mark.parametrize('message', UC2)
def test_bad_uc2_records(tmp_path: Path, message: str) -> None:
    source = Uc2Lmdb(making.write_lmdb(tmp_path / 'feat_numbb36', {b'7.npz': UC2[message]}))
    check_bad(source, '7.npz', f"feat_numbb36, key '7.npz': {message}")


LINE = making.tsv_line('7', IMAGES['7']).split(b'\t')
TSV: dict[str, list[bytes]] = {
    'a line of another length: 5 fields, expected 6': LINE[:5],
    'broken base64: features ': [*LINE[:5], LINE[5][:-3]],
    'shapes that do not agree: boxes have 12 numbers, num_boxes says 4': [*LINE[:3], b'4', *LINE[4:]],
    "a field that is no number: image_h is b'tall'": [*LINE[:2], b'tall', *LINE[3:]],
    'numbers that are not finite': [*LINE[:5], making.coded(np.full((3, WIDTH), np.nan))],
    'a box without area': [*LINE[:4], making.coded(np.zeros((3, 4))), LINE[5]],
    'image_size must be two positive numbers': [*LINE[:2], b'0', *LINE[3:]],
    r'no image size: an image of \(4294967296, 60\) pixels': [*LINE[:2], b'4294967296', *LINE[3:]],
    "a field that is no number: image_h is b'nan'": [*LINE[:2], b'nan', *LINE[3:]],
}


@pytest.mark.parametrize('message', TSV)
def test_bad_tsv_lines(tmp_path: Path, message: str) -> None:
    path = tmp_path / 'a.tsv'
    path.write_bytes(making.tsv_line('5', IMAGES['7']) + b'\n' + b'\t'.join(TSV[message]) + b'\n')
    source = BottomUpTsv(path)
    assert_same(source.get('5'), without(IMAGES['7'], 'scores', 'class_probs'))
    check_bad(source, '7', rf"a\.tsv, line 2, image '7': .*{message}")


def test_tsv_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / 'a.tsv'
    path.write_bytes(b'\n'.join(making.tsv_line(name, IMAGES['7']) for name in ('a', 'b', 'a')))
    with pytest.raises(ValueError, match=r"a\.tsv: image 'a' comes twice, in lines 1 and 3; remove one"):
        BottomUpTsv(path)
    path.write_bytes(b'hello\n')
    assert list(BottomUpTsv(path).ids()) == ['hello']
    path.write_bytes(b'\xff\xfe\t1\n')
    with pytest.raises(ValueError, match=r'a\.tsv, line 1: it has no image_id; is this a table of regions'):
        BottomUpTsv(path)
    with pytest.raises(ValueError, match='lack num_boxes, boxes'):
        BottomUpTsv(path, columns=('image_id', 'image_w', 'image_h', 'features'))
    with pytest.raises(FileNotFoundError, match='there is no file'):
        BottomUpTsv(tmp_path / 'b.tsv')


def test_tsv_with_other_columns_and_long_ids(tmp_path: Path) -> None:
    long = 'x' * 400
    fields = making.tsv_line(long, IMAGES['7']).split(b'\t')
    assert IMAGES['7'].scores is not None
    (tmp_path / 'a.tsv').write_bytes(
        b'\t'.join([fields[2], fields[1], making.coded(IMAGES['7'].scores), *fields[::-1]])
    )
    columns = ('image_h', 'image_w', 'objects_conf', 'features', 'boxes', 'num_boxes', 'h', 'w', 'image_id')
    assert_same(BottomUpTsv(tmp_path / 'a.tsv', columns=columns).get(long), without(IMAGES['7'], 'class_probs'))


NPZ: dict[str, dict[str, Any]] = {
    'a missing entry: it needs features, boxes': dict(boxes=None),
    r'expected features \(R, F\)': dict(features=np.zeros((2, 4))),
    'no image size: the height must be one positive number, it is 0': dict(image_h=0),
    'the width must be one positive number, it is inf': dict(image_w=np.inf),
    'the width must be one positive number, it is nan': dict(image_w=np.nan),
    r'the height must be one positive number, it is an array of the shape \(2,\)': dict(image_h=[1, 2]),
    'an entry of another type: image_h holds <U4': dict(image_h='tall'),
    'numbers that are not finite': dict(features=np.full((3, 4), np.nan)),
    'a file that cannot be read': dict(features=np.array([{'a': 1}], dtype=object)),
    'a box without area': dict(boxes=np.zeros((3, 4))),
    'scores have the shape': dict(scores=np.zeros(7)),
    'an entry of another type: features holds <U1': dict(features=np.array([['a'] * 4] * 3)),
}


@pytest.mark.parametrize('message', NPZ)
def test_bad_npz_arrays(tmp_path: Path, message: str) -> None:
    arrays = {**making.npz_arrays(IMAGES['7']), **NPZ[message]}
    np.savez(tmp_path / 'a.npz', **{key: value for key, value in arrays.items() if value is not None})
    check_bad(RoiNpzFolder(tmp_path), 'a', rf'a\.npz: .*{message}')


@pytest.mark.parametrize('content', ['cut', 'empty', 'array', 'text', 'damaged'])
def test_damaged_npz_files(tmp_path: Path, content: str) -> None:
    path = making.write_npz(tmp_path, {'a': IMAGES['7']}) / 'a.npz'
    whole = path.read_bytes()
    if content == 'array':
        with path.open('wb') as file:
            np.save(file, np.zeros(3))
    else:
        damaged = whole[:200] + bytes(100) + whole[300:]
        path.write_bytes({'cut': whole[: len(whole) // 2], 'empty': b'', 'text': b'hello', 'damaged': damaged}[content])
    check_bad(RoiNpzFolder(tmp_path), 'a', r'a\.npz: a file that cannot be read: .*; remove it')


def test_npz_folders(tmp_path: Path) -> None:
    making.write_npz(tmp_path, {'b': IMAGES['7'], 'a/c': IMAGES['12']})
    assert list(RoiNpzFolder(tmp_path).ids()) == ['a/c', 'b']
    with pytest.raises(FileNotFoundError, match='there is no folder'):
        RoiNpzFolder(tmp_path / 'none')


def test_npz_ids_stay_in_the_folder(tmp_path: Path) -> None:
    making.write_npz(tmp_path, {'root/a': IMAGES['7'], 'root/b/c': IMAGES['7'], 'other/a': IMAGES['12']})
    source = RoiNpzFolder(tmp_path / 'root')
    for other in ('../other/a', 'b/../a', './a', 'b//c', f'{tmp_path}/other/a', '/a', 'a/', 'a/x'):
        assert other not in source
        with pytest.raises(KeyError, match=r'no region features of image .* in .*root'):
            source.get(other)


def test_npz_folders_with_links(tmp_path: Path) -> None:
    making.write_npz(tmp_path, {'root/a': IMAGES['7'], 'root/b/c': IMAGES['7'], 'elsewhere/d/e': IMAGES['12']})
    root = tmp_path / 'root'
    (root / 'far').symlink_to(tmp_path / 'elsewhere')
    (root / 'b' / 'up').symlink_to(root)  # a circle
    (tmp_path / 'elsewhere' / 'd' / 'back').symlink_to(root)
    (root / 'f.npz').symlink_to(root / 'a.npz')
    (root / 'gone.npz').symlink_to(tmp_path / 'gone.npz')
    (root / 'self.npz').symlink_to(root / 'self.npz')
    (root / '.npz').write_bytes(b'')
    (root / 'g.npz').mkdir()
    source = RoiNpzFolder(root)
    ids = list(source.ids())
    assert ids == ['a', 'b/c', 'f', 'far/d/e'] and len(source) == 4
    for image_id in ids:
        assert image_id in source and len(source.get(image_id))
    for other in ('gone', 'self', '', 'g'):
        assert other not in source


# -- LMDB files as a whole


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.95])
@pytest.mark.parametrize('reader', [VoltaLmdb, Uc2Lmdb])
def test_lmdb_cut_short(tmp_path: Path, share: float, reader: Any) -> None:
    path = making.write_lmdb(tmp_path / 'a', {str(k).encode(): bytes(10_000) for k in range(20)}) / 'data.mdb'
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r'data\.mdb .*cut short.*copy it anew'):
        reader(tmp_path / 'a')


def test_no_lmdb(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'there is no LMDB at .*data\.mdb'):
        VoltaLmdb(tmp_path)
    (tmp_path / 'data.mdb').write_bytes(b'hello' * 5000)
    with pytest.raises(ValueError, match='cannot be read as LMDB'):
        VoltaLmdb(tmp_path)


@pytest.mark.parametrize('reader', [VoltaLmdb, Uc2Lmdb])
def test_unknown_ids_of_odd_lmdb_files(tmp_path: Path, reader: Any) -> None:
    for name, values in {'empty': {}, 'only keys': {b'keys': b'x'}, 'no text': {b'\xff': b''}}.items():
        source = reader(making.write_lmdb(tmp_path / name, values))
        with pytest.raises(KeyError, match=f'{name}: there is no key .7. among [01], which look like'):
            source.get('7')


def test_lmdb_of_one_file(tmp_path: Path) -> None:
    making.write_lmdb(tmp_path / 'a.lmdb', {b'7': pickle.dumps(making.volta_raw(IMAGES['7']))}, folder=False)
    assert_same(VoltaLmdb(tmp_path / 'a.lmdb').get('7'), IMAGES['7'])
    making.write_lmdb(tmp_path / 'b.lmdb', {b'\xff': b''}, folder=False)
    with pytest.raises(ValueError, match=r"b\.lmdb: the key b'.xff' is no image id"):
        list(VoltaLmdb(tmp_path / 'b.lmdb').ids())


def test_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = making.write_volta(tmp_path / 'a', IMAGES)
    monkeypatch.setitem(sys.modules, 'lmdb', None)
    with pytest.raises(ModuleNotFoundError, match='needs the package lmdb: pip install lmdb'):
        VoltaLmdb(path)
