"""Image sources: the same images by every way in, ids that are unique, and each kind of broken image by its name."""

import io
import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rc3mm.datasets import EmojiParallel, EmojiStrict, ShardedPairs
from rc3mm.datasets.base import VLDataset
from rc3mm.datasets.image_sources import (
    BadImageError,
    DatasetImages,
    FolderImages,
    ImageSource,
    ListedImages,
    check_ids,
    decode_image,
    distinct_images,
    open_images,
)
from rc3mm.datasets.parquet_images import ParquetImages
from rc3mm.datasets.shards import ImageTextRecord, ShardWriter

NAMES = ['a', 'b/c', 'b/ü 犬', 'z']


def encoded(shade: int = 0, kind: str = 'PNG', size: tuple[int, int] = (12, 8)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / 'images'
    for shade, name in enumerate(NAMES):
        path = root / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(shade))
    (root / 'notes.txt').write_text('not an image')
    (root / '.hidden.png').write_bytes(b'')
    return root


def listed(folder: Path, with_ids: bool) -> ListedImages:
    path = folder / 'list.txt'
    lines = [f'{name}\t{name}.png' if with_ids else f'{name}.png' for name in NAMES]
    path.write_text('\n'.join(lines) + '\n\n', encoding='utf-8')
    return ListedImages(path)


def parquet(path: Path, images: list[Any], ids: list[Any], rows: int = 2) -> Path:
    pq.write_table(pa.table({'image': images, 'image_id': ids}), path, row_group_size=rows)
    return path


def sources(folder: Path, kind: str) -> ImageSource:
    if kind == 'folder':
        return FolderImages(folder)
    if kind.startswith('list'):
        return listed(folder, kind == 'list with ids')
    files = [folder / f'{name}.png' for name in NAMES]
    images: list[Any] = [file.read_bytes() for file in files]
    if kind == 'parquet of paths':
        images = [f'{name}.png' for name in NAMES]
    if kind == 'parquet of structures':
        images = [{'bytes': image, 'path': None} for image in images]
    if kind == 'parquet files':
        return ParquetImages(
            [parquet(folder / '1.parquet', images[:3], NAMES[:3]), parquet(folder / '2.parquet', images[3:], NAMES[3:])]
        )
    return ParquetImages([parquet(folder / '1.parquet', images, NAMES, rows=3)])


KINDS = ['folder', 'list', 'list with ids', 'parquet', 'parquet of paths', 'parquet of structures', 'parquet files']


@pytest.mark.parametrize('kind', KINDS)
def test_every_way_in_gives_the_same_images(folder: Path, kind: str) -> None:
    source = pickle.loads(pickle.dumps(sources(folder, kind)))
    assert list(source.ids()) == NAMES and len(source) == 4
    for index in (3, 0, 1, 2, 3):  # any order
        sample = source.sample(index)
        assert sample['image_id'] == NAMES[index]
        expected = np.asarray(Image.open(folder / f'{NAMES[index]}.png'))
        assert (decode_image(sample) == expected).all()
        assert str(folder) in source.origin(index)
    assert check_ids(source) == check_ids(FolderImages(folder))


def test_rows_are_counted_within_their_file(folder: Path) -> None:
    source = sources(folder, 'parquet files')
    assert [source.origin(k).rpartition('/')[2] for k in range(4)] == [
        '1.parquet, row 0',
        '1.parquet, row 1',
        '1.parquet, row 2',
        '2.parquet, row 0',
    ]


def test_the_fingerprint_is_of_ids_order_and_limit(folder: Path) -> None:
    source = FolderImages(folder)
    seen = {check_ids(source), check_ids(source, 3), check_ids(source, 2)}
    (folder / 'a.png').rename(folder / 'y.png')
    seen.add(check_ids(FolderImages(folder)))
    assert len(seen) == 4 and check_ids(source, 3) == check_ids(source, 3)


