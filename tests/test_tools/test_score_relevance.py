"""tools/score_relevance.py on real shard sets: scores are the scorer's, however many processes made them."""

import importlib
import itertools
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rc3mm.datasets import EmojiParallel, EmojiWeak
from rc3mm.datasets.shards import ImageTextRecord, ShardSet, ShardWriter
from rc3mm.registry import RELEVANCE_SCORERS
from rc3mm.relevance import PrecomputedRelevance, SentenceIDRelevance
from tests.conftest import ENVIRONMENT, ROOT, WarmLauncher
from tests.sentence_encoder import make_encoder

WORLD = dict(num_concepts=30, image_size=32)


def write_shards(
    folder: Path, texts: list[list[tuple[str, str]]], kind: str = 'weak', rows_per_shard: int = 64
) -> Path:
    with ShardWriter(folder, made_of={'rows': len(texts)}, kind=kind, rows_per_shard=rows_per_shard) as writer:
        for number, own in enumerate(texts):
            writer.add(ImageTextRecord(f'image-{number}', tuple(own)), number)
    return folder


def weak_texts(count: int, seed: int) -> list[list[tuple[str, str]]]:
    """Texts of images, mostly two; now and then none that can be paired, or a third one in a language that is there."""
    dataset = EmojiWeak(num_scenes=count, seed=seed, **WORLD)
    texts = [dataset.get_texts(index) for index in range(count)]
    return [own[:1] if k % 10 == 3 else [*own, own[0]] if k % 10 == 5 else own for k, own in enumerate(texts)]


@pytest.fixture(scope='module')
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('sets')
    write_shards(folder / 'weak', weak_texts(300, 5))
    strict = EmojiParallel(num_scenes=400, seed=1, **WORLD)
    write_shards(folder / 'strict', [strict.get_texts(index) for index in range(400)], 'strict')
    write_shards(folder / 'one', [[('en', f'cat {k}')] for k in range(5)])
    return folder


@pytest.fixture
def weak(sets: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sets / 'weak', tmp_path / 'weak'))


@dataclass
class Scored:
    """A set that was scored by one process: its folder, the arguments, what was printed, the files before."""

    folder: Path
    arguments: list[str]
    output: str
    before: dict[Path, bytes]


@pytest.fixture(scope='module')
def scored(warm: WarmLauncher, sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = Path(shutil.copytree(sets / 'weak', tmp_path_factory.mktemp('scored') / 'weak'))
    before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    arguments = ['--scorer', f'sentence_id:{sets / "strict"},{sets / "weak"}', '--calibrate-on', str(sets / 'strict')]
    picture = folder.parent / 'here' / 'h.png'
    done = warm('score_relevance.py', folder, *arguments, '--examples', 3, '--histogram', picture)
    assert done.code == 0, done.output
    return Scored(folder, arguments, done.output, before)


def files_of(folder: Path) -> dict[str, bytes]:
    """What a folder of scores holds, but for the picture."""
    return {path.name: path.read_bytes() for path in folder.rglob('*') if path.is_file() and path.suffix != '.png'}


def interrupt(folder: Path) -> None:
    """Leave a folder of finished scores as if the run had died in its fourth shard."""
    (folder / 'part-00003.parquet').unlink()
    (folder / 'scorer.json').rename(folder / 'plan.json')


@pytest.fixture(scope='module')
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp('encoder'))


def table_row(output: str, languages: str) -> list[str]:
    (line,) = [line for line in output.splitlines() if line.split()[:1] == [languages]]
    return line.replace(' %', '%').split()


def test_scores_are_those_of_the_scorer_and_lie_beside_the_shards(scored: Scored, sets: Path) -> None:
    assert all(path.read_bytes() == content for path, content in scored.before.items())
    shards = ShardSet(scored.folder)
    scores = shards.relevance('sentence_id')
    scorer = SentenceIDRelevance(state=scored.folder / 'relevance' / 'sentence_id' / 'sentence_id.safetensors')
    scorer.calibration = scorer.calibration.from_json(scores.scorer['calibration'])
    for row in range(len(shards)):
        texts = shards.texts(row)
        pairs = [(a, b) for a, b in itertools.combinations(range(len(texts)), 2) if texts[a][0] != texts[b][0]]
        expected = scorer.score([texts[a] for a, _ in pairs], [texts[b] for _, b in pairs]).tolist()
        assert scores[row] == dict(zip(pairs, expected, strict=True))
    strict = str(sets / 'strict')
    assert scores.scorer.items() >= {'name': 'sentence_id', 'config': scorer.config, 'calibrated_on': strict}.items()
    assert scores.scorer['spec']['corpus'] == strict and len(scores.score) > 250
    with Image.open(scored.folder.parent / 'here' / 'h.png') as picture:
        assert picture.width > 600 and len(set(picture.convert('P').tobytes())) > 20


