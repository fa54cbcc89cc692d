"""Training curves: smoothing obeys its formula, panels are complete and ordered, holes are marked."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from rc3mm.visualization import loss_plot, plot_losses
from rc3mm.visualization.loss_plot import smooth


def series(values, every=10):
    return [(i * every, float(v)) for i, v in enumerate(values)]


HISTORY = {
    'lr': series(np.linspace(1e-4, 0, 200)),
    'itm_acc': series(np.linspace(0.5, 0.9, 200)),
    'loss_itm': series(np.linspace(0.7, 0.3, 200)),
    'loss_itc': series(np.geomspace(5, 0.01, 200)),
    'loss': series(np.linspace(9, 2, 200)),
    'data_time': series([0.1] * 200),
    'val/mean_R@1': series([10, 20, 25], every=900),
}


@pytest.fixture
def panels(monkeypatch):
    """Draws, and returns the panels that were drawn."""
    drawn = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, *_, **__: drawn.append(self))

    def draw(history, tmp_path, **kwargs):
        plot_losses(history, tmp_path / 'a.png', **kwargs)
        return [axes for axes in drawn[-1].axes if axes.get_title(loc='left')]

    return draw


@pytest.mark.parametrize('weight', [0.0, 0.5, 0.95])
def test_smoothing_follows_its_formula(weight):
    x = np.random.default_rng(0).normal(size=40)
    kernel = weight ** np.abs(np.subtract.outer(np.arange(40), np.arange(40)))
    np.testing.assert_allclose(smooth(x, weight), kernel @ x / kernel.sum(1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(smooth(np.full(40, 3.0), weight), 3.0)
    np.testing.assert_allclose(smooth(x[::-1], weight), smooth(x, weight)[::-1])


def test_panels_in_order_without_bookkeeping(panels, tmp_path):
    names = [axes.get_title(loc='left') for axes in panels(HISTORY, tmp_path, title='a run')]
    assert names == ['loss', 'loss_itc', 'loss_itm', 'itm_acc', 'val/mean_R@1', 'lr']


def test_scales_and_common_time_axis(panels, tmp_path):
    drawn = {axes.get_title(loc='left'): axes for axes in panels(HISTORY, tmp_path)}
    assert drawn['loss_itc'].get_yscale() == 'log'
    assert drawn['loss'].get_yscale() == drawn['itm_acc'].get_yscale() == 'linear'
    assert len({axes.get_xlim() for axes in drawn.values()}) == 1
    # Raw and smoothed lines for a long series, one line with points for a short one.
    assert len(drawn['loss'].lines) == 2
    assert len(drawn['val/mean_R@1'].lines) == 1


def test_values_that_are_not_finite_are_marked(panels, tmp_path):
    values = [1.0, float('nan'), 0.5, float('inf'), 0.4]
    broken, dead = panels({'loss': series(values), 'loss_dead': series([float('nan')] * 3)}, tmp_path)
    assert broken.get_title(loc='right') == 'last 0.4, 2 not finite'
    assert dead.get_title(loc='right') == 'last never finite, 3 not finite'.removeprefix('last ')
    assert list(broken.lines[-1].get_xdata()) == [10, 30]
    assert np.isfinite(broken.lines[0].get_ydata()).all()


def test_picture_is_written(tmp_path):
    plot_losses(HISTORY, tmp_path / 'new' / 'losses.png')
    assert (tmp_path / 'new' / 'losses.png').read_bytes().startswith(b'\x89PNG')
    plot_losses({'loss': [(0, 1.0)]}, tmp_path / 'one.svg')
    assert (tmp_path / 'one.svg').stat().st_size > 1000


def test_nothing_to_draw_raises(tmp_path):
    with pytest.raises(ValueError, match='nothing'):
        plot_losses({'loss': [], 'time': series([1])}, tmp_path / 'a.png')
    with pytest.raises(ValueError, match='smoothing'):
        plot_losses(HISTORY, tmp_path / 'a.png', smoothing=1.0)


def test_short_step_labels():
    assert [loss_plot._short_step(step, 0) for step in (0, 500, 12_000, 2_500_000)] == [
        '0',
        '500',
        '12k',
        '2500k',
    ]
