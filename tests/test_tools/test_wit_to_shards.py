"""wit_to_shards.py: from tables to shards, killed or not; images joined by address; what it refuses."""

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rc3mm.datasets.corpora.urls import url_digest
from rc3mm.datasets.shards import ShardSet
from tests.test_datasets.test_corpora.corpus_files import (
    COMMONS,
    assert_all_accounted_for,
    counts,
    jpeg,
    wit_row,
    write,
    write_downloads,
)
from tests.test_tools.converting import ADD, RENAME, assert_killed_and_finished, report_of

TOOL = 'dataset_converters/wit_to_shards.py'
LANGUAGES = ('en', 'de', 'fr', 'cs', 'ja', 'zh', 'ru')
WORDS = 'bridge river Prague stone tower old night view of the over'.split()
Warm = Callable[..., object]


def make_tables(folder: Path, rows: int = 1500, images: int = 300) -> list[Path]:
    rng = random.Random(1)
    lines: list[str | bytes] = []
    for _ in range(rows):
        text = ' '.join(rng.choices(WORDS, k=6)) + f' {rng.randrange(10**6)}'
        lines.append(wit_row(rng.choice(LANGUAGES), f'I{rng.randrange(images)}', text))
    lines[3], lines[1400] = 'two\tcolumns', lines[1400].encode() + b'\xff'  # type: ignore[union-attr]
    return [
        write(folder / f'wit_v1.train.all-{number:05d}-of-00003.tsv{suffix}', lines[number::3])
        for number, suffix in enumerate(('.gz', '', '.gz'))
    ]


@pytest.fixture(scope='module')
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_tables(tmp_path_factory.mktemp('wit'))


def command(tables: list[Path], out: Path, *options: object) -> list:
    return [*tables, out, '--rows-per-shard', 64, '--rows-per-group', 16, '--max-fault-share', 0.1, *options]


def test_shards_hold_all_images_with_two_languages(warm: Warm, tables: list[Path], tmp_path: Path) -> None:
    done = warm(TOOL, *command(tables, tmp_path / 'out', '--memory-limit', '2GB'))
    assert done.code == 0, done.output
    shards = ShardSet(tmp_path / 'out')
    records = list(shards.iter_records())
    assert 250 < len(records) == len(shards) <= 300
    assert [record.image_id for record in records] == sorted(f'wit-{url_digest(r.url or "").hex()}' for r in records)
    assert all(len({language for language, _ in record.texts}) >= 2 for record in records)
    assert {language for record in records for language, _ in record.texts} == set(LANGUAGES[:-1])
    assert shards.manifest.kind == 'weak' and 'wit_to_shards.py' in shards.manifest.command
    report = report_of(tmp_path / 'out')
    assert_all_accounted_for(report)
    assert report.num_read == 1500 and report.num_kept == shards.manifest.texts
    assert counts(report)['wrong number of columns'] == counts(report)['bad UTF-8'] == 1
    for words in ('left out', 'other language', f'{len(records)}', 'GB at most'):
        assert words in done.output, done.output
    assert not (tmp_path / 'out.work').exists()
    again = warm(TOOL, *command(tables, tmp_path / 'out', '--memory-limit', '2GB'))
    assert again.code == 0 and 'nothing to do' in again.output
    other = warm(TOOL, *command(tables, tmp_path / 'out', '--min-chars', 9))
    assert other.code == 2 and other.output.count('\n') == 1
    assert 'made of something else' in other.output and 'min_chars' in other.output


def test_killed_in_all_stages(warm: Warm, tables: list[Path], tmp_path: Path) -> None:
    kills = [
        (RENAME, 4, False),  # the first table is written, but does not count yet
        (RENAME, 8, False),  # the sorted file, too
        (ADD, 100, True),  # in the middle of the second shard
        (('rc3mm.datasets.shards.writer', 'module', 'write_json'), 1, False),  # a shard without its report
        (('rc3mm.datasets.shards.writer', 'module', 'index_texts'), 1, True),  # all shards, no manifest
    ]
    assert_killed_and_finished(warm, TOOL, lambda out: command(tables, out), tmp_path, kills)


