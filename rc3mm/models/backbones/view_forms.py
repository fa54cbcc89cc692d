"""Which visual form each text of a training batch sees."""

from collections.abc import Mapping
from typing import Any

import torch

from rc3mm.structures import VisualForm

__all__ = ['ViewForms', 'check_forms']

_CHOICES: dict[str, set[VisualForm]] = {
    'roi': {VisualForm.ROI},
    'patch': {VisualForm.PATCH},
    'both': {VisualForm.BOTH},
    'split': {VisualForm.ROI, VisualForm.PATCH},
}
_NEEDS = {
    VisualForm.ROI: {'roi_features'},
    VisualForm.PATCH: {'image'},
    VisualForm.BOTH: {'roi_features', 'image'},
}


def check_forms(forms: set[VisualForm], has_patch: bool, has_roi: bool) -> None:
    """Raise a ValueError if a form needs an encoder that the model lacks."""
    for form in sorted(forms):
        if (form is not VisualForm.ROI and not has_patch) or (form is not VisualForm.PATCH and not has_roi):
            lacking = 'patch' if form is not VisualForm.ROI and not has_patch else 'ROI'
            raise ValueError(
                f'visual form "{form}" needs a {lacking} encoder, which this model lacks; give '
                f'`{lacking.lower()}_encoder`, or leave the form out of `form_probs` and `test_form`'
            )


class ViewForms:
    """Draws the visual forms of a batch: the same for all its items, and the same on every rank.

    Args:
        probs: probability of `roi`, `patch`, `both` and `split`; need not sum to 1.

    Raises:
        ValueError: an unknown choice, or no positive probability.
    """

    def __init__(self, probs: Mapping[str, float]) -> None:
        unknown = set(probs) - set(_CHOICES)
        if unknown or not any(value > 0 for value in probs.values()) or min(probs.values()) < 0:
            raise ValueError(
                f'form_probs takes non-negative numbers, not all 0, for {sorted(_CHOICES)}; got {dict(probs)}'
            )
        self.probs = {choice: float(value) for choice, value in probs.items() if value > 0}

    @property
    def forms(self) -> set[VisualForm]:
        """Every form that can be drawn."""
        return set().union(*(_CHOICES[choice] for choice in self.probs))

    def sample(self, inputs: dict[str, Any], num_texts: int, can_extract: bool = False) -> list[VisualForm]:
        """The form that each of the P texts sees; among the choices that the batch's data allows.

        Args:
            inputs: the batch; `step_seed` decides, `image` and `roi_features` limit the choice.
            num_texts: P.
            can_extract: regions can be found in the images.

        Returns:
            P forms; empty for a batch without images.

        Raises:
            KeyError: the batch has images or regions, but allows none of the configured choices.
        """
        present = {'image', 'detector_image', 'roi_features'} & set(inputs)
        if not present:
            return []
        if inputs.get('roi_only'):  # whether some image lacks regions differs from rank to rank
            present = {'roi_features'}
        if can_extract and present & {'image', 'detector_image'}:
            present.add('roi_features')
        allowed = [choice for choice in self.probs if all(_NEEDS[form] <= present for form in _CHOICES[choice])]
        if not allowed:
            raise KeyError(
                f'this batch has {sorted(present)} only, which fits none of the configured form_probs {self.probs}'
            )
        generator = torch.Generator().manual_seed(int(inputs.get('step_seed', 0)) ^ 0x5EED)
        weights = torch.tensor([self.probs[choice] for choice in allowed])
        choice = allowed[int(torch.multinomial(weights, 1, generator=generator))]
        if choice != 'split':
            return [VisualForm(choice)] * num_texts
        roi_first = bool(torch.rand((), generator=generator) < 0.5)
        return [VisualForm.ROI if (k % 2 == 0) == roi_first else VisualForm.PATCH for k in range(num_texts)]
