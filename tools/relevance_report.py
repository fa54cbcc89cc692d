"""What score_relevance.py says of its scores: a table by languages, examples of both ends, a histogram."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rc3mm.datasets.shards import RelevanceScores, ShardSet
from rc3mm.evaluation.functional import binary_auc
from rc3mm.relevance import Pair, RelevanceScorer

__all__ = ['Examples', 'Report', 'draw_histogram', 'make_report', 'print_report']

_BINS = 10_000  # scores are rounded to 1e-4
_SAMPLE = 6000  # pairs that are compared once more, and with texts of other images; at least
_SAMPLE_EACH = 200  # for each pair of languages
_CHUNK = 1 << 20  # scores looked at together
_SHOWN = 90  # characters of a text in the examples


class Example(NamedTuple):
    """A scored pair of texts."""

    score: float
    image_id: str
    texts: Pair


@dataclass
class Examples:
    """Pairs from both ends, lowest and highest first."""

    lowest: list[Example]
    highest: list[Example]


@dataclass
class LanguagePair:
    """Scores between two languages.

    Attributes:
        counts: int64 (10001,), pairs by score in steps of 1e-4.
        matched: similarities of a sample of the pairs, before calibration.
        mismatched: similarities of the same texts with those of other images.
    """

    counts: np.ndarray = field(default_factory=lambda: np.zeros(_BINS + 1, np.int64))
    matched: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    mismatched: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def quantile(self, share: float) -> float:
        """The score that so many of the pairs do not exceed."""
        return int(np.searchsorted(self.counts.cumsum(), share * self.counts.sum())) / _BINS

    def auc(self) -> float | None:
        """How often a matched pair is more similar than a mismatched one, in per cent; None for a single pair."""
        if len(self.matched) < 2:
            return None
        similarity = torch.from_numpy(np.concatenate([self.matched, self.mismatched]))
        return binary_auc(similarity, torch.arange(len(similarity)) < len(self.matched))


@dataclass
class Report:
    """All that is said of a set's scores."""

    by_languages: dict[str, LanguagePair]
    examples: Examples


class _Sample:
    """The entries with the smallest keys of all that were offered: a random choice, if the keys are random."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.keys, self.entries = np.zeros(0), np.zeros((0, 4))

    def offer(self, keys: np.ndarray, entries: np.ndarray) -> None:
        """Offer entries (n, 4) with their keys (n,)."""
        keys = np.concatenate([self.keys, keys])
        best = np.argsort(keys, kind='stable')[: self.size]
        self.keys, self.entries = keys[best], np.concatenate([self.entries, entries])[best]


def make_report(shards: ShardSet, scores: RelevanceScores, scorer: RelevanceScorer, num_examples: int) -> Report:
    """Count all scores, and look closer at samples of them.

    Memory depends on the number of languages, not on that of pairs.
    """
    by_languages: dict[str, LanguagePair] = {}
    samples: dict[str, _Sample] = {}
    ends = _Sample(20 * num_examples), _Sample(20 * num_examples)  # several are of one image
    rng = np.random.default_rng(0)
    for entries, codes in _chunks(shards, scores):
        keys = rng.random(len(entries))
        for code in np.unique(codes):
            name = '-'.join(sorted(shards.manifest.languages[k] for k in divmod(int(code), 256)))
            mine = codes == code
            counts = by_languages.setdefault(name, LanguagePair()).counts
            counts += np.bincount(np.round(entries[mine, 3] * _BINS).astype(int), minlength=_BINS + 1)
            samples.setdefault(name, _Sample(_SAMPLE)).offer(keys[mine], entries[mine])
        for end, sign in zip(ends, (1, -1), strict=True):  # by score, and among equals at random
            end.offer(np.round(sign * entries[:, 3] * _BINS) + keys, entries)
    for name, sample in samples.items():
        sample.entries = sample.entries[: max(_SAMPLE // len(samples), _SAMPLE_EACH)]
        _compare_again(by_languages[name], shards, sample, scorer)
    lowest, highest = (_one_a_row(shards, end.entries, num_examples) for end in ends)
    return Report(dict(sorted(by_languages.items())), Examples(lowest, highest))


def _chunks(shards: ShardSet, scores: RelevanceScores) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(row, first, second, score) of scored pairs, float64 (n, 4), and a number for their languages, (n,)."""
    for start in range(0, len(scores.score), _CHUNK):
        part = slice(start, start + _CHUNK)
        first, second, score = scores.first[part], scores.second[part], scores.score[part]
        rows = np.searchsorted(scores.offsets, np.arange(start, start + len(score)), side='right') - 1
        languages = [shards.languages_of[shards.text_offsets[rows] + own].astype(int) for own in (first, second)]
        codes = np.minimum(*languages) * 256 + np.maximum(*languages)
        yield np.stack([rows, first, second, score], axis=1).astype(np.float64), codes