def test_the_table_says_what_is_in_the_scores(scored: Scored) -> None:
    shards, scores = ShardSet(scored.folder), ShardSet(scored.folder).relevance('sentence_id')
    own = []
    for row in range(len(shards)):
        for (first, second), score in scores[row].items():
            if {shards.texts(row)[k][0] for k in (first, second)} == {'de', 'en'}:
                own.append(score)
    _, pairs, mean, _, median, _, at_nought, at_one, auc = table_row(scored.output, 'de-en')
    assert int(pairs) == len(own)
    assert float(mean) == pytest.approx(np.mean(own), abs=0.0051)
    assert float(median) == pytest.approx(np.quantile(own, 0.5, method='inverted_cdf'), abs=0.0051)
    shares = [f'{100 * np.mean(np.array(own) == end):.0f}%' for end in (0, 1)]
    assert [at_nought, at_one] == shares and 60 < float(auc) <= 100
    assert int(table_row(scored.output, 'all')[1]) == len(scores.score)
    shown = [float(value) for value in re.findall(r'^  (\d\.\d\d)  image-\d+$', scored.output, re.MULTILINE)]
    assert len(shown) == 6 and max(shown[:3]) <= np.quantile(scores.score, 0.05) + 0.01 and min(shown[3:]) > 0.99


def test_one_process_and_two_give_the_same_scores(scored: Scored, weak: Path) -> None:
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    script = [str(ROOT / 'tools' / 'score_relevance.py'), str(weak), *scored.arguments, '--launcher', 'pytorch']
    done = subprocess.run([*torchrun, *script], env=ENVIRONMENT, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('relevance of') == 1 and '5 of 5 shards scored now' in done.stdout
    a, b = (ShardSet(folder).relevance('sentence_id') for folder in (scored.folder, weak))
    assert a.scorer == b.scorer
    for part in ('offsets', 'first', 'second', 'score'):
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part))


def test_several_processes_without_a_launcher_are_refused(warm: WarmLauncher, scored: Scored, tmp_path: Path) -> None:
    (tmp_path / 'world.py').write_text("import os\nos.environ['WORLD_SIZE'] = '2'\n")
    done = warm('score_relevance.py', scored.folder, *scored.arguments, before=[tmp_path / 'world.py'])
    assert (done.code, done.output.splitlines()[-1]) == (
        2,
        'error: several processes were started without --launcher; add `--launcher pytorch`',
    )


def test_a_sentence_encoder_scores_whatever_its_batches(
    warm: WarmLauncher, weak: Path, encoder: Path, sets: Path
) -> None:
    command = ('score_relevance.py', weak, '--scorer', f'sentence_transformer:{encoder}', '--prefix', 'query: ')
    command = (*command, '--calibrate-on', sets / 'strict')
    done = warm(*command, '--device', 'cpu', '--batch-size', 7)
    assert done.code == 0, done.output
    scores = ShardSet(weak).relevance('model')
    spec = {**scores.scorer['spec'], 'calibration': scores.scorer['calibration']}
    assert spec['prefix'] == 'query: ' and len(set(scores.score.tolist())) > 20
    scorer = RELEVANCE_SCORERS.build(spec)
    texts = [ShardSet(weak).texts(row) for row in (0, 1, 2)]
    expected = scorer.score([own[0] for own in texts], [own[1] for own in texts])
    np.testing.assert_allclose([scores[row][0, 1] for row in (0, 1, 2)], expected, atol=2e-3)
    interrupt(weak / 'relevance' / 'model')
    again = warm(*command, '--batch-size', 64)
    assert again.code == 0 and '1 of 5 shards scored now' in again.output, again.output
    assert ShardSet(weak).relevance('model').scorer == scores.scorer


