"""Classification of a text and its images: visual questions (xGQA), entailment (XVNLI), pairs of images (MaRVL).

Shapes: B items, I images an item, T text tokens, D fusion width, C classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rc3mm.models.backbones import VisionLanguageModel
from rc3mm.registry import MODELS
from rc3mm.structures import VisualForm, VLDataSample
from rc3mm.utils.dist import all_reduce_sum, rank_and_world_size

__all__ = ['VLClassifier']


@MODELS.register_module()
class VLClassifier(VisionLanguageModel):
    """A head of two layers over h(i, t), the fused representation of the text with each of its images.

    With several images the text is fused with each alone and the head reads all of the h side by side, as IGLUE's
    models do for NLVR2 (Bugliarello et al. 2022).

    Args:
        num_classes: C.
        num_images: I.
        dropout: in the head.
        **backbone: see `VisionLanguageModel`; weights of a pre-trained `RC3` load into it by name.

    Raises:
        ValueError: fewer than two classes or no image.
    """

    def __init__(self, num_classes: int, num_images: int = 1, dropout: float = 0.1, **backbone: Any) -> None:
        super().__init__(**backbone)
        if num_classes < 2 or num_images < 1:
            raise ValueError(f'needs two classes and one image at least, got {num_classes} and {num_images}')
        self.num_images = num_images
        width = self.fusion.width
        self.head = nn.Sequential(
            nn.Linear(width * num_images, 2 * width),
            nn.GELU(),
            nn.LayerNorm(2 * width),
            nn.Dropout(dropout),
            nn.Linear(2 * width, num_classes),
        )

    def outputs(self, inputs: dict[str, Any], form: VisualForm) -> Tensor:
        """Logits, shape (B, C).

        Raises:
            ValueError: the items have another number of images than the head was built for.
        """
        images = inputs.get('images_per_item', 1)
        if images != self.num_images:
            raise ValueError(f'this model reads {self.num_images} images an item, the batch has {images}')
        states = self.text_encoder(inputs['text_ids'], inputs['text_mask'], inputs.get('text_lengths'))
        mask = inputs['text_mask']
        if images > 1:  # B x I texts, each beside its image
            states, mask = states.repeat_interleave(images, 0), mask.repeat_interleave(images, 0)
        fused = self.fuse(states, mask, self.encode_visual(inputs, [form]), form)
        return self.head(fused.view(len(fused) // images, -1))

    def losses(self, inputs: dict[str, Any], data_samples: list[VLDataSample]) -> dict[str, Tensor]:
        """`loss_answer`, cross-entropy, and `answer_acc`, the share told right; items with label -1 teach nothing.

        The loss is a mean over the labelled items of the global batch, however they are spread over processes.
        """
        (form,) = self.sample_forms(inputs, 1)
        logits, label = self.outputs(inputs, form).float(), inputs['label']
        labelled = (label >= 0).sum()
        everywhere = all_reduce_sum(labelled.float()).clamp(min=1) / rank_and_world_size()[1]
        loss = F.cross_entropy(logits, label, ignore_index=-1, reduction='sum') / everywhere
        return {'loss_answer': loss, 'answer_acc': (logits.argmax(1) == label).sum() / labelled.clamp(min=1)}

    def predict(self, inputs: dict[str, Any], data_samples: list[VLDataSample], form: VisualForm) -> list[VLDataSample]:
        """The data samples with `scores` (C,), log probabilities, and `prediction`, the best class."""
        scores = self.outputs(inputs, form).float().log_softmax(1)
        for sample, row, best in zip(data_samples, scores, scores.argmax(1).tolist(), strict=True):
            sample.scores, sample.prediction = row, torch.tensor(best)
        return data_samples
