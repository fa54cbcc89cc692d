"""RC3 as it would be written down first: what the fast one is compared with."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rc3mm.models.objectives import BatchContext, Objective
from rc3mm.models.pretrainers.rc3 import RC3
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VLDataSample

__all__ = ['PlainRC3']

IGNORED = -100


class PlainContext(BatchContext):
    """Views of one objective: padded texts, keys and values made for each call, words told everywhere."""

    @property
    def visual_memory(self) -> Any:
        """Computed anew for each call of the fusion head."""
        return self.model.fusion.read_visual(self.visual.tokens_BVD)

    def word_loss(self, kind: str, with_image: bool) -> tuple[Tensor, Tensor]:
        """See `BatchContext.word_loss`; logits of all positions are made."""
        masked, states = self.masked(kind), self._text_states(kind)
        if with_image:
            visible = self.visual.visible_BV(self.view_forms[0])[:, None]
            states = self.model.fusion(states[:, None], masked['mask'][:, None], self.visual_memory, visible)[:, 0]
        else:
            states = self.model.fusion.text_projection(states)
        model: Any = self.model
        logits_KV = model.lm_head(states.flatten(0, 1), model.text_encoder.word_embeddings).float()
        labels_K = torch.full((len(logits_KV),), IGNORED, device=logits_KV.device)
        labels_K[masked['positions']] = masked['labels']
        total = F.cross_entropy(logits_KV, labels_K, ignore_index=IGNORED, reduction='sum')
        return total, (logits_KV.argmax(1) == labels_K).sum()


@MODELS.register_module()
class PlainRC3(RC3):
    """`RC3` with the same losses and gradients, and nothing shared: the reference of all that is done for speed.

    Each objective has encoder passes of its own; texts are padded to the longest of the batch; masked words are told by
    logits at all positions. Arguments are those of `RC3`.
    """

    def contexts(
        self,
        objectives: Mapping[str, Objective],
        inputs: dict[str, Any],
        data_samples: Sequence[VLDataSample],
        forms: Sequence[VisualForm],
    ) -> Iterator[tuple[str, Objective, BatchContext]]:
        """See `RC3.contexts`: new views for each objective."""
        uniform = data_samples[0].source in self.uniform_negatives
        padded = _without_lengths(inputs)
        for name, objective in objectives.items():
            yield (
                name,
                objective,
                PlainContext(self, dict(padded), data_samples, forms, self.negatives_within, uniform),
            )


def _without_lengths(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_lengths(value) if isinstance(value, dict) else value
        for key, value in inputs.items()
        if key not in ('text_lengths', 'lengths')
    }
