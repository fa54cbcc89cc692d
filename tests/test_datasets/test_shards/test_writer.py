"""ShardWriter: whole shards or none, restarts that leave no trace, and records that are refused by name."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rc3mm.datasets.shards import DropReport, ImageTextRecord, RecordError, ShardSet, ShardWriter
from tests.test_datasets.test_shards.making import make_set, record

ROOT = Path(__file__).resolve().parents[3]
SETTINGS: dict[str, Any] = dict(made_of={'in': {'bytes': 9}}, kind='weak', rows_per_shard=8, rows_per_group=4)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def write(folder: Path, stop: int, die_at: int | None = None, **changes: Any) -> ShardWriter:
    """Convert the numbers below `stop`, of which every seventh is a fault and every fifth is left out."""
    report = DropReport(max_fault_share=1.0, samples=3)
    with ShardWriter(folder, **{**SETTINGS, 'report': report, **changes}) as writer:
        if writer.finished:
            return writer
        for number in range(0 if writer.cursor is None else writer.cursor + 1, stop):
            if number == die_at:
                raise KeyboardInterrupt
            report.read()
            if number % 7 == 6:
                report.fault('seventh', f'in:{number}')
            elif number % 5 == 4:
                report.rule('fifth', f'in:{number}')
            else:
                report.kept()
                writer.add(record(number), number)
    return writer


def test_a_finished_set_holds_what_was_added_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / 'a', 40)
    assert sorted(content(tmp_path / 'a')) == [
        *(f'index/{name}.npy' for name in ('images', 'languages', 'lengths', 'text_offsets')),
        'manifest.json',
        *(f'part-{number:05d}.parquet' for number in range(4)),
    ]
    shards = ShardSet(tmp_path / 'a')
    kept = [number for number in range(40) if number % 7 != 6 and number % 5 != 4]
    assert list(shards.iter_records()) == [record(number) for number in kept]
    manifest = shards.manifest
    assert manifest.report['read'] == 40 and manifest.report['kept'] == manifest.rows == len(kept)
    assert manifest.texts_by_language == dict.fromkeys(('de', 'en', 'ja', 'zh'), len(kept))
    assert manifest.pairs_by_languages == dict.fromkeys(
        ('de-en', 'de-ja', 'de-zh', 'en-ja', 'en-zh', 'ja-zh'), len(kept)
    )
    assert manifest.images == {'bytes': len(kept), 'path': 0, 'none': 0}


@pytest.mark.parametrize('moments', [[3], [13], [20, 21], [8, 39]])
def test_an_interrupted_conversion_ends_with_the_same_bytes(tmp_path: Path, moments: list[int]) -> None:
    write(tmp_path / 'whole', 40)
    for moment in moments:
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / 'broken', 40, die_at=moment)
        assert not list((tmp_path / 'broken').glob('.*'))
        assert not (tmp_path / 'broken' / 'manifest.json').exists()
    write(tmp_path / 'broken', 40)
    assert content(tmp_path / 'broken') == content(tmp_path / 'whole')


KILLED = """
import os, signal
from pathlib import Path
from rc3mm.datasets.shards import writer
from tests.test_datasets.test_shards.test_writer import write

