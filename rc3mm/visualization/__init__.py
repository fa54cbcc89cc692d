"""Pictures and tables of what a run did."""

from rc3mm.visualization.captions import CaptionedImage, draw_captions
from rc3mm.visualization.fonts import font_families, missing_glyphs, warn_missing_glyphs
from rc3mm.visualization.gallery import GalleryRow, draw_gallery
from rc3mm.visualization.loss_plot import plot_losses
from rc3mm.visualization.table import (
    headlines_table,
    languages_markdown,
    languages_table,
    metrics_markdown,
    metrics_table,
)

__all__ = [
    'CaptionedImage',
    'GalleryRow',
    'draw_captions',
    'draw_gallery',
    'font_families',
    'headlines_table',
    'languages_markdown',
    'languages_table',
    'metrics_markdown',
    'metrics_table',
    'missing_glyphs',
    'plot_losses',
    'warn_missing_glyphs',
]
