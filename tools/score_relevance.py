"""Score the textual relevance of all pairs of texts in a shard set; see --help."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from cli import CommandLineError, run_main
from relevance_report import draw_histogram, make_report, print_report
from relevance_scorers import STATE, ScorerSpec, read_spec, spread_pairs, text_pairs
from rich.console import Console
from roi_processes import Processes
from roi_reports import Bar
from transformers.utils.logging import disable_progress_bar

from rc3mm.datasets.shards import RelevanceWriter, ShardSet
from rc3mm.datasets.shards.relevance_writer import read_plan
from rc3mm.datasets.shards.shard_set import RELEVANCE, SCORER
from rc3mm.relevance import Calibration, RelevanceScorer, SentenceIDRelevance, Text
from rc3mm.relevance.sentence_id import NUM_SENTENCES

_EXAMPLES = """\
examples:
  # word vectors from translated captions and the texts themselves; no download
  python tools/score_relevance.py data/shards/wit --scorer sentence_id:data/shards/cc3m,data/shards/wit
  # a sentence encoder, calibrated on translated captions and on random pairs of the texts themselves
  python tools/score_relevance.py data/shards/wit --scorer sentence_transformer:sentence-transformers/LaBSE \\
      --calibrate-on data/shards/cc3m
  python tools/score_relevance.py data/shards/wit --scorer sentence_transformer:/models/multilingual-e5-base \\
      --prefix 'query: ' --dtype bfloat16 --calibrate-on data/shards/cc3m --name e5
  python tools/score_relevance.py SHARDS --scorer configs/_base_/datasets/emoji_scenes.py:scorer
  torchrun --nproc_per_node 8 tools/score_relevance.py SHARDS --scorer ... --calibrate-on ... --launcher pytorch

