"""A picture of a suite of tasks: bars by language, a panel a metric, with chance, controls and others' numbers."""

import math
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rc3mm.evaluation.functional.languages import PIVOT, sort_languages
from rc3mm.visualization.suite_rows import OURS, SuiteRow, SuiteTable

__all__ = ['draw_suite']

INK, MUTED, RULE = '#1f2430', '#6b7280', '#e3e6ec'
ENGLISH, OTHERS, MEAN = '#9aa5b8', '#2b6cb0', '#173f6d'
LINES = ('#b7561b', '#7a3e9d', '#16874a', '#a1206a')  # controls
MARKS = 'odsv^<>P'  # other models
COLUMNS = 3


def draw_suite(table: SuiteTable, path: str | Path) -> None:
    """Draw a panel a metric of ours and save the picture.

    Args:
        table: what to draw; rows of other models are marks upon the bars of ours.
        path: where to save; parent folders are made.

    Raises:
        ValueError: no row is ours.
    """
    ours = [row for row in table.rows if row.model == OURS]
    if not ours:
        raise ValueError('there is no row to draw')
    columns = min(COLUMNS, len(ours))
    lines = math.ceil(len(ours) / columns)
    figure = Figure(figsize=(4.3 * columns, 3.0 * lines + 0.5), facecolor='white')
    figure.set_layout_engine('constrained', h_pad=0.1, w_pad=0.08)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat[len(ours) :]:
        axes.set_axis_off()
    colors = dict(zip(table.controls, cycle(LINES), strict=False))
    for axes, row in zip(grid.flat, ours, strict=False):
        same = [other for other in table.rows if (other.task, other.metric) == (row.task, row.metric)]
        _draw_panel(axes, row, [other for other in same if other.model != OURS], colors)
    figure.suptitle(table.title, x=0.01, ha='left', fontsize=12, fontweight='bold', color=INK)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)


def _draw_panel(axes: Axes, row: SuiteRow, peers: list[SuiteRow], colors: dict[str, str]) -> None:
    names = sort_languages({language for other in (row, *peers) for language in other.scores})
    places = {name: float(place) for place, name in enumerate(names)}
    for language, value in row.scores.items():
        _draw_bar(axes, places[language], value, ENGLISH if language == PIVOT else OTHERS)
    means = [other.mean for other in (row, *peers) if other.mean is not None]
    if means:
        names.append('mean')
        places['mean'] = len(places) + 0.4  # set apart: it is no language
    if row.mean is not None:
        _draw_bar(axes, places['mean'], row.mean, MEAN)
    for mark, peer in zip(MARKS, peers, strict=False):
        points = {**peer.scores, **({'mean': peer.mean} if peer.mean is not None else {})}
        x = [places[name] for name in points]
        axes.plot(x, list(points.values()), mark, color='white', mec=INK, ms=5, ls='', label=peer.model, zorder=3)
    if row.chance is not None:
        axes.axhline(row.chance, color=MUTED, linewidth=1.2, linestyle='--', label='chance', zorder=2)
    for name, value in row.controls.items():
        axes.axhline(value, color=colors[name], linewidth=1.4, linestyle=':', label=name, zorder=2)
    drawn = [*row.scores.values(), *row.controls.values(), *means, row.chance or 0.0]
    top = max(1.32 * max(drawn), 1e-3)  # room for the legend
    axes.set_ylim(0, top)
    axes.set_yticks(
        [tick for tick in axes.get_yticks() if 0 <= tick <= min(top, max(100.0, *drawn))]
    )  # none over 100 %
    axes.set_xticks([places[name] for name in names], names)
    axes.set_title(f'{row.task}, {row.metric}', loc='left', fontsize=9.5, fontweight='bold', color=INK, pad=17)
    about = f'{row.setting}, split {row.split}, {row.items}'
    axes.text(0, 1.02, about, transform=axes.transAxes, fontsize=8, color=MUTED, va='bottom')
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7.5, frameon=False, ncols=3, loc='upper right', borderaxespad=0.1, columnspacing=1.2)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    for side in ('left', 'bottom'):
        axes.spines[side].set_color('#b9bfca')
    axes.grid(True, axis='y', color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=MUTED, length=3)


def _draw_bar(axes: Axes, place: float, value: float, color: str) -> None:
    axes.bar(place, value, width=0.72, color=color, zorder=1)
    axes.text(place, value, f'{value:.1f}', ha='center', va='bottom', fontsize=7.5, color=INK)