def test_what_is_done_is_not_done_again(warm: WarmLauncher, scored: Scored, tmp_path: Path) -> None:
    weak = Path(shutil.copytree(scored.folder, tmp_path / 'weak'))
    command = ('score_relevance.py', weak, *scored.arguments)
    folder = weak / 'relevance' / 'sentence_id'
    whole = files_of(folder)
    interrupt(folder)
    kept = (folder / 'part-00000.parquet').stat().st_mtime_ns
    again = warm(*command, '--overwrite')  # which removes other scores only
    assert again.code == 0 and '1 of 5 shards scored now' in again.output, again.output
    assert (folder / 'part-00000.parquet').stat().st_mtime_ns == kept
    assert files_of(folder) == whole
    finished = warm(*command, '--overwrite')
    assert '0 of 5 shards scored now' in finished.output and 'AUC' in finished.output
    assert files_of(folder) == whole and (folder / 'histogram.png').is_file()
    # Another scorer needs another name, or leave to overwrite.
    other = warm(*command, '--num-sentences', 200)
    assert other.code == 2 and 'take another name, or remove the folder' in other.output.splitlines()[-1]
    assert '5 of 5 shards scored now' in warm(*command, '--num-sentences', 200, '--overwrite').output
    assert '5 of 5 shards scored now' in warm(*command, '--name', 'second').output
    assert ShardSet(weak).scorers() == ['second', 'sentence_id']


def test_a_config_and_a_fitted_scorer_do_as_well(warm: WarmLauncher, weak: Path, tmp_path: Path) -> None:
    config = tmp_path / 'scorers.py'
    config.write_text(
        'from rc3mm.datasets import EmojiParallel\nfrom rc3mm.relevance import SentenceIDRelevance\n'
        'own = dict(small=dict(type=SentenceIDRelevance, num_sentences=300,\n'
        '    corpus=dict(type=EmojiParallel, num_scenes=300, num_concepts=30)))\n'
    )
    assert warm('score_relevance.py', weak, '--scorer', f'{config}:own.small').code == 0
    state = weak / 'relevance' / 'small' / 'sentence_id.safetensors'
    done = warm('score_relevance.py', weak, '--scorer', f'sentence_id:{state}', '--name', 'again')
    assert done.code == 0, done.output
    small, again = (ShardSet(weak).relevance(name) for name in ('small', 'again'))
    np.testing.assert_array_equal(small.score, again.score)
    assert small.scorer['spec']['corpus']['type'].endswith('.EmojiParallel')
    # Scores can be looked up by the texts from anywhere.
    shards = ShardSet(weak)
    texts = shards.texts(0)
    looked_up = PrecomputedRelevance(dict(type='ShardedPairs', path=weak, relevance='small'))
    assert looked_up.score([texts[1]], [texts[0]])[0] == small[0][0, 1]


def test_a_config_needs_to_say_no_more_than_its_corpus(warm: WarmLauncher, weak: Path, sets: Path) -> None:
    config = weak.parent / 'scorers.py'
    config.write_text(
        f"scorer = dict(type='SentenceIDRelevance', corpus={str(sets / 'strict')!r})\n"
        f"wrong = dict(type='SentenceIDRelevance', corpus={str(sets / 'strict')!r}, size=3)\n"
    )
    done = warm('score_relevance.py', weak, '--scorer', config)
    assert done.code == 0 and '5 of 5 shards scored now' in done.output, done.output
    wrong = warm('score_relevance.py', weak, '--scorer', f'{config}:wrong')
    last = wrong.output.splitlines()[-1]
    assert wrong.code == 2 and re.search(r"^error: --scorer .*scorers\.py:wrong: .*argument 'size'", last), wrong.output