calls = 0
own = writer.write_json
def write_json(path, entries):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    own(path, entries)
writer.write_json = write_json
write(Path({folder!r}), 40)
"""


@pytest.mark.parametrize('call', [3, 6])
def test_killed_between_a_shard_and_its_note(tmp_path: Path, call: int) -> None:
    """The second shard lies there without its note; or all shards do, the last one short, without the manifest."""
    folder = tmp_path / 'broken'
    code = KILLED.format(call=call, folder=str(folder))
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    assert not (folder / 'manifest.json').exists() and (folder / 'part-00001.parquet').exists()
    with pytest.raises(FileNotFoundError, match=r'begun but not finished; run its converter again'):
        ShardSet(folder)
    write(folder, 40)
    write(tmp_path / 'whole', 40)
    assert content(folder) == content(tmp_path / 'whole')


def test_a_finished_set_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / 'a', 40)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'a').rglob('*')}
    writer = write(tmp_path / 'a', 40)
    assert writer.finished and writer.manifest.rows == 28 and writer.report.num_read == 40
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / 'a').rglob('*')}
    with pytest.raises(ValueError, match=r'is finished; nothing can be added'):
        writer.add(record(1), 1)


@pytest.mark.parametrize('finished', [True, False])
def test_a_folder_made_of_something_else_is_refused(tmp_path: Path, finished: bool) -> None:
    folder = tmp_path / 'a'
    if finished:
        write(folder, 12)
    else:
        with pytest.raises(KeyboardInterrupt):
            write(folder, 12, die_at=11)
    with pytest.raises(ValueError, match=r'a was made of something else: made_of\.in\.bytes 9, now 10\. .*--overwrite'):
        write(folder, 12, made_of={'in': {'bytes': 10}})
    with pytest.raises(ValueError, match=r'rows_per_shard 8, now 12'):
        write(folder, 12, rows_per_shard=12)
    (folder / 'notes.txt').write_text('mine')
    write(folder, 3, made_of={'in': {'bytes': 10}}, overwrite=True)
    assert ShardSet(folder).manifest.rows == 3 and not (folder / 'part-00001.parquet').exists()
    assert (folder / 'notes.txt').read_text() == 'mine'


def test_overwriting_leaves_what_is_made_of_the_same(tmp_path: Path) -> None:
    for moment in (13, 30):  # the second run goes on behind the first shard
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / 'a', 40, die_at=moment, overwrite=True)
    writer = ShardWriter(tmp_path / 'a', **SETTINGS, overwrite=True)
    assert writer.cursor is not None and writer.cursor > 20
    write(tmp_path / 'a', 40, overwrite=True)
    (tmp_path / 'a' / 'relevance' / 'labse').mkdir(parents=True)
    (tmp_path / 'a' / 'relevance' / 'labse' / 'scorer.json').write_text('{}')
    before = content(tmp_path / 'a')
    assert write(tmp_path / 'a', 40, overwrite=True).finished
    assert content(tmp_path / 'a') == before
    write(tmp_path / 'a', 40, overwrite=True, rows_per_shard=12)
    assert not (tmp_path / 'a' / 'relevance').exists()


def test_overwriting_what_nobody_can_read(tmp_path: Path) -> None:
    (tmp_path / 'part-00007.parquet').write_bytes(b'')
    (tmp_path / 'manifest.json').write_text('{')
    write(tmp_path, 3, overwrite=True)
    assert len(ShardSet(tmp_path)) == 3 and not (tmp_path / 'part-00007.parquet').exists()


def test_halves_of_surrogate_pairs_do_not_spoil_a_set(tmp_path: Path) -> None:
    made_of = {'files': ['caf\udce9.tsv: 3 bytes']}  # a file name that is not UTF-8
    report = DropReport()
    report.fault('no valid record', 'caf\udce9.tsv:2', '\ud800')
    for _ in range(2):
        write(tmp_path, 12, report=report, made_of=made_of, command='convert caf\udce9.tsv')
    manifest = ShardSet(tmp_path).manifest
    assert manifest.made_of == made_of and manifest.command == 'convert caf\udce9.tsv'


def test_the_folder_of_images_is_kept_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'a', 3, image_root='images/jpg')
    assert ShardSet(tmp_path / 'a').manifest.image_root == str(tmp_path / 'images/jpg')
    assert write(tmp_path / 'a', 3, image_root=str(tmp_path / 'images/jpg')).finished


def test_shards_of_unknown_origin_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'part-00000.parquet').write_bytes(b'')
    with pytest.raises(ValueError, match=r'holds shards but neither manifest\.json nor plan\.json'):
        write(tmp_path, 3)


def test_an_empty_input_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    report = DropReport()
    report.rule('too short', 'a:1', count=3)
    with (
        pytest.raises(ValueError, match=r'not one record was kept\. Reasons: too short \(3\)'),
        ShardWriter(tmp_path, **SETTINGS, report=report),
    ):
        pass


BAD = {
    'has an empty image_id': record(0, image_id=''),
    'has no texts': record(0, texts=()),
    "text 1 is empty or has no language: ('de', '  ')": record(0, texts=(('en', 'a'), ('de', '  '))),
    "text 0 is empty or has no language: ('', 'a')": record(0, texts=(('', 'a'),)),
    'is no valid text': record(0, texts=(('en', 'a \ud800'),)),
    '0 <= first < second < 4': record(0, relevance=((1, 1, 0.5),)),
    'relevance of texts 0 and 4, but': record(0, relevance=((0, 4, 0.5),)),
    'relevance of texts 0 and 1 comes twice': record(0, relevance=((0, 1, 0.5), (0, 1, 0.5))),
    'relevance nan of texts 0 and 1 is outside [0, 1]': record(0, relevance=((0, 1, float('nan')),)),
    'relevance 1.5 of texts 0 and 1 is outside [0, 1]': record(0, relevance=((0, 1, 1.5),)),
}


@pytest.mark.parametrize('complaint', BAD)
def test_records_that_cannot_be_kept(tmp_path: Path, complaint: str) -> None:
    with ShardWriter(tmp_path, **SETTINGS, scorer='made') as writer:
        with pytest.raises(RecordError) as caught:
            writer.add(BAD[complaint], 0)
        assert complaint in str(caught.value) and '(in:0)' in str(caught.value)
        writer.add(record(1), 1)
    assert [item.image_id for item in ShardSet(tmp_path).iter_records()] == ['i1']


def test_what_does_not_fit_the_set_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordError, match=r'name its scorer in ShardWriter\(scorer=\.\.\.\)'),
        ShardWriter(tmp_path / 'a', **SETTINGS) as writer,
    ):
        writer.add(record(0, relevance=((0, 1, 0.5),)), 0)
    with (
        pytest.raises(RecordError, match='has an image, but parallel text has none'),
        ShardWriter(tmp_path / 'b', **{**SETTINGS, 'kind': 'parallel'}) as writer,
    ):
        writer.add(record(0), 0)
    with pytest.raises(ValueError, match=r'a positive multiple of rows_per_group.* got 10 and 4'):
        ShardWriter(tmp_path / 'c', **{**SETTINGS, 'rows_per_shard': 10})
    with pytest.raises(ValueError, match=r"one of strict, weak, parallel, retrieval, got 'wit'"):
        ShardWriter(tmp_path / 'd', **{**SETTINGS, 'kind': 'wit'})


def test_layout_on_the_disk(tmp_path: Path) -> None:
    """Small row groups; image bytes as they are, everything else compressed; a checksum a page."""
    make_set(tmp_path, [record(number) for number in range(18)])
    file = pq.ParquetFile(tmp_path / 'part-00000.parquet')
    assert file.metadata.num_row_groups == 4 and file.metadata.num_rows == 16
    columns = [file.metadata.row_group(0).column(k) for k in range(file.metadata.num_columns)]
    for column in columns:
        image = column.path_in_schema == 'image.bytes'
        assert column.compression == ('UNCOMPRESSED' if image else 'ZSTD')
        assert not image or ('PLAIN_DICTIONARY' not in column.encodings and 'RLE_DICTIONARY' not in column.encodings)
        assert not image or column.statistics is None
    manifest = json.loads((tmp_path / 'manifest.json').read_text())
    assert [shard['rows'] for shard in manifest['shards']] == [16, 2]


def test_the_datasets_library_reads_and_decodes_them(tmp_path: Path) -> None:
    datasets = pytest.importorskip('datasets')
    records = [record(number) for number in range(5)]
    make_set(tmp_path / 'set', records)
    files = str(tmp_path / 'set' / 'part-*.parquet')
    loaded = datasets.load_dataset('parquet', data_files=files, split='train', cache_dir=str(tmp_path / 'cache'))
    assert loaded[3]['image'].size == (12, 8)
    texts = [(text['language'], text['text']) for text in loaded[3]['texts']]
    assert ImageTextRecord('i3', tuple(texts)).texts == records[3].texts