def test_images_from_downloads(warm: Warm, tables: list[Path], tmp_path: Path) -> None:
    urls = [
        f'http://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/I{k}.jpg/50px-I{k}.jpg' for k in range(0, 300, 2)
    ]
    write_downloads(tmp_path / 'tars', 0, {url: jpeg(k) for k, url in enumerate(urls[:80])})
    write_downloads(tmp_path / 'tars', 1, {url: jpeg(80 + k) for k, url in enumerate(urls[80:])}, table=False)
    done = warm(TOOL, *command(tables, tmp_path / 'out', '--images', tmp_path / 'tars'))
    assert done.code == 0, done.output
    records = {record.url: record for record in ShardSet(tmp_path / 'out').iter_records()}
    assert 100 < len(records) <= 150
    for k in (0, 100, 298):
        assert records[f'{COMMONS}I{k}.jpg'].image_bytes == jpeg(k // 2)
    assert f'{COMMONS}I1.jpg' not in records
    report = report_of(tmp_path / 'out')
    assert_all_accounted_for(report)
    assert counts(report)['image was not downloaded'] > 100 and 'images indexed' in done.output
    done = warm(TOOL, *command(tables, tmp_path / 'all', '--images', tmp_path / 'tars', '--keep-missing'))
    assert done.code == 0, done.output
    images = ShardSet(tmp_path / 'all').manifest.images
    assert images['bytes'] == len(records) and images['none'] > 100 and images['path'] == 0


def test_images_from_a_table(warm: Warm, tables: list[Path], tmp_path: Path) -> None:
    (tmp_path / 'i0.jpg').write_bytes(jpeg())
    table = write(tmp_path / 'paths.tsv', [f'{COMMONS}I{k}.jpg\ti{k}.jpg' for k in range(2)])
    done = warm(TOOL, *command(tables, tmp_path / 'out', '--image-table', table))
    assert done.code == 0, done.output
    (record,) = ShardSet(tmp_path / 'out').iter_records()
    assert record.image_path == str(tmp_path / 'i0.jpg')
    assert counts(report_of(tmp_path / 'out'))['image file is missing'] >= 2


def test_one_line_for_what_cannot_be_done(warm: Warm, tables: list[Path], tmp_path: Path) -> None:
    for number, (options, message) in enumerate(
        (
            (['--languages', 'english'], "languages are codes such as en, .* not 'english'"),
            (['--min-languages', 9], '--min-languages 9 of 6 --languages leaves nothing'),
            (['--memory-limit', '100MB'], r'--memory-limit 0\.10GB leaves too little'),
            (['--memory-limit', 'much'], 'is no size such as 2GB'),
            (['--keep-missing'], '--keep-missing is for --images or --image-table'),
            (['--images', tmp_path], 'there is no .tar file in'),
            (['--max-fault-share', 0], 'wrong number of columns.*--max-fault-share'),
            (['--languages', 'eo', 'he'], 'not one record was kept.*other language'),
        )
    ):
        done = warm(TOOL, *tables, tmp_path / f'out{number}', *options)
        assert done.code == 2 and re.search(message, done.output.splitlines()[-1]), (options, done.output)
        assert 'Traceback' not in done.output
    done = warm(TOOL, *tables)
    assert done.code == 2 and 'is a file, but it should be the folder to write' in done.output
    done = warm(TOOL, tmp_path / 'none.tsv', tmp_path / 'out')
    assert done.code == 2 and f'there is no file {tmp_path}/none.tsv' in done.output


def test_work_of_other_options_is_not_mixed(warm: Warm, tables: list[Path], tmp_path: Path) -> None:
    work = tmp_path / 'work'
    (work / 'mine').mkdir(parents=True)
    done = warm(TOOL, *command(tables, tmp_path / 'a', '--work', work, '--keep-work'))
    assert done.code == 0 and (work / 'a.work' / 'grouped.parquet').is_file()
    shutil.rmtree(tmp_path / 'a')
    done = warm(TOOL, *command(tables, tmp_path / 'a', '--work', work, '--min-chars', 3))
    assert done.code == 2 and 'was begun with other files or options' in done.output
    assert json.loads((work / 'a.work' / 'made_of.json').read_text())['min_chars'] == 6
    done = warm(TOOL, *command(tables, tmp_path / 'a', '--work', work, '--min-chars', 3, '--overwrite'))
    assert done.code == 0 and [path.name for path in work.iterdir()] == ['mine']
