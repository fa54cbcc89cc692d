"""wikimatrix_to_shards.py: a set a pair of languages, killed or not."""

import signal
from collections.abc import Callable
from pathlib import Path

from rc3mm.datasets.shards import ShardSet
from tests.test_datasets.test_corpora.corpus_files import assert_all_accounted_for, counts, write
from tests.test_tools.converting import ADD, content, killer, report_of

TOOL = 'dataset_converters/wikimatrix_to_shards.py'
Warm = Callable[..., object]


def make_files(folder: Path) -> list[Path]:
    rows = [f'{0.9 + k % 40 / 100:.2f}\tein Hund {k}\ta dog {k}' for k in range(400)]
    rows[7] = '1.2\tone column'
    more = [f'1.1\ta dog {k}\t犬 {k}' for k in range(10)] + ['1.1\tTokyo\tTokyo']
    return [write(folder / 'WikiMatrix.de-en.tsv.gz', rows), write(folder / 'WikiMatrix.en-ja.tsv', more)]


def test_a_set_a_pair_of_languages(warm: Warm, tmp_path: Path) -> None:
    files = make_files(tmp_path)
    done = warm(TOOL, *files, tmp_path / 'out')
    assert done.code == 0, done.output
    german, japanese = (ShardSet(tmp_path / 'out' / pair) for pair in ('de-en', 'en-ja'))
    assert german.manifest.kind == japanese.manifest.kind == 'parallel'
    assert german.manifest.languages == ('de', 'en') and len(japanese) == 10
    assert japanese.record(3).texts == (('en', 'a dog 3'), ('ja', '犬 3'))
    report = report_of(tmp_path / 'out/de-en')
    assert_all_accounted_for(report)
    assert counts(report) == {'wrong number of columns': 1, 'margin below 1.04': 139} and len(german) == 260
    assert counts(report_of(tmp_path / 'out/en-ja')) == {'both sides alike': 1}
    other = warm(TOOL, *files, tmp_path / 'out', '--threshold', 1.1)
    assert other.code == 2 and 'threshold 1.04, now 1.1' in other.output


def test_killed_in_the_middle(warm: Warm, tmp_path: Path) -> None:
    small = ['--rows-per-shard', 64, '--rows-per-group', 16]
    files = make_files(tmp_path)
    assert warm(TOOL, *files, tmp_path / 'whole', *small).code == 0
    for number in (100, 30, 137):
        script = killer(tmp_path / 'kill.py', ADD, number)
        assert warm(TOOL, *files, tmp_path / 'killed', *small, before=[script]).code == -signal.SIGKILL
    assert warm(TOOL, *files, tmp_path / 'killed', *small).code == 0
    for pair in ('de-en', 'en-ja'):
        assert content(tmp_path / 'killed' / pair) == content(tmp_path / 'whole' / pair)
        assert report_of(tmp_path / 'killed' / pair).to_json() == report_of(tmp_path / 'whole' / pair).to_json()


def test_one_line_for_what_cannot_be_done(warm: Warm, tmp_path: Path) -> None:
    files = make_files(tmp_path)
    other = write(tmp_path / 'de-en.tsv', ['1.2\ta\tb'])
    for arguments, message in (
        ([other, tmp_path / 'a'], 'expected a name such as WikiMatrix.de-en.tsv.gz'),
        ([tmp_path / 'WikiMatrix.cs-de.tsv', tmp_path / 'b'], 'there is no file'),
        ([files[0], files[0], tmp_path / 'c'], 'two files of the same pair of languages'),
        ([files[1], tmp_path / 'd', '--threshold', 9], 'not one record was kept. Reasons: margin below 9 (11)'),
    ):
        done = warm(TOOL, *arguments)
        assert done.code == 2 and message in done.output, (arguments, done.output)
