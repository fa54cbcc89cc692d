"""cc3m_to_shards.py: tables and JSON lines to strict pairs, killed or not; what it refuses."""

import base64
import json
import os
import re
import shutil
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rc3mm.datasets.shards import ShardSet
from tests.conftest import ROOT
from tests.test_datasets.test_corpora.corpus_files import (
    assert_all_accounted_for,
    counts,
    jpeg,
    write,
    write_downloads,
)
from tests.test_tools.converting import ADD, assert_killed_and_finished, killer, report_of

TOOL = 'dataset_converters/cc3m_to_shards.py'
SMALL = ['--rows-per-shard', 32, '--rows-per-group', 8, '--max-fault-share', 0.1]
LANGUAGES = ('en', 'de', 'fr', 'cs', 'ja', 'zh')
Warm = Callable[..., object]


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    """Six tables of 200 lines, one of them compressed; line 6 is malformed."""
    arguments = []
    for language in LANGUAGES:
        lines: list[str | bytes] = [f'{language} caption {k}\thttps://x.org/{k}.jpg' for k in range(200)]
        lines[5] = b'\xff\thttps://x.org/5.jpg' if language == 'ja' else lines[5]
        path = write(tmp_path / f'{language}.tsv{".gz" if language == "cs" else ""}', lines)
        arguments.append(f'{language}={path}')
    return arguments


@pytest.fixture
def lines(tmp_path: Path) -> list[Path]:
    """Two files of JSON lines, images inside, with relevance."""
    made = [
        {
            'binary': base64.b64encode(jpeg(k)).decode(),
            'caption': {'en': f'caption {k}', 'de': f'Text {k}', 'xx': 'other'},
            'image_id': f'i{k}',
            'relevance': {'0-1': k % 100 / 100},
        }
        for k in range(150)
    ]
    text = [json.dumps(line) for line in made]
    text[70] = '{"caption": '
    return [write(tmp_path / 'a.jsonl', text[:90]), write(tmp_path / 'b.jsonl.gz', text[90:])]


@pytest.mark.parametrize('align', ['line', 'url'])
def test_tables_with_downloaded_images(warm: Warm, tables: list[str], tmp_path: Path, align: str) -> None:
    images = {f'https://x.org/{k}.jpg': jpeg(k) for k in range(150)}
    write_downloads(tmp_path / 'tars', 0, images)
    out = tmp_path / 'out'
    done = warm(TOOL, out, '--tsv', *tables, '--images', tmp_path / 'tars', '--align', align, *SMALL)
    assert done.code == 0, done.output
    records = list(ShardSet(out).iter_records())
    # by address, a broken caption costs its language alone
    assert len(records) == (149 if align == 'line' else 150)
    assert records[0].texts == tuple((language, f'{language} caption 0') for language in LANGUAGES)
    assert all(record.image_bytes == images[record.url or ''] for record in records)
    report = report_of(out)
    assert_all_accounted_for(report)
    assert counts(report) == {'bad UTF-8': 1, 'image was not downloaded': 50}
    assert not (tmp_path / 'out.work').exists()
    again = warm(TOOL, out, '--tsv', *tables, '--images', tmp_path / 'tars', '--align', align, *SMALL)
    assert again.code == 0 and 'nothing to do' in again.output


def test_json_lines(warm: Warm, lines: list[Path], tmp_path: Path) -> None:
    out = tmp_path / 'out'
    done = warm(
        TOOL, out, '--jsonl', *lines, '--languages', 'de', 'en', '--scorer', 'by hand', '--kind', 'weak', *SMALL
    )
    assert done.code == 0, done.output
    shards = ShardSet(out)
    record = shards.record(7)
    assert record.texts == (('en', 'caption 7'), ('de', 'Text 7')) and record.image_bytes == jpeg(7)
    assert record.relevance is not None and record.relevance[0][:2] == (0, 1)
    assert shards.manifest.scorer == 'by hand' and shards.manifest.kind == 'weak'
    unwanted = '(a text of a row) in a language that is not wanted'
    assert counts(report_of(out)) == {'not JSON': 1, unwanted: 149} and len(shards) == 149


def test_paths_below_a_folder(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / 'images').mkdir()
    entries = []
    for k in range(20):
        entries.append(json.dumps({'image': f'{k}.jpg', 'texts': [['en', 'a'], ['de', 'b']]}))
        if k != 3:
            (tmp_path / 'images' / f'{k}.jpg').write_bytes(jpeg(k))
    path = write(tmp_path / 'x.jsonl', entries)
    done = warm(TOOL, tmp_path / 'out', '--jsonl', path, '--image-root', os.path.relpath(tmp_path / 'images', ROOT))
    assert done.code == 0, done.output
    shards = ShardSet(tmp_path / 'out')
    assert shards.manifest.image_root == str(tmp_path / 'images') and shards.record(0).image_path == '0.jpg'
    assert counts(report_of(tmp_path / 'out')) == {'image file is missing': 1}