def test_links_are_followed_and_loops_are_not(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'x.JPG').write_bytes(encoded(9, 'JPEG'))
    os.symlink(outside, folder / 'linked')
    os.symlink(folder, folder / 'b' / 'loop')
    assert list(FolderImages(folder).ids()) == ['a', 'b/c', 'b/ü 犬', 'linked/x', 'z']


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.text(st.characters(exclude_characters='\n\r\t', codec='utf-8'), min_size=1), min_size=1))
def test_equal_ids_are_refused_and_others_are_not(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = parquet(tmp_path_factory.mktemp('ids') / 'x.parquet', ['a.png'] * len(names), names)
    source = ParquetImages([path])
    if len(set(names)) == len(names):
        check_ids(source)
    else:
        with pytest.raises(ValueError, match='two images have the id'):
            check_ids(source)


def test_equal_ids_name_both_places(folder: Path, tmp_path: Path) -> None:
    (folder / 'a.jpg').write_bytes(encoded(7, 'JPEG'))
    with pytest.raises(ValueError, match=r"id 'a': .*a\.jpg and .*a\.png"):
        check_ids(FolderImages(folder))
    path = tmp_path / 'list.txt'
    path.write_text('7\tx.png\n8\ty.png\n\n7\tz.png\n')
    with pytest.raises(ValueError, match=r"id '7': .*list\.txt, line 1 and .*list\.txt, line 4"):
        check_ids(ListedImages(path))
    path.write_text('\tx.png\n')
    with pytest.raises(ValueError, match=r'list\.txt, line 1 has an empty id'):
        check_ids(ListedImages(path))


def test_one_group_of_rows_is_in_memory(tmp_path: Path) -> None:
    blob = os.urandom(1 << 20)
    path = tmp_path / 'x.parquet'
    pq.write_table(pa.table({'image': [blob] * 24, 'image_id': list(range(24))}), path, row_group_size=2)
    source = ParquetImages([path])
    before = pa.total_allocated_bytes()
    peaks = []
    for index in range(24):
        source.sample(index)
        peaks.append(pa.total_allocated_bytes() - before)
    assert max(peaks) < 8 * len(blob)


def test_a_folder_of_many_images_costs_little(tmp_path: Path) -> None:
    for k in range(2000):
        (tmp_path / f'{k:09d}.png').touch()
    tracemalloc.start()
    source = FolderImages(tmp_path)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(source) == 2000 and kept < 60 * 2000


# ----------------------------------------------------------------------------------------------- shard sets


def shards_of_paths(folder: Path, root: Path) -> None:
    """A set of four images by path, relative to a folder elsewhere."""
    with ShardWriter(folder, made_of={}, kind='strict', image_root=str(root)) as writer:
        for name in NAMES:
            writer.add(ImageTextRecord(f'{root.name}-{name}', (('en', 'x'), ('de', 'y')), image_path=f'{name}.png'), 0)


@pytest.mark.parametrize('place', ['', '/part-00000.parquet', '/part-*.parquet'])
def test_images_by_path_lie_where_the_manifest_says(folder: Path, tmp_path: Path, place: str) -> None:
    shards_of_paths(tmp_path / 'set', folder)
    source = pickle.loads(pickle.dumps(open_images(f'{tmp_path}/set{place}')))
    for index, name in enumerate(NAMES):
        assert source.sample(index)['image_path'] == str(folder / f'{name}.png')
        assert decode_image(source.sample(index)).shape == (8, 12, 3)


def test_several_sets_have_roots_of_their_own(folder: Path, tmp_path: Path) -> None:
    for name in ('1', '2'):
        shards_of_paths(tmp_path / 'sets' / name, tmp_path / f'root {name}')
    parquet(tmp_path / 'sets' / 'x.parquet', ['a.png'], ['plain'])
    source = open_images(f'{tmp_path}/sets/**/*.parquet')
    found = [source.sample(index)['image_path'] for index in range(9)]
    expected = [str(tmp_path / f'root {number}' / f'{name}.png') for number in (1, 2) for name in NAMES]
    assert sorted(found) == sorted([*expected, str(tmp_path / 'sets' / 'a.png')])


def test_a_manifest_of_something_else(folder: Path) -> None:
    parquet(folder / 'x.parquet', ['a.png'], [1])
    (folder / 'manifest.json').write_text('{"name": "a web page"}')
    assert open_images(str(folder)).sample(0)['image_path'] == str(folder / 'a.png')
    (folder / 'manifest.json').write_text('{"image_ro')
    with pytest.raises(ValueError, match=r'images/manifest\.json is no JSON'):
        open_images(str(folder))
    with pytest.raises(ValueError, match='1 files, but 2 folders of images'):
        ParquetImages([folder / 'x.parquet'], roots=['a', 'b'])


# ------------------------------------------------------------------------------------------------- datasets


def test_datasets_are_sources() -> None:
    dataset = EmojiStrict(num_scenes=5, image_size=32, num_concepts=20)
    source = DatasetImages(dataset, 'emoji', distinct_images(dataset, 'emoji', limit=3))
    assert [name[-7:] for name in source.ids()] == ['-000000', '-000001', '-000002']
    assert (decode_image(source.sample(2)) == dataset.get_image(2)).all()
    with pytest.raises(ValueError, match='text has no images; name a source with images'):
        distinct_images(EmojiParallel(num_scenes=5, num_concepts=20), 'text')


def test_ids_of_a_dataset_are_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand scenes have ids without one being drawn, but for the first, which shows that there are images."""
    dataset = EmojiStrict(num_scenes=10_000, image_size=32, num_concepts=20)
    for index in (0, 7):
        assert dataset.get_image_id(index) == VLDataset.get_image_id(dataset, index)
    drawn: list[int] = []
    own = dataset.get_sample
    monkeypatch.setattr(dataset, 'get_sample', lambda index: (drawn.append(index), own(index))[1])
    source = DatasetImages(dataset, 'emoji', distinct_images(dataset, 'emoji'))
    check_ids(source)
    assert len(source) == 10_000 and drawn == [0]
    assert source.sample(4)['image_id'] == list(source.ids())[4]


def test_an_image_of_several_samples_counts_once(tmp_path: Path) -> None:
    (tmp_path / 'a.png').write_bytes(encoded(1))
    images = [('1', 'a.png'), ('1', 'a.png'), ('2', 'gone.png'), ('1', 'a.png')]
    with ShardWriter(tmp_path / 'set', made_of={}, kind='strict', image_root=str(tmp_path)) as writer:
        for image_id, path in images:
            writer.add(ImageTextRecord(image_id, (('en', 'x'), ('de', 'y')), image_path=path), 0)
    dataset = ShardedPairs(path=tmp_path / 'set')
    source = DatasetImages(dataset, 'pairs', distinct_images(dataset, 'pairs'))
    assert list(source.ids()) == ['1', '2']
    assert source.origin(1) == 'pairs, sample 2'
    assert decode_image(source.sample(0)).shape == (8, 12, 3)
    with pytest.raises(BadImageError, match='missing file'):
        decode_image(source.sample(1))


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize('in_memory', [True, False])
@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'empty file'),
        (b'<html>404</html>', 'not an image'),
        (encoded(1, 'JPEG', (200, 200))[:4000], 'truncated image'),
        (encoded(1, 'PNG', (200, 200))[:4000], 'truncated image'),
    ],
)
def test_broken_images_are_told_apart(content: bytes, reason: str, in_memory: bool, tmp_path: Path) -> None:
    path = tmp_path / 'x.jpg'
    path.write_bytes(content)
    sample = {'image_id': 'x', **({'image_bytes': content} if in_memory else {'image_path': str(path)})}
    with pytest.raises(BadImageError) as caught:
        decode_image(sample)
    assert caught.value.reason == reason and caught.value.detail


@pytest.mark.parametrize(
    ('sample', 'reason'),
    [
        ({'image_path': '/nowhere/x.jpg'}, 'missing file'),
        ({}, 'no image'),
        ({'image': np.zeros((0, 4, 3), np.uint8)}, 'not an RGB image'),
        ({'image': np.zeros((4, 4), np.uint8)}, 'not an RGB image'),
    ],
)
def test_what_is_no_image_is_told_apart(sample: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        decode_image({'image_id': 'x', **sample})


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 40)
    with pytest.raises(BadImageError, match='too many pixels'):
        decode_image({'image_id': 'x', 'image_bytes': encoded(0)})


def test_bad_sources_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'no image below the folder .*\.jpg'):
        FolderImages(tmp_path)
    (tmp_path / 'x.txt').write_bytes(b'\n')
    with pytest.raises(ValueError, match=r'x\.txt is empty: it should have a path'):
        ListedImages(tmp_path / 'x.txt')
    (tmp_path / 'y.txt').write_bytes(b'a\nb\xff\n')
    with pytest.raises(ValueError, match=r'y\.txt, line 2 is not UTF-8'):
        list(ListedImages(tmp_path / 'y.txt').ids())
    path = parquet(tmp_path / 'x.parquet', [b'1', None], [1, None])
    with pytest.raises(ValueError, match=r"no column 'jpg'; give one of \['image', 'image_id'\] as --image-column"):
        ParquetImages([path], image_column='jpg')
    with pytest.raises(ValueError, match=r'x\.parquet, row 1 has no id'):
        list(ParquetImages([path]).ids())
    with pytest.raises(ValueError, match=r'there are no rows in .*empty'):
        ParquetImages([parquet(tmp_path / 'empty.parquet', [], [])])
    with pytest.raises(ValueError, match=r'values of type int; encoded images or paths are expected'):
        ParquetImages([parquet(tmp_path / 'int.parquet', [1], [1])]).sample(0)
    null = ParquetImages([parquet(tmp_path / 'null.parquet', [b'', None], [1, 2])])
    with pytest.raises(BadImageError, match='no image'):
        decode_image(null.sample(1))


def test_damaged_parquet_names_the_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / 'x.parquet', [os.urandom(2000) for _ in range(8)], list(range(8)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r'x\.parquet cannot be read as Parquet'):
        ParquetImages([path])
    path.write_bytes(whole[:4] + b'\xff' * 3000 + whole[3004:])
    with pytest.raises(ValueError, match=r'x\.parquet is damaged in row group 0'):
        ParquetImages([path]).sample(0)
