"""ShardSet: any row by number, in constant memory, in any process; damage is named."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from rc3mm.datasets import Tokenize
from rc3mm.datasets.image_sources import check_ids, decode_image, open_images
from rc3mm.datasets.shards import ImageTextRecord, RelevanceWriter, ShardSet
from rc3mm.datasets.shards.token_lengths import write_token_lengths
from tests.test_datasets.test_shards.making import jpeg, make_set, record

RECORDS = [
    record(k, ('en', 'de', 'ja', 'zh')[: k % 4 + 1], relevance=((0, 1, 0.25),) if k % 4 else None) for k in range(41)
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp('shards') / 'set'
    make_set(place, RECORDS, scorer='made')
    return place


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_any_row_in_any_order(
    folder: Path, wanted: list[tuple[int, bool]], files: int, groups: int, whole: bool
) -> None:
    shards = ShardSet(folder, open_files=files, cached_groups=groups)
    shards.whole_groups = whole
    assert len(shards) == 41
    for index, image in wanted:
        expected = RECORDS[index]
        found = shards.record(index, image)
        assert found.image_bytes == (expected.image_bytes if image else None)
        assert (found.image_id, found.texts, found.relevance) == (expected.image_id, expected.texts, expected.relevance)
        assert shards.texts(index) == expected.texts


@settings(max_examples=40, deadline=None)
@given(st.integers(-45, 45), st.integers(-45, 45) | st.none())
def test_streaming_any_range(folder: Path, start: int, stop: int | None) -> None:
    shards = ShardSet(folder)
    assert [item.image_id for item in shards.iter_records(start, stop, image=False)] == [
        item.image_id for item in RECORDS[start:stop]
    ]


@pytest.mark.parametrize('whole', [True, False])
def test_without_the_image_there_is_nothing_of_it(tmp_path: Path, whole: bool) -> None:
    records = [record(0), record(1, image_bytes=None, image_path='a.jpg'), record(2, image_bytes=None)]
    shards = make_set(tmp_path, records)
    shards.whole_groups = whole
    bare = [record(k, image_bytes=None) for k in range(3)]
    assert [shards.record(k, image=False) for k in range(3)] == list(shards.iter_records(image=False)) == bare
    assert [shards.record(k) for k in range(3)] == list(shards.iter_records()) == records


def test_the_index_knows_the_texts(folder: Path) -> None:
    shards = ShardSet(folder)
    texts = [text for item in RECORDS for text in item.texts]
    assert shards.text_lengths.tolist() == [len(text.encode()) for _, text in texts]
    assert [shards.manifest.languages[code] for code in shards.languages_of] == [language for language, _ in texts]
    assert np.diff(shards.text_offsets).tolist() == [len(item.texts) for item in RECORDS]
    stored = shards.relevance('stored')
    assert [stored[k] for k in range(41)] == [{(0, 1): 0.25} if k % 4 else {} for k in range(41)]
    assert stored.scorer == {'name': 'made'} and shards.scorers() == ['stored']
    assert pickle.loads(pickle.dumps(stored))[1] == {(0, 1): 0.25}


def test_lengths_are_clipped(tmp_path: Path) -> None:
    shards = make_set(tmp_path, [record(0, texts=(('en', 'a' * 70_000), ('de', 'b')))])
    assert shards.text_lengths.tolist() == [65_535, 1]


class Rows(Dataset):
    """Rows of a set, through the loader's worker processes."""

    def __init__(self, shards: ShardSet) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> ImageTextRecord:
        return self.shards.record(index)


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_worker_processes_read_the_same(folder: Path, start: str) -> None:
    shards = ShardSet(folder)
    shards.record(7)  # files are open and groups kept when the workers are made
    assert shards.text_lengths is shards.text_lengths
    assert len(pickle.dumps(shards)) < 1000
    loader = DataLoader(Rows(shards), batch_size=None, num_workers=1, multiprocessing_context=start)
    assert [item.image_id for item in loader] == [item.image_id for item in RECORDS]
    assert shards.record(8) == RECORDS[8]