The scores lie in SHARDS/relevance/NAME/ beside the shards, which stay as they are, with the scorer's config and
calibration (scorer.json) and a histogram. Whatever interrupts the scoring: the same command goes on where it stopped,
with any number of processes; once all is scored it shows the tables again.
"""

_PART = 4096  # texts encoded between two steps of the progress
_ROWS = 1 << 20  # rows whose numbers of texts are looked at together
T = TypeVar('T')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Score how much the texts of an image say the same, in every row of a shard set: 0 for texts as '
        'unrelated as random ones, 1 for texts as close as translations.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument('shards', type=Path, help='folder of the shard set')
    parser.add_argument(
        '--scorer',
        required=True,
        help='sentence_id:STRICT_SHARDS[,WEAK_SHARDS] (fitted on these), sentence_id:FILE.safetensors (fitted before), '
        'sentence_transformer:NAME_OR_FOLDER, or CONFIG.py[:KEY.PATH] (a config of a scorer; KEY: scorer)',
    )
    parser.add_argument('--name', help="of the scores (default: sentence_id, or the model's name)")
    parser.add_argument('--same-language', action='store_true', help='score pairs in one language as well')
    parser.add_argument(
        '--overwrite', action='store_true', help='remove scores of this name by another scorer, or of another set'
    )
    group = parser.add_argument_group('calibration')
    group.add_argument(
        '--calibrate-on',
        type=Path,
        metavar='STRICT_SHARDS',
        help='translations: c1 is their median similarity (needed unless the scorer brings its own, as sentence_id '
        'does); c0 is always that of random pairs of SHARDS',
    )
    group.add_argument('--num-calibration', type=int, default=2000, metavar='N', help='pairs of each kind (2000)')
    group = parser.add_argument_group('the scorer')
    group.add_argument(
        '--num-sentences', type=int, default=NUM_SENTENCES, metavar='N', help='sentence_id: rows read (20000)'
    )
    group.add_argument('--prefix', help="sentence_transformer: put before every text, such as 'query: ' for E5")
    group.add_argument('--batch-size', type=int, metavar='N', help='sentence_transformer: texts a pass (64)')
    group.add_argument('--device', help='sentence_transformer: such as cpu or cuda:1 (default: a GPU, if there is one)')
    group.add_argument(
        '--dtype', choices=['float32', 'float16', 'bfloat16'], help='sentence_transformer: of the encoder (float32)'
    )
    group = parser.add_argument_group('the report')
    group.add_argument('--examples', type=int, default=5, metavar='N', help='pairs shown from both ends (5)')
    group.add_argument('--histogram', type=Path, metavar='PNG', help='(SHARDS/relevance/NAME/histogram.png)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    args = parser.parse_args()
    for name, least in (('num_calibration', 2), ('num_sentences', 20), ('batch_size', 1), ('examples', 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            parser.error(f'--{name.replace("_", "-")} must be at least {least}')
    return args


def main() -> None:
    """Score, and say what came out."""
    args = parse_args()
    started = time.monotonic()
    disable_progress_bar()  # of weights that are loaded
    spec = read_spec(args)
    processes = Processes(args.launcher)
    shards = _said(lambda: ShardSet(args.shards))
    check_pairs(shards, args.same_language)
    name = args.name or spec.name
    folder = shards.folder / RELEVANCE / name
    writer, scorer = open_writer(args, spec, shards, name, processes)
    missing = processes.from_first(lambda: [k for k in range(len(shards.manifest.shards)) if not writer.done(k)])
    mine = missing[processes.rank :: processes.world_size]
    bar = Bar('rows', sum(len(shards.shard_rows(number)) for number in mine), hidden=processes.rank > 0)
    with bar:
        _said(lambda: score_shards(shards, mine, scorer, args.same_language, writer, bar))
    processes.wait()  # the others' shards are there
    if processes.rank == 0:
        if missing or not (folder / SCORER).is_file():
            _said(writer.finish)
        report = _said(lambda: make_report(shards, shards.relevance(name), scorer, args.examples))
        picture = args.histogram or folder / 'histogram.png'
        _said(lambda: draw_histogram(report, scorer, picture, f'{name} on {shards.folder.name}'))
        calibration = scorer.calibration
        assert calibration is not None
        print_report(report, f'relevance of {shards.folder} by {name}', Console())
        seconds = timedelta(seconds=round(time.monotonic() - started))
        print(f'\nc0 {calibration.unrelated:.3f}, c1 {calibration.translated:.3f}; histogram: {picture}')
        print(f'{folder}: {len(missing)} of {len(shards.manifest.shards)} shards scored now, in {seconds}')
    processes.end()


def _said(step: Callable[[], T]) -> T:
    """The result of a step whose errors speak to the user."""
    try:
        return step()
    except (ValueError, OSError, ImportError) as error:
        raise CommandLineError(' '.join(str(error).split())) from error


def check_pairs(shards: ShardSet, same_language: bool) -> None:
    """Make sure that there is something to score.

    Raises:
        CommandLineError: no row has two texts that would be scored.
    """
    offsets = shards.text_offsets
    starts = range(0, len(shards), _ROWS)
    if not any((np.diff(offsets[start : start + _ROWS + 1]) > 1).any() for start in starts):
        raise CommandLineError(f'{shards.folder} has no row with two texts, so there are no pairs to score')
    if not same_language and not any(shards.manifest.pairs_by_languages.values()):
        raise CommandLineError(
            f'{shards.folder} has no row with texts in two languages; to score pairs within a language: --same-language'
        )


def open_writer(
    args: argparse.Namespace, spec: ScorerSpec, shards: ShardSet, name: str, processes: Processes
) -> tuple[RelevanceWriter, RelevanceScorer]:
    """The scorer, the same in all processes, and where its scores go; the first process makes them."""
    folder = shards.folder / RELEVANCE / name
    state = folder / STATE if spec.keeps_state else None
    made: list[RelevanceScorer] = []

    def make() -> dict[str, Any]:
        plan = read_plan(folder)
        earlier = plan.get('scorer') or {}
        fitted = state is not None and state.is_file() and earlier.get('spec') == spec.identity
        scorer = spec.build(state if fitted else None)
        calibrate(args, scorer, shards)
        assert scorer.calibration is not None
        entry = {
            'name': name,
            'spec': spec.identity,
            'config': scorer.config,
            'calibration': scorer.calibration.to_json(),
            'calibrated_on': str(args.calibrate_on) if args.calibrate_on else None,
            'same_language': args.same_language,
        }
        entry['calibration'] = same_calibration(entry, earlier) or entry['calibration']
        if args.overwrite and plan != {'scorer': entry, 'set': shards.manifest.fingerprint}:
            remove_scores(folder)
            fitted = False
        RelevanceWriter(shards, name, entry)  # refuses a folder with other scores
        if isinstance(scorer, SentenceIDRelevance) and state is not None and not fitted:
            scorer.save(state)
        made.append(scorer)
        return entry

    entry = processes.from_first(lambda: _said(make))
    scorer = made[0] if made else _said(lambda: spec.build(state))
    scorer.calibration = Calibration.from_json(entry['calibration'])
    return _said(lambda: RelevanceWriter(shards, name, entry)), scorer


def calibrate(args: argparse.Namespace, scorer: RelevanceScorer, shards: ShardSet) -> None:
    """c0 from the set that is scored; c1 from the set of translations, if one is named, else as the scorer has it."""
    if scorer.calibration is None and not args.calibrate_on:
        raise CommandLineError(f'{args.scorer} is not calibrated; name a set of translations with --calibrate-on')
    print('calibrating', file=sys.stderr)
    others = spread_pairs(shards, args.num_calibration, args.same_language)
    if args.calibrate_on:
        translated = spread_pairs(ShardSet(args.calibrate_on), args.num_calibration)
        if not translated:
            raise CommandLineError(f'--calibrate-on {args.calibrate_on}: no row has texts in two languages')
        scorer.calibrate(translated, others)
    else:
        scorer.recalibrate(others)


def remove_scores(folder: Path) -> None:
    """Remove a folder of scores; what says whose they are goes last, lest what is left be taken for another's."""
    if folder.is_dir():
        for part in folder.glob('part-*'):
            part.unlink()
        shutil.rmtree(folder)


