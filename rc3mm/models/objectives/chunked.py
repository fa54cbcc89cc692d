"""Large contrastive batches in the memory of small ones.

Each part of the batch is encoded, and of what that took only the views are kept that objectives ask for: embeddings,
fused representations, states at masked positions. In the backward pass one part after another is encoded anew (the
gradient cache of Gao et al. 2021, arXiv 2101.06983, by way of activation checkpointing: Chen et al. 2016). Objectives
see the whole batch, so losses and gradients are those of the whole batch.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rc3mm.models.objectives.context import BatchContext, Request
from rc3mm.models.objectives.context_model import ContextModel
from rc3mm.structures import VisualForm, VLDataSample

__all__ = ['ChunkedContext', 'split_inputs']

View = Tensor | tuple[Tensor, ...] | None

_OF_TEXTS = ('text_ids', 'text_mask', 'text_lengths')
_ROWS = ('roi_missing', 'image_rows')  # numbers of items


class ChunkedContext(BatchContext):
    """The views of a batch, computed a chunk at a time.

    Args:
        model: see `BatchContext`.
        inputs: see `BatchContext`.
        data_samples: see `BatchContext`.
        view_forms: see `BatchContext`.
        negatives_within: see `BatchContext`; must divide the chunk, as negatives come from the own chunk.
        uniform_negatives: see `BatchContext`.
        needs: all that will be asked for.
        chunk_size: items encoded at a time.

    Raises:
        ValueError: the chunk does not divide the batch, or the blocks of hard negatives do not divide the chunk.
    """

    def __init__(
        self,
        model: ContextModel,
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        view_forms: Sequence[VisualForm],
        negatives_within: int | None,
        uniform_negatives: bool,
        needs: Collection[Request],
        chunk_size: int,
    ) -> None:
        super().__init__(model, inputs, data_samples, view_forms, negatives_within, uniform_negatives, needs)
        if self.B % chunk_size:
            raise ValueError(f'chunk_size {chunk_size} does not divide the per-process batch of {self.B}')
        draws = any(name in ('wrong_text_BnD', 'wrong_image_BD') for name, *_ in needs)
        if draws and (negatives_within is None or chunk_size % negatives_within):
            raise ValueError(
                f'hard negatives are drawn within a chunk of {chunk_size} items, but negatives_within is '
                f'{negatives_within}; set it to a divisor of the chunk'
            )
        self.requests = [need for need in dict.fromkeys(needs) if need[0] != 'masked_regions' or self.sees_regions]
        if self.sees_regions:
            model.find_regions(inputs)
        self._views = self._compute(chunk_size)

    def _compute(self, chunk_size: int) -> dict[Request, View]:
        parts: list[list[View]] = []
        for first, inputs in split_inputs(self.inputs, self.B, chunk_size):
            samples = self.data_samples[first : first + chunk_size]

            def run(inputs: dict[str, Any] = inputs, samples: Any = samples, first: int = first) -> list[View]:
                context = BatchContext(
                    self.model,
                    inputs,
                    samples,
                    self.view_forms,
                    self.negatives_within,
                    self.uniform_negatives,
                    self.requests,
                    first,
                    self.B,
                )
                views = [_view(context, request) for request in self.requests]
                return [_renumbered(view, request, first) for view, request in zip(views, self.requests, strict=True)]

            parts.append(checkpoint(run, use_reentrant=False))
        return {request: _concatenated(views) for request, *views in zip(self.requests, *parts, strict=True)}

    # -- the views, ready

    @property
    def image_embeddings_BPE(self) -> Tensor:
        """See `BatchContext`."""
        return self._known('image_embeddings_BPE')

    @property
    def text_embeddings_BPE(self) -> Tensor:
        """See `BatchContext`."""
        return self._known('text_embeddings_BPE')

    @property
    def first_states_BPD(self) -> Tensor:
        """See `BatchContext`."""
        return self._known('first_states_BPD')

    @property
    def wrong_image_BD(self) -> Tensor:
        """See `BatchContext`."""
        return self._known('wrong_image_BD')

    def fused_BnD(self, texts: int | None = None) -> Tensor:
        """See `BatchContext`."""
        return self._known('fused_BnD', texts)

    def wrong_text_BnD(self, texts: int | None = None) -> Tensor:
        """See `BatchContext`."""
        return self._known('wrong_text_BnD', texts)

    def masked_states_KD(self, kind: str, with_image: bool) -> Tensor:
        """See `BatchContext`."""
        return self._known('masked_states_KD', kind, with_image)

    def masked_regions(
        self, mask_feature_F: Tensor, probability: float, leak_iou: float
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """See `BatchContext`."""
        return self._known('masked_regions', mask_feature_F, probability, leak_iou)

    def _known(self, *request: Any) -> Any:
        try:
            return self._views[request]
        except KeyError:
            raise KeyError(
                f'the view {request[0]}{request[1:]} was not announced; an objective must list what it asks for in '
                f'`needs`, which have {[name for name, *_ in self.requests]}'
            ) from None


def _view(context: BatchContext, request: Request) -> View:
    name, *arguments = request
    view = getattr(context, name)
    return view(*arguments) if callable(view) and not isinstance(view, Tensor) else view


def _renumbered(view: View, request: Request, first: int) -> View:
    """Row numbers of masked regions count from the batch's first item."""
    if request[0] == 'masked_regions' and isinstance(view, tuple):
        states, rows, columns = view
        return states, rows + first, columns
    return view


def _concatenated(parts: Sequence[View]) -> View:
    present = [part for part in parts if part is not None]
    if not present:
        return None
    if isinstance(present[0], Tensor):
        return torch.cat([part for part in present if isinstance(part, Tensor)])
    return tuple(torch.cat(columns) for columns in zip(*present, strict=True))


def split_inputs(inputs: dict[str, Any], items: int, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of its first item, and the inputs, of each part of a batch.

    Args:
        inputs: of a batch, as `vl_collate` makes them and the data preprocessor leaves them.
        items: B, the items of the batch.
        size: items of a part.
    """
    held = inputs.get('image_rows')
    texts = len(inputs['text_ids']) // items
    for first in range(0, items, size):
        last = min(first + size, items)
        part: dict[str, Any] = {}
        for key, value in inputs.items():
            if key in _OF_TEXTS:
                part[key] = value[first * texts : last * texts]
            elif key.startswith('masked_'):
                part[key] = _part_of_masked(value, first, last)
            elif key in _ROWS:
                part[key] = [row - first for row in value if first <= row < last]
            elif key in ('image', 'pixels') and held is not None:
                part[key] = value[(held >= first) & (held < last)]
            else:
                part[key] = value[first:last] if isinstance(value, Tensor | list) else value
        if held is not None:
            part['image_rows'] = torch.tensor(part['image_rows'], dtype=held.dtype, device=held.device)
        yield first, part


def _part_of_masked(masked: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    width, counts = masked['ids'].shape[1], masked['counts']
    start, end = sum(counts[:first]), sum(counts[:last])
    part = {key: masked[key][first:last] for key in ('ids', 'mask', 'lengths', 'counts') if key in masked}
    return part | {'positions': masked['positions'][start:end] - first * width, 'labels': masked['labels'][start:end]}