def test_row_groups_are_read_once_while_they_are_kept(folder: Path) -> None:
    shards = ShardSet(folder, cached_groups=3)
    shards.whole_groups = True
    for index in (0, 5, 9, 1, 6, 10, 3, 4):
        shards.record(index)
    assert shards.groups_read == 3
    shards.texts(0)  # the image's group holds the texts
    assert shards.groups_read == 3
    for index in (40, 0, 5, 9):  # the last row drives out the group that was used longest ago
        shards.record(index)
    assert shards.groups_read == 5


def test_rows_outside_are_refused(folder: Path) -> None:
    shards = ShardSet(folder)
    for index in (-1, 41):
        with pytest.raises(IndexError, match=f'row {index} is outside a set of 41 rows'):
            shards.record(index)
        with pytest.raises(IndexError, match=f'row {index} is outside a set of 41 rows'):
            shards.relevance('stored')[index]


def test_shards_are_a_source_of_images(folder: Path) -> None:
    """For extraction of regions: `open_images` reads the folder as it is."""
    images = open_images(str(folder))
    assert list(images.ids()) == [item.image_id for item in RECORDS]
    assert check_ids(images) and decode_image(images.sample(40)).shape == (8, 12, 3)
    assert images.sample(17)['image_bytes'] == jpeg(17)


# ------------------------------------------------------------------------------------------------- bad input


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    shards = make_set(tmp_path / 'set', RECORDS, scorer='made')
    scores = RelevanceWriter(shards, 'labse', {'name': 'labse'})
    for number in range(3):
        scores.write(number, [[] for _ in shards.shard_rows(number)])
    scores.finish()
    write_token_lengths(shards, Tokenize('emoji'))
    return tmp_path / 'set'


def test_verify_finds_every_kind_of_damage(broken: Path) -> None:
    first, second, third = sorted(broken.glob('*.parquet'))
    content = bytearray(first.read_bytes())
    content[700] ^= 1
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[:-10])
    third.unlink()
    (broken / 'index' / 'lengths.npy').write_bytes(b'')
    problems = ShardSet(broken).verify()
    told = (
        'part-00000.parquet was altered: its sha256',
        'bytes, it was written with',
        'part-00002.parquet is missing',
        'lengths.npy has 0 bytes, it was written with',
    )
    assert len(problems) == 4 and all(part in problem for part, problem in zip(told, problems, strict=True))


def test_verify_reads_every_file(broken: Path) -> None:
    """Whichever file loses a bit or is lost, it alone is named."""
    read: list[int] = []
    assert ShardSet(broken).verify(read.append) == []
    files = [path for path in broken.rglob('*') if path.suffix in ('.parquet', '.npy')]
    assert sum(read) == sum(path.stat().st_size for path in files) and len(files) == len(read) == 19
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (problem,) = ShardSet(broken).verify()
        assert problem.startswith(f'{path} was altered')
        path.write_bytes(content)
    for path in files:
        if not path.name.startswith('tokens-'):  # without it, the lengths were never measured
            path.rename(path.with_suffix('.gone'))
            assert ShardSet(broken).verify() == [f'{path} is missing']
            path.with_suffix('.gone').rename(path)


def test_what_has_no_checksum_is_not_called_intact(broken: Path) -> None:
    scorer, (lengths,) = broken / 'relevance' / 'labse' / 'scorer.json', (broken / 'index').glob('tokens-*.json')
    for path, key, advice in [
        (broken / 'manifest.json', 'index', r'no checksums of the index; make the set again'),
        (scorer, 'files', f'no checksums of the scores; remove {scorer.parent} and score the set again'),
        (lengths, 'sha256', 'has no checksum; remove it and measure the lengths again'),
    ]:
        content = path.read_text()
        path.write_text(json.dumps({name: value for name, value in json.loads(content).items() if name != key}))
        (problem,) = ShardSet(broken).verify()
        assert advice in problem
        path.write_text(content)
    lengths.unlink()
    scorer.write_text(scorer.read_text().replace('"set": "', '"set": "0'))
    problems = ShardSet(broken).verify()
    assert len(problems) == 2 and 'holds scores of another shard set' in problems[0] and 'tokens-' in problems[1]


