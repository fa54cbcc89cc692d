"""Training curves: one small panel a quantity, raw values behind a smoothed line."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

__all__ = ['plot_losses', 'smooth']

Points = Sequence[tuple[int, float]]

INK, MUTED, RULE = '#1f2430', '#6b7280', '#e3e6ec'
COLORS = {'loss': '#2b6cb0', 'score': '#b7561b', 'rate': '#5b6270'}
COLUMNS = 3

# What a runner logs beside the things one wants to see.
BOOKKEEPING = ('time', 'data_time', 'memory', 'epoch', 'iter', 'step', 'eta')


def plot_losses(history: Mapping[str, Points], path: str | Path, title: str = '', smoothing: float = 0.9) -> None:
    """Draw every logged quantity in a panel of its own and save the picture.

    The total `loss` comes first, then each objective's loss, then accuracies and recalls, then learning
    rates. A loss has a logarithmic axis if it is positive and falls by more than a factor of ten. Values that
    are not finite are left out of the line and marked at the foot of the panel: a curve with a hole should
    not look whole.

    Args:
        history: For each name, (step, value) pairs with rising steps; names may have different steps.
        path: Where to save; the suffix gives the format. Parent folders are made.
        title: Above everything.
        smoothing: `weight` of `smooth` for a thousand points or more; shorter series are smoothed less.

    Raises:
        ValueError: If nothing is left to draw, or `smoothing` is not in [0, 1).
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f'smoothing must lie in [0, 1), got {smoothing}')
    names = [name for name in history if name.rpartition('/')[2] not in BOOKKEEPING and len(history[name])]
    if not names:
        raise ValueError('history holds nothing to draw')
    names.sort(key=_panel_order)
    columns = min(COLUMNS, len(names))
    lines = math.ceil(len(names) / columns)
    size = 3.6 * columns + 0.3, 2.35 * lines + (0.55 if title else 0.15)
    figure = Figure(figsize=size, facecolor='white')
    figure.set_layout_engine('constrained', h_pad=0.08, w_pad=0.08)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    last = max(step for name in names for step, _ in history[name])
    first = min(step for name in names for step, _ in history[name])
    for axes, name in zip(grid.flat, names, strict=False):
        _draw_panel(axes, name, history[name], smoothing)
        # One common time axis, so that panels can be compared by eye.
        pad = 0.02 * max(last - first, 1)
        axes.set_xlim(first - pad, last + pad)
    if title:
        figure.suptitle(title, x=0.01, ha='left', fontsize=12, fontweight='bold', color=INK)
    figure.supxlabel('step', fontsize=9, color=MUTED)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average over both the past and the future, so that the line does not lag behind.

    Args:
        values: Shape (T,), finite.
        weight: Of a neighbour, relative to the next closer one, in [0, 1); 0 returns the values.

    Returns:
        Shape (T,): sum_s weight^|t-s| x_s, divided by the sum of the weights.
    """

    def both_ways(series: np.ndarray) -> np.ndarray:
        return _decayed_sum(series, weight) + _decayed_sum(series[::-1], weight)[::-1] - series

    return both_ways(values) / both_ways(np.ones(len(values)))


def _decayed_sum(values: np.ndarray, weight: float) -> np.ndarray:
    sums, total = np.empty(len(values)), 0.0
    for place, value in enumerate(values):
        total = weight * total + float(value)
        sums[place] = total
    return sums


def _kind(name: str) -> str:
    leaf = name.rpartition('/')[2]
    if 'loss' in leaf:
        return 'loss'
    return 'rate' if leaf == 'lr' or leaf.endswith('_lr') or leaf.startswith('lr') else 'score'


def _panel_order(name: str) -> tuple[int, str]:
    if name == 'loss':
        return 0, name
    return {'loss': 1, 'score': 2, 'rate': 3}[_kind(name)], name


def _draw_panel(axes: Axes, name: str, points: Points, smoothing: float) -> None:
    kind = _kind(name)
    step, value = np.array([p[0] for p in points], float), np.array([p[1] for p in points], float)
    finite = np.isfinite(value)
    latest = f'last {value[finite][-1]:.4g}' if finite.any() else 'never finite'
    if finite.any():
        _draw_series(axes, step[finite], value[finite], kind, smoothing)
    if not finite.all():
        foot = axes.get_xaxis_transform()
        (marks,) = axes.plot(step[~finite], np.zeros((~finite).sum()), '|', color='#d5404d', transform=foot)
        marks.set(markersize=9, markeredgewidth=1.2)
        latest += f', {(~finite).sum()} not finite'
    axes.set_title(name, loc='left', fontsize=9.5, fontweight='bold', color=INK)
    axes.set_title(latest, loc='right', fontsize=8.5, color=MUTED)
    _style(axes)


def _draw_series(axes: Axes, step: np.ndarray, value: np.ndarray, kind: str, smoothing: float) -> None:
    color = COLORS[kind]
    # Few points, as of a validation, and learning rates are shown as they are.
    if kind == 'rate' or len(value) < 30:
        marker = 'o' if len(value) < 30 else ''
        axes.plot(step, value, color=color, linewidth=1.6, marker=marker, markersize=3.5)
        smoothed = value
    else:
        smoothed = smooth(value, smoothing ** (1000 / len(value)) if len(value) < 1000 else smoothing)
        axes.plot(step, value, color=color, linewidth=0.7, alpha=0.28)
        axes.plot(step, smoothed, color=color, linewidth=1.8)
    if kind == 'rate':
        axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f'{tick:.1e}' if tick else '0'))
    elif kind == 'loss' and value.min() > 0 and smoothed.max() > 10 * smoothed.min():
        axes.set_yscale('log')
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f'{tick:g}'))
    elif len(value) >= 30:
        # A single outlier of the first steps must not flatten the rest.
        low, high = np.percentile(value, (0.5, 99.5))
        settled = smoothed[len(smoothed) // 50 :]
        low, high = min(low, settled.min()), max(high, settled.max())
        margin = 0.06 * ((high - low) or abs(high) or 1.0)
        axes.set_ylim(low - margin, high + margin)


def _style(axes: Axes) -> None:
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    for side in ('left', 'bottom'):
        axes.spines[side].set_color('#b9bfca')
    axes.grid(True, color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=MUTED, length=3, which='both')
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_short_step))


def _short_step(step: float, _: int) -> str:
    return f'{step / 1000:g}k' if abs(step) >= 10_000 else f'{step:g}'
