"""The forms in which an image can enter the model."""

from enum import StrEnum

__all__ = ['VisualForm']


class VisualForm(StrEnum):
    """Which visual tokens a text may see: regions, patches, or both."""

    ROI = 'roi'
    PATCH = 'patch'
    BOTH = 'both'