def test_images_and_captions_of_an_earlier_run_are_not_taken(warm: Warm, tables: list[str], tmp_path: Path) -> None:
    for name, shade in (('old', 1), ('new', 2)):
        write_downloads(tmp_path / name / 'tars', 0, {f'https://x.org/{k}.jpg': jpeg(shade) for k in range(200)})
        write(tmp_path / name / 'it.tsv', [f'{name} testo {k}\thttps://x.org/{k}.jpg' for k in range(200)])

    def command(name: str) -> list:
        texts = ['--tsv', *tables[:2], f'it={tmp_path / name}/it.tsv', '--align', 'url']
        return [tmp_path / 'out', *texts, '--images', tmp_path / name / 'tars', '--work', tmp_path / 'work', *SMALL]

    script = killer(tmp_path / 'kill.py', ADD, 40)
    assert warm(TOOL, *command('old'), before=[script]).code == -signal.SIGKILL
    assert (tmp_path / 'work/out.work/captions.sqlite').is_file()
    shutil.rmtree(tmp_path / 'out')
    done = warm(TOOL, *command('new'))  # the same conversion by names and sizes; the files lie elsewhere
    assert done.code == 0, done.output
    records = list(ShardSet(tmp_path / 'out').iter_records())
    assert len(records) == 200 and {record.image_bytes for record in records} == {jpeg(2)}
    assert all(dict(record.texts)['it'].startswith('new testo') for record in records)
    assert list((tmp_path / 'work').iterdir()) == []


def test_an_archive_that_was_cut_short_costs_its_last_image(warm: Warm, tables: list[str], tmp_path: Path) -> None:
    archive = write_downloads(tmp_path / 'tars', 0, {f'https://x.org/{k}.jpg': jpeg(k) for k in range(200)})
    with tarfile.open(archive) as tar:
        last = [member for member in tar if member.name.endswith('.jpg')][-1]
    archive.write_bytes(archive.read_bytes()[: last.offset_data + 9])
    done = warm(TOOL, tmp_path / 'out', '--tsv', *tables[:2], '--images', tmp_path / 'tars', *SMALL)
    assert done.code == 0 and '1 image cut short' in ' '.join(done.output.split()), done.output
    assert len(ShardSet(tmp_path / 'out')) == 199
    assert counts(report_of(tmp_path / 'out')) == {'image was not downloaded': 1}


def test_whatever_is_in_the_lines_is_shown_and_counted(warm: Warm, tmp_path: Path) -> None:
    good = {'url': 'https://x.org/0.jpg', 'texts': [['en', 'Fig. 2 [/b] x'], ['de', 'a']]}
    bad = '{"url": "http://x/\\ud800.jpg", "texts": [["en", "a"], ["de", "b"]]}'
    path = write(tmp_path / '[x].jsonl', [json.dumps(good), bad, json.dumps({**good, 'texts': 'Fig. 2 [/b] x'})])
    write_downloads(tmp_path / 'tars', 0, {'https://x.org/0.jpg': jpeg()})
    for _ in range(2):
        done = warm(TOOL, tmp_path / '[out]', '--jsonl', path, '--images', tmp_path / 'tars')
        assert done.code == 0 and '[x].jsonl:2' in done.output, done.output
    report = report_of(tmp_path / '[out]')
    assert counts(report) == {'no valid record': 1, 'no texts': 1} and report.num_faults == 2


def test_length_of_a_line_of_a_table(warm: Warm, tables: list[str], tmp_path: Path) -> None:
    done = warm(TOOL, tmp_path / 'out', '--tsv', *tables[:2], '--max-line', 34, *SMALL, '--max-fault-share', 1)
    assert done.code == 0, done.output
    assert counts(report_of(tmp_path / 'out')) == {'line too long': 100}


def test_killed_time_and_again(warm: Warm, tables: list[str], lines: list[Path], tmp_path: Path) -> None:
    kills = [(ADD, 20, True), (ADD, 70, False), (ADD, 64, True)]
    for name, arguments in (
        ('line', ['--tsv', *tables]),
        ('url', ['--tsv', *tables, '--align', 'url']),
        ('json', ['--jsonl', *lines, '--scorer', 'x']),
    ):
        (tmp_path / name).mkdir()

        def command(out: Path, arguments: list = arguments) -> list:
            return [out, *arguments, *SMALL]

        assert_killed_and_finished(warm, TOOL, command, tmp_path / name, kills[: 3 if name == 'line' else 2])


def test_one_line_for_what_cannot_be_done(warm: Warm, tables: list[str], lines: list[Path], tmp_path: Path) -> None:
    short = write(tmp_path / 'short.tsv', ['a\thttps://x.org/0.jpg'])
    for number, (arguments, message) in enumerate(
        (
            ([], 'one of the arguments --tsv --jsonl is required'),
            (['--tsv', tables[0]], 'takes two tables or more'),
            (['--tsv', tables[0], tables[0]], 'each of another language'),
            (['--tsv', 'train.tsv', tables[0]], "'train.tsv' is not of the form LANGUAGE=FILE"),
            (['--tsv', 'german=x', tables[0]], "not 'german'"),
            (['--tsv', tables[0], 'de=none.tsv'], 'there is no file none.tsv'),
            (['--tsv', tables[0], f'de={short}'], r'different numbers of lines: .*200, .*short\.tsv 1\. .*--align url'),
            (['--tsv', *tables, '--scorer', 'x'], '--scorer is for --jsonl'),
            (['--jsonl', *lines], 'has relevance; say with --scorer'),
            (['--jsonl', *lines, '--image-root', 'nowhere'], '--image-root nowhere is no folder'),
            (['--jsonl', *lines, '--max-fault-share', 0, '--scorer', 'x'], 'not JSON.*--max-fault-share'),
        )
    ):
        done = warm(TOOL, tmp_path / f'out{number}', *arguments)
        assert done.code == 2 and re.search(message, done.output.splitlines()[-1]), (arguments, done.output)
        assert 'Traceback' not in done.output