def _compare_again(pair: LanguagePair, shards: ShardSet, sample: _Sample, scorer: RelevanceScorer) -> None:
    rows = np.argsort(sample.entries[:, 0], kind='stable')  # row groups are read once
    entries = sample.entries[rows]
    first, second = zip(*(sorted(_example(shards, entry).texts) for entry in entries), strict=True)  # by language
    texts = sorted({*first, *second})
    place = {text: index for index, text in enumerate(texts)}
    encoded = scorer.encode(texts)
    a, b = (encoded[[place[text] for text in side]] for side in (first, second))
    order = np.random.default_rng(0).permutation(len(entries))
    ring = np.empty_like(order)
    ring[order] = np.roll(order, 1)
    other = entries[:, 0] != entries[ring, 0]  # two pairs of one image may meet
    pair.matched = scorer.compare(a, b)[other]
    pair.mismatched = scorer.compare(a, b[ring])[other]


def _one_a_row(shards: ShardSet, entries: np.ndarray, count: int) -> list[Example]:
    first = sorted(np.unique(entries[:, 0], return_index=True)[1])[:count]
    return [_example(shards, entries[index]) for index in first]


def _example(shards: ShardSet, entry: np.ndarray) -> Example:
    row, first, second = (int(value) for value in entry[:3])
    record = shards.record(row, image=False)
    return Example(float(entry[3]), record.image_id, (record.texts[first], record.texts[second]))


# -- for people


def print_report(report: Report, title: str, console: Console) -> None:
    """Print the table by languages and the examples."""
    table = Table(title=title, title_justify='left', box=SIMPLE_HEAD)
    table.add_column('languages')
    for heading in ('pairs', 'mean', '25 %', '50 %', '75 %', 'at 0', 'at 1', 'AUC'):
        table.add_column(heading, justify='right')
    whole = LanguagePair(sum((pair.counts for pair in report.by_languages.values()), LanguagePair().counts))
    rows = list(report.by_languages.items())
    for name, pair in rows if len(rows) == 1 else [*rows, ('all', whole)]:
        table.add_row(name, *_cells(pair))
    console.print(table)
    console.print(
        'AUC: how often the texts of an image are more similar than texts of different images, in per cent '
        '(a sample)\n',
        highlight=False,
        soft_wrap=True,
    )
    for heading, examples in (('lowest', report.examples.lowest), ('highest', report.examples.highest)):
        if examples:
            console.print(f'[bold]{heading}[/]')
        for example in examples:
            console.print(f'  {example.score:.2f}  {escape(example.image_id)}', highlight=False, soft_wrap=True)
            for language, text in example.texts:
                text = ' '.join(text.split())
                shown = text if len(text) <= _SHOWN else f'{text[: _SHOWN - 1]}…'
                console.print(f'        {language}: {escape(shown)}', highlight=False, soft_wrap=True)


def _cells(pair: LanguagePair) -> list[str]:
    count = int(pair.counts.sum())
    mean = float(pair.counts @ np.arange(_BINS + 1)) / _BINS / count
    auc = pair.auc()
    return [
        f'{count:,}',
        f'{mean:.2f}',
        *(f'{pair.quantile(share):.2f}' for share in (0.25, 0.5, 0.75)),
        *(f'{100 * pair.counts[place] / count:.0f} %' for place in (0, -1)),
        '' if auc is None else f'{auc:.1f}',
    ]


def draw_histogram(report: Report, scorer: RelevanceScorer, path: Path, title: str) -> None:
    """Draw similarities of random, translated and scored pairs, with c0 and c1."""
    series = {'scored pairs': np.concatenate([pair.matched for pair in report.by_languages.values()])}
    if scorer.calibration_pairs is not None:
        series['random pairs'] = scorer.calibration_pairs.unrelated
        series['translated pairs'] = scorer.calibration_pairs.translated
    colors = {'scored pairs': '#2b6cb0', 'random pairs': '#8a8f99', 'translated pairs': '#b7561b'}
    values = np.concatenate(list(series.values()))
    edges = np.linspace(values.min(), max(values.max(), values.min() + 1e-6), 61).tolist()
    figure = Figure(figsize=(7.2, 3.4), layout='constrained')
    axes = figure.subplots()
    for name, similarity in series.items():
        if len(similarity):
            weights = np.full(len(similarity), 100 / len(similarity))
            axes.hist(similarity, edges, weights=weights, histtype='stepfilled', alpha=0.25, color=colors[name])
            axes.hist(similarity, edges, weights=weights, histtype='step', color=colors[name], label=name)
    if scorer.calibration is not None:
        for label, place in (('c0', scorer.calibration.unrelated), ('c1', scorer.calibration.translated)):
            axes.axvline(place, color='#1f2430', linestyle='--', linewidth=1)
            axes.annotate(label, (place, 1), (3, -10), xycoords=('data', 'axes fraction'), textcoords='offset points')
    axes.set_title(title, loc='left', fontsize=10)
    axes.set_xlabel('similarity before calibration')
    axes.set_ylabel('% of the pairs')
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
