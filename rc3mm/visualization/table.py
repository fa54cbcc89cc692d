"""Metrics as tables: on the terminal by rich, in documents by Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from rc3mm.evaluation.functional.languages import sort_languages

__all__ = ['headlines_table', 'languages_markdown', 'languages_table', 'metrics_markdown', 'metrics_table']

DIRECTIONS = ('t2i', 'i2t')
MEAN = 'mean'
MEAN_LABEL = 'mean w/o en'
ABSENT = '-'


@dataclass(frozen=True)
class _Grid:
    """Cells of a table: `rows` are languages and then, if there is one, the mean without English."""

    header: list[str]
    rows: list[list[str]]


def metrics_table(metrics: Mapping[str, float], *, setting: str, split: str, num_items: int) -> Table:
    """A rich table of the metrics of `RetrievalMetric`.

    Args:
        metrics: Flat names such as `retrieval/de/t2i_R@1`, with or without their first part; all others are
        ignored.
        setting: Name of the setting, such as 'zero-shot'.
        split: Name of the split, such as 'test'.
        num_items: Number of images evaluated on.

    Returns:
        Rows: languages, then the mean without English. Columns: recalls of both directions, R@1 after
        re-ranking if there was any, and how many queries there were a direction.

    Raises:
        ValueError: If no retrieval metric is found.
    """
    grid = _grid(metrics)
    # tight enough for a terminal of 80 columns
    table = Table(
        title=_title(setting, split, num_items),
        title_justify='left',
        title_style='bold',
        box=SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    for place, name in enumerate(grid.header):
        table.add_column(name.replace(' ', '\n'), justify='right' if place else 'left', no_wrap=True)
    for place, cells in enumerate(grid.rows):
        is_mean = cells[0] == MEAN_LABEL
        before_mean = place + 1 < len(grid.rows) and grid.rows[place + 1][0] == MEAN_LABEL
        table.add_row(*cells, style='bold' if is_mean else None, end_section=before_mean)
    return table


def headlines_table(metrics: Mapping[str, float], title: str) -> Table:
    """A rich table of whatever metrics there are, without those of single languages.

    Args:
        metrics: Flat names; one with two parts or fewer, such as `probe/mean_auc`, is a headline.
        title: Stands above.
    """
    table = Table(title=title, title_justify='left', title_style='bold', box=SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column('metric')
    table.add_column('value', justify='right')
    for name, value in metrics.items():
        if name.count('/') < 2:
            table.add_row(name, f'{value:.0f}' if float(value).is_integer() else f'{value:.3f}')
    return table


def languages_table(metrics: Mapping[str, float], title: str) -> Table:
    """A rich table of metrics by language: a row a language, then the mean without English.

    Args:
        metrics: Flat names such as `answers/de/accuracy` and `answers/mean_accuracy`; all others are ignored.
        title: Stands above.

    Raises:
        ValueError: If no metric goes by language or is such a mean.
    """
    grid = _language_grid(metrics)
    table = Table(title=title, title_justify='left', title_style='bold', box=SIMPLE_HEAD, padding=0, pad_edge=False)
    for place, name in enumerate(grid.header):
        table.add_column(name, justify='right' if place else 'left', no_wrap=True)
    for cells in grid.rows:
        table.add_row(*cells, style='bold' if cells[0] == MEAN_LABEL else None)
    return table


def languages_markdown(metrics: Mapping[str, float], title: str) -> str:
    """The same table in Markdown, its title a bold line above; arguments and errors as `languages_table`."""
    return _markdown(_language_grid(metrics), title)


def metrics_markdown(metrics: Mapping[str, float], *, setting: str, split: str, num_items: int) -> str:
    """The same table in Markdown, its title a bold line above; arguments and errors as `metrics_table`."""
    return _markdown(_grid(metrics), _title(setting, split, num_items))


def _markdown(grid: _Grid, title: str) -> str:
    rows = [[f'**{cell}**' for cell in cells] if cells[0] == MEAN_LABEL else cells for cells in grid.rows]
    lines = [grid.header, ['-', *['-:'] * (len(grid.header) - 1)], *rows]
    table = '\n'.join('|' + '|'.join(cells) + '|' for cells in lines)
    return f'**{title}**\n\n{table}\n'


def _language_grid(metrics: Mapping[str, float]) -> _Grid:
    tables: dict[str, dict[str, float]] = {}
    means: dict[str, float] = {}
    for full_name, value in metrics.items():
        parts = full_name.split('/')
        if len(parts) == 3:
            tables.setdefault(parts[1], {})[parts[2]] = value
        elif len(parts) == 2 and parts[1].startswith('mean_'):
            means[parts[1].removeprefix('mean_')] = value
    if not tables and not means:
        raise ValueError(f'no metric by language among {sorted(metrics)[:5]}')
    names = list(dict.fromkeys(name for table in (*tables.values(), means) for name in table))
    rows = [[language, *_cells(tables[language], names)] for language in sort_languages(tables)]
    if means:
        rows.append([MEAN_LABEL, *_cells(means, names)])
    return _Grid(['language', *(name.replace('num_', '').replace('_', ' ') for name in names)], rows)


def _cells(table: Mapping[str, float], names: Sequence[str]) -> list[str]:
    texts = {name: f'{value:,.0f}' if name.startswith('num_') else f'{value:.2f}' for name, value in table.items()}
    return [texts.get(name, ABSENT) for name in names]


def _title(setting: str, split: str, num_items: int) -> str:
    return f'{setting}, split {split}, {num_items:,} images; recall in %'


def _grid(metrics: Mapping[str, float]) -> _Grid:
    by_language = _by_language(metrics)
    names = {name for table in by_language.values() for name in table}
    cut_offs = sorted({int(name.partition('R@')[2]) for name in names if 'R@' in name})
    recalls = [f'{d}_R@{k}' for d in DIRECTIONS for k in cut_offs] + [f'itm_{d}_R@1' for d in DIRECTIONS]
    columns = [name for name in recalls if name in names]
    counts = [f'num_{d}' for d in DIRECTIONS if f'num_{d}' in names]
    if not columns:
        raise ValueError(f'no retrieval metric among {sorted(metrics)[:5]}')

    header = ['language', *(_label(name) for name in (*columns, *counts))]
    order = [*sort_languages(by_language.keys() - {MEAN}), *([MEAN] if MEAN in by_language else [])]
    rows = []
    for language in order:
        table = by_language[language]
        cells = [f'{table[name]:.1f}' if name in table else ABSENT for name in columns]
        cells += [f'{int(table[name]):,}' if name in table else ABSENT for name in counts]
        rows.append([MEAN_LABEL if language == MEAN else language, *cells])
    return _Grid(header, rows)


def _label(name: str) -> str:
    return name.replace('itm_', 'ITM ').replace('num_', 'num ').replace('_', ' ')


def _by_language(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Split `[prefix/]language/name` and keep the names this table knows."""
    tables: dict[str, dict[str, float]] = {}
    for full_name, value in metrics.items():
        head, _, name = full_name.rpartition('/')
        language = head.rpartition('/')[2]
        stem = name.removeprefix('itm_').removeprefix('num_')
        if language and stem.startswith(DIRECTIONS):
            tables.setdefault(language, {})[name] = value
    return tables
