"""Models that are pre-trained."""

from rc3mm.models.pretrainers.plain import PlainRC3
from rc3mm.models.pretrainers.rc3 import RC3

__all__ = ['RC3', 'PlainRC3']
