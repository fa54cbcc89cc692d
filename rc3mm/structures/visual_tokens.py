"""VisualTokens: what a model sees of the images of a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rc3mm.structures.visual_form import VisualForm

__all__ = ['VisualTokens']


@dataclass(frozen=True)
class VisualTokens:
    """Visual tokens of a batch, regions first, then patches.

    Attributes:
        tokens_BVD: token features.
        mask_BV: boolean, True at real tokens.
        is_roi_V: boolean, True at region tokens.
    """

    tokens_BVD: Tensor
    mask_BV: Tensor
    is_roi_V: Tensor

    def visible_BV(self, form: VisualForm) -> Tensor:
        """The tokens that belong to a visual form, shape (B, V); all of an image that has none of that form."""
        if form is VisualForm.BOTH:
            return self.mask_BV
        visible_BV = self.mask_BV & (self.is_roi_V if form is VisualForm.ROI else ~self.is_roi_V)
        return torch.where(visible_BV.any(1, keepdim=True), visible_BV, self.mask_BV)

    def select(self, rows_M: Tensor) -> 'VisualTokens':
        """The tokens of images by number, repeats allowed."""
        # Unlike indexing, whose gradient is summed by racing threads on CPU, this is repeatable to the bit.
        return VisualTokens(
            self.tokens_BVD.index_select(0, rows_M), self.mask_BV.index_select(0, rows_M), self.is_roi_V
        )
