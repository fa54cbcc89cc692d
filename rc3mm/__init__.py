"""rc3mm: regularised contrastive cross-lingual cross-modal pre-training (RC3)."""

from rc3mm.version import __version__

__all__ = ['__version__']
