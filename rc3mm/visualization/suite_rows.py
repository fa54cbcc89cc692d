"""What a table of many tasks is made of: one metric of one task by one model, a mean, and what was kept of English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rc3mm.evaluation.functional.languages import PIVOT, mean_without_pivot, sort_languages

__all__ = ['OURS', 'SuiteRow', 'SuiteTable', 'count_text', 'kept_share', 'mean_of', 'measured_row', 'peer_rows']

OURS = 'rc3mm'
MOST_LANGUAGES = 9  # in one table; those of all of IGLUE's tasks side by side would fit no page
SAME = 'same split and protocol'


@dataclass(frozen=True)
class SuiteRow:
    """One metric of one task by one model; all numbers in per cent.

    Attributes:
        task: its title.
        metric: its title.
        scores: language -> number.
        mean: over the languages without English, unless `note` says otherwise.
        setting: such as 'zero-shot'.
        split: such as 'test'.
        items: how many there were, in words.
        model: whose number it is.
        chance: what guessing gives.
        controls: name of a model that lacks something -> its number.
        controls_of: what these are numbers of: English, or the 'mean' of the languages.
        kept: see `kept_share`.
        note: what a reader must know to compare.
    """

    task: str
    metric: str
    scores: Mapping[str, float]
    mean: float | None
    setting: str
    split: str
    items: str
    model: str = OURS
    chance: float | None = None
    controls: Mapping[str, float] = field(default_factory=dict)
    controls_of: str = PIVOT
    kept: float | None = None
    note: str = ''


@dataclass(frozen=True)
class SuiteTable:
    """Rows in the order in which they are shown; those of one task stand together."""

    title: str
    rows: Sequence[SuiteRow]

    @property
    def languages(self) -> list[str]:
        """All languages of any row, English first."""
        return sort_languages(language for row in self.rows for language in row.scores)

    @property
    def controls(self) -> list[str]:
        """All controls of any row."""
        return list(dict.fromkeys(name for row in self.rows for name in row.controls))

    def control_label(self, name: str) -> str:
        """Title of a control's column; rows that have other numbers there say so in their notes."""
        kinds = [row.controls_of for row in self.rows if name in row.controls]
        return f'{name} ({PIVOT if PIVOT in kinds else kinds[0]})'

    def parts(self) -> list['SuiteTable']:
        """The table, or, if it has too many languages for one, a table for the tasks that share their languages."""
        if len(self.languages) <= MOST_LANGUAGES:
            return [self]
        found: dict[tuple[str, ...], list[SuiteRow]] = {}
        for task in dict.fromkeys(row.task for row in self.rows):
            own = SuiteTable(self.title, [row for row in self.rows if row.task == task])
            found.setdefault(tuple(own.languages), []).extend(own.rows)
        return [SuiteTable(self.title, rows) for rows in found.values()]


# -- rows


def mean_of(scores: Mapping[str, float], languages: Sequence[str] | None = None) -> float | None:
    """The number that stands for all languages.

    Args:
        scores: language -> number.
        languages: average over exactly these; None for all but English.

    Returns:
        None where there is nothing to average, or one of `languages` is missing: a mean over the others would
        compare unlike with unlike.
    """
    if languages is None:
        return mean_without_pivot(scores)
    values = [scores[language] for language in languages if language in scores]
    return sum(values) / len(values) if values and len(values) == len(languages) else None


def kept_share(english: float | None, mean: float | None, chance: float | None) -> float | None:
    """Share of the English gain over chance that the mean of the other languages keeps, in per cent.

    Returns:
        100 (mean - chance) / (english - chance); None where a number is missing or English gains nothing.
    """
    if english is None or mean is None or chance is None or english <= chance:
        return None
    return 100 * (mean - chance) / (english - chance)


def measured_row(
    scores: Mapping[str, float],
    controls: Mapping[str, Mapping[str, float]],
    *,
    languages: Sequence[str] | None = None,
    chance: float | None = None,
    **about: Any,
) -> SuiteRow:
    """A row of our own, its mean and the share that is kept computed.

    Args:
        scores: language -> number.
        controls: name -> language -> number.
        languages: where a model was tuned on them all, as in translation: the mean, and that of controls, is over
            these, and none is kept from English. None: zero-shot from English.
        chance: what guessing gives.
        **about: `task`, `metric`, `setting`, `split` and `items` of `SuiteRow`.
    """
    mean, notes = mean_of(scores, languages), []
    if languages is None:
        standing = {name: own.get(PIVOT) for name, own in controls.items()}
    else:
        standing = {name: mean_of(own, languages) for name, own in controls.items()}
        notes += ['mean includes en'] if PIVOT in languages else []
        notes += ['controls: mean of the languages'] if controls else []
    return SuiteRow(
        scores=scores,
        mean=mean,
        chance=chance,
        controls={name: value for name, value in standing.items() if value is not None},
        controls_of=PIVOT if languages is None else 'mean',
        kept=kept_share(scores.get(PIVOT), mean, chance) if languages is None else None,
        note='; '.join(notes),
        **about,
    )


def peer_rows(
    row: SuiteRow, counts: Mapping[str, int], benchmark: Mapping[str, Any], metric: str, differs: str = ''
) -> list[SuiteRow]:
    """Published numbers beside one of ours, each with what keeps them from being compared.

    Args:
        row: ours.
        counts: language -> number of our items, where known.
        benchmark: an entry of `configs/_base_/published.py`.
        metric: last part of the name of our metric; no rows come back if nothing is published of it.
        differs: what else differs.
    """
    theirs, ours = set(benchmark['languages']), row.scores.keys() - {PIVOT}
    found = [differs] if differs else []
    if not row.setting.startswith(benchmark['setting']):  # 'zero-shot, tuned on English' says the same
        found.append(f'ours is {row.setting}')
    if row.split != benchmark['split']:
        found.append(f'ours is split {row.split}')
    if ours != theirs:
        found.append(f'their mean is of {" ".join(sort_languages(theirs))}')
    items = benchmark['items'] if isinstance(benchmark['items'], Mapping) else dict.fromkeys(theirs, benchmark['items'])
    shared = sorted(language for language in ours & theirs if items[language] is not None)
    if any(language not in counts for language in shared):
        found.append('numbers of items not known')
    other = [language for language in shared if counts.get(language, items[language]) != items[language]]
    if other:
        found.append(f'other numbers of items in {" ".join(other)}')
    note = f'{"; ".join(found) or SAME}; source: {benchmark["source"]}'
    about = dict(task=row.task, metric=row.metric, setting=benchmark['setting'], split=benchmark['split'], note=note)
    rows = []
    for model, numbers in benchmark['metrics'].get(metric.removeprefix('itm_'), {}).items():
        scores = {language: value for language, value in numbers.items() if language != 'mean'}
        rows.append(SuiteRow(scores=scores, mean=numbers['mean'], model=model, items=count_text(items), **about))
    return rows


def count_text(counts: Mapping[str, int | None], total: int | None = None) -> str:
    """How many items there were, in words, from those of each language, or else from those of all."""
    known = [count for count in counts.values() if count is not None]
    if not known:
        return 'number of items not known' if total is None else f'{total:,} in all'
    low, high = min(known), max(known)
    return f'{low:,} per language' if low == high else f'{low:,}-{high:,} per language'
