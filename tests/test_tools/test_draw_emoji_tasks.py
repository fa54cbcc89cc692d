"""The sheet of the task twins: everything can be read, and the file stays small."""

import importlib
from itertools import combinations
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox
from PIL import Image

from rc3mm.visualization.fonts import missing_glyphs

MISC = Path(__file__).resolve().parents[2] / 'tools/misc'


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(MISC))
    return importlib.import_module('draw_emoji_tasks')


@pytest.mark.parametrize('first', [0, 104])
def test_nothing_lies_over_a_text(tool: ModuleType, first: int) -> None:
    figure = tool.draw(32, first)
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    written = [text for text in axes.texts if text.get_text().strip()]
    texts = [text.get_window_extent().padded(-1) for text in written]
    pictures = [image.get_window_extent() for image in axes.images]
    assert len(pictures) == 2 + 2 + 2 * 8 + 2 and len(texts) > 80
    assert not [pair for pair in combinations(texts, 2) if pair[0].overlaps(pair[1])]
    assert not [text for text in texts for picture in pictures if text.overlaps(picture)]
    paper = figure.bbox
    for box in (*texts, *pictures):
        assert Bbox.intersection(box, paper).extents == pytest.approx(box.extents), 'beyond the paper'
    assert not any(missing_glyphs(text.get_text(), text.get_fontfamily()) for text in written)


def test_writes_a_small_file(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'new/sheet.png'
    monkeypatch.setattr('sys.argv', ['draw_emoji_tasks.py', '--out', str(out), '--image-size', '32', '--first', '3'])
    tool.main()
    assert capsys.readouterr().out.startswith(f'{out}: ')
    with Image.open(out) as picture:
        assert picture.width == 1680 and picture.height > 1000
    assert out.stat().st_size < 300 * 1024