def test_a_damaged_shard_is_named_in_a_line(warm: WarmLauncher, weak: Path, sets: Path) -> None:
    part = weak / 'part-00001.parquet'
    content = part.read_bytes()
    part.write_bytes(content[:4] + bytes(len(content) // 4) + content[4 + len(content) // 4 :])
    # Two pairs are calibrated on, of rows of other shards.
    command = ('score_relevance.py', weak, '--scorer', f'sentence_id:{sets / "strict"}', '--num-calibration', 2)
    done = warm(*command)
    last = done.output.splitlines()[-1]
    assert done.code == 2 and re.search(r'^error: .*part-00001\.parquet is damaged in row group 0', last), done.output
    assert [path.name for path in (weak / 'relevance' / 'sentence_id').glob('part-*')] == ['part-00000.parquet']


def test_pairs_within_a_language_are_scored_on_demand(warm: WarmLauncher, sets: Path, tmp_path: Path) -> None:
    texts = [[own[0], (own[0][0], f'{own[0][1]}, {own[0][1]}')] for own in weak_texts(80, 7)]
    folder = write_shards(tmp_path / 'same', [own for own in texts if own[0][0] == 'en'])
    command = ('score_relevance.py', folder, '--scorer', f'sentence_id:{sets / "strict"}')
    refused = warm(*command)
    assert refused.code == 2
    assert refused.output.splitlines()[-1] == (
        f'error: {folder} has no row with texts in two languages; to score pairs within a language: --same-language'
    )
    done = warm(*command, '--same-language')
    assert done.code == 0 and ['all'] not in [line.split()[:1] for line in done.output.splitlines()], done.output
    assert ShardSet(folder).relevance('sentence_id').score.tolist() == [1.0] * len(ShardSet(folder))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--scorer', 'labse'], r'--scorer labse is none of sentence_id:STRICT_SHARDS'),
        (['--scorer', 'none.py:x'], r'there is no config file none\.py'),
        (['--scorer', 'sentence_id:nowhere'], 'nowhere is no shard set'),
        (['--scorer', 'sentence_id:{sets}/strict', '--prefix', 'query: '], '--prefix goes with --scorer sentence_tr'),
        (['--scorer', 'sentence_transformer:{encoder}', '--device', 'cpu'], 'not calibrated; name a set of translat'),
        (
            ['--scorer', 'sentence_transformer:{sets}'],
            r'holds no sentence-transformers model: there is no modules\.json',
        ),
        (['--scorer', 'sentence_id:{sets}/strict', '--name', 'a/b'], "'a/b' cannot name scores"),
        (
            ['--scorer', 'sentence_transformer:{encoder}', '--device', 'cpu', '--calibrate-on', '{sets}/one'],
            'one: no row has texts in two languages',
        ),
        (['--scorer', f'{ROOT}/configs/_base_/datasets/emoji_scenes.py:weak.pipeline'], 'has no scorer = dict'),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    warm: WarmLauncher, weak: Path, sets: Path, encoder: Path, arguments: list[str], message: str
) -> None:
    done = warm('score_relevance.py', weak, *(text.format(sets=sets, encoder=encoder) for text in arguments))
    last = done.output.splitlines()[-1]
    assert done.code == 2 and last.startswith('error: ') and re.search(message, last), done.output


def test_help_teaches(warm: WarmLauncher) -> None:
    output = warm('score_relevance.py', '--help').output
    for word in ('sentence-transformers/LaBSE', 'torchrun', 'scorer.json', '--calibrate-on STRICT_SHARDS', "'query: '"):
        assert word in output


@pytest.mark.parametrize(
    'place', ['docs/data.md', 'docs/relevance.md', 'configs/_base_/datasets/cc3m_wit_wikimatrix.py']
)
def test_commands_that_are_shown_say_what_a_sentence_encoder_is_calibrated_on(place: str) -> None:
    text = re.sub(r'\\\\?(n\')?\n', ' ', (ROOT / place).read_text(encoding='utf-8'))
    commands = re.findall(r'tools/score_relevance\.py.*sentence_transformer:.*', text)
    assert commands and all('--calibrate-on' in command for command in commands)


@pytest.mark.parametrize('rows', [1, 2, 5, 6])
def test_pairs_are_looked_for_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    tool = importlib.import_module('score_relevance')
    monkeypatch.setattr(tool, '_ROWS', rows)
    none = [[('en', f'cat {k}')] for k in range(5)]
    for place in range(5):
        texts = [own + [('de', 'Katze')] * (k == place) for k, own in enumerate(none)]
        tool.check_pairs(ShardSet(write_shards(tmp_path / str(place), texts)), same_language=False)
    with pytest.raises(tool.CommandLineError, match='has no row with two texts, so there are no pairs to score'):
        tool.check_pairs(ShardSet(write_shards(tmp_path / 'none', none)), same_language=True)