def same_calibration(entry: dict[str, Any], earlier: dict[str, Any]) -> dict[str, float] | None:
    """The earlier calibration, if the two differ by no more than the arithmetic of another machine explains."""
    if {**entry, 'calibration': None} != {**earlier, 'calibration': None}:
        return None
    own, other = entry['calibration'], earlier['calibration']
    return other if all(abs(own[key] - other[key]) < 1e-3 for key in own) else None


def score_shards(
    shards: ShardSet,
    numbers: list[int],
    scorer: RelevanceScorer,
    same_language: bool,
    writer: RelevanceWriter,
    bar: Bar,
) -> None:
    """Score shards and write what came out, one after the other; see `score_shard`."""
    for number in numbers:
        writer.write(number, score_shard(shards, number, scorer, same_language, bar.advance))


def score_shard(
    shards: ShardSet, number: int, scorer: RelevanceScorer, same_language: bool, advance: Callable[[int], None]
) -> list[list[tuple[int, int, float]]]:
    """Scores of the pairs of each row of a shard; every text is encoded once.

    Args:
        shards: the set.
        number: of the shard.
        scorer: calibrated.
        same_language: score pairs in one language, too.
        advance: called with the number of rows that are done, as far as one can say.

    Returns:
        For each row, (first, second, score) by positions in its texts.
    """
    rows = shards.shard_rows(number)
    texts = [record.texts for record in shards.iter_records(rows.start, rows.stop, image=False)]
    pairs = [text_pairs(own, same_language) for own in texts]
    needed = {own[k] for own, of_row in zip(texts, pairs, strict=True) for pair in of_row for k in pair}
    unique = sorted(needed, key=lambda text: (-len(text[1]), text))  # the longest first: memory runs out at once
    parts, done = [], 0
    for start in range(0, len(unique), _PART):
        part = unique[start : start + _PART]
        parts.append(scorer.encode(part))
        now = len(rows) * (start + len(part)) // len(unique)
        advance(now - done)
        done = now
    advance(len(rows) - done)
    if not unique:
        return [[] for _ in rows]
    place: dict[Text, int] = {text: index for index, text in enumerate(unique)}
    encoded = np.concatenate(parts)
    ends = [(place[own[a]], place[own[b]]) for own, of_row in zip(texts, pairs, strict=True) for a, b in of_row]
    first, second = np.array(ends).T
    relevance = iter(scorer.relevance(scorer.compare(encoded[first], encoded[second])).tolist())
    return [[(a, b, next(relevance)) for a, b in of_row] for of_row in pairs]


if __name__ == '__main__':
    run_main(main)