def test_what_is_intact_must_fit_the_manifest(broken: Path) -> None:
    path = broken / 'manifest.json'
    path.write_text(path.read_text().replace('"texts": 101,', '"texts": 102,'))
    (problem,) = ShardSet(broken).verify()
    assert 'languages.npy holds (101,) uint8, but the manifest says (102,) uint8' in problem


def test_damage_is_named_when_it_is_met(broken: Path) -> None:
    first, second, third = sorted(broken.glob('*.parquet'))
    content = bytearray(first.read_bytes())
    place = content.find(jpeg(0)[:40])
    content[place + 20] ^= 1
    first.write_bytes(content)
    shards = ShardSet(broken)
    with pytest.raises(ValueError, match=r'part-00000\.parquet, row 0: the image is damaged'):
        shards.record(0)
    with pytest.raises(ValueError, match=r'part-00000\.parquet is damaged in row group 0'):
        list(shards.iter_records())
    second.write_bytes(second.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r'part-00001\.parquet cannot be read as Parquet, truncated\?'):
        shards.record(20)
    third.unlink()
    with pytest.raises(FileNotFoundError, match=r'there is no .*part-00002\.parquet; the shard set is not whole'):
        shards.record(40)


def test_an_index_that_does_not_fit_is_named(broken: Path) -> None:
    np.save(broken / 'index' / 'languages.npy', np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match=r'languages\.npy holds \(3,\) uint8, but the manifest says \(101,\)'):
        len(ShardSet(broken).languages_of)
    (broken / 'index' / 'text_offsets.npy').unlink()
    with pytest.raises(FileNotFoundError, match=r'there is no .*text_offsets\.npy; the shard set is not whole'):
        len(ShardSet(broken).text_offsets)


def test_what_is_no_set_is_told(tmp_path: Path, broken: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'is no shard set: there is no manifest\.json; name the folder'):
        ShardSet(tmp_path)
    manifest = broken / 'manifest.json'
    text = manifest.read_text()
    manifest.write_text(text[:100])
    with pytest.raises(ValueError, match=r'manifest\.json is no JSON'):
        ShardSet(broken)
    manifest.write_text(text.replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(ValueError, match='made by a newer rc3mm'):
        ShardSet(broken)
    manifest.write_text('{"rows": 3}')
    with pytest.raises(ValueError, match='cannot be read as the manifest of a shard set'):
        ShardSet(broken)


READ = """
import gc, json, sys
from rc3mm.datasets.shards import ShardSet

def resident():
    lines = open('/proc/self/status', encoding='ascii').read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))

def read(shards, keep):
    kept, most = [], 0
    for _ in range(4):
        for number, record in enumerate(shards.iter_records()):
            kept.append(record if keep else None)
            most = max(most, resident()) if number % 20 == 0 else most
        for index in range(0, 200, 3):
            kept.append(shards.record(index) if keep else shards.record(index).image_id)
            most = max(most, resident()) if index % 20 == 0 else most
    return most

shards = ShardSet(sys.argv[1])
read(shards, False)
gc.collect()
before = resident()
print(json.dumps([read(shards, keep) - before for keep in (False, True)]))
"""


def test_memory_does_not_grow_with_the_set(tmp_path: Path) -> None:
    """64 megabytes of images are streamed and read at random in a process of its own; next to nothing stays.

    The measure is worth something: where the records are kept, it shows them.
    """
    noise = np.random.default_rng(0).bytes(60_000)
    make_set(tmp_path, [record(k, image_bytes=noise) for k in range(200)])
    command = [sys.executable, '-c', READ, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    grown, kept = json.loads(done.stdout)  # kilobytes
    assert grown < 4_000 and kept > 50_000
