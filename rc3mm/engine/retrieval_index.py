"""What an evaluation knows after every image and text went through the towers once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rc3mm.models.objectives import VisualTokens
from rc3mm.utils.dist import rank_and_world_size

__all__ = ['LocalImages', 'RetrievalIndex', 'gather_rows']


def gather_rows(rows: Any) -> list[Any]:
    """One picklable object of every rank, in rank order, on every rank."""
    _, world_size = rank_and_world_size()
    if world_size == 1:
        return [rows]
    out: list[Any] = [None] * world_size
    dist.all_gather_object(out, rows)
    return out


@dataclass
class LocalImages:
    """Visual tokens of this rank's images, kept (in half precision) for re-ranking.

    Attributes:
        numbers: global image numbers, in the order of the rows of `tokens`.
        tokens: chunks of visual tokens.
    """

    numbers: list[int] = field(default_factory=list)
    tokens: list[VisualTokens] = field(default_factory=list)

    def add(self, number: int, tokens: VisualTokens) -> None:
        """Keep one image."""
        half = torch.float16 if tokens.tokens_BVD.is_cuda else tokens.tokens_BVD.dtype
        self.numbers.append(number)
        self.tokens.append(VisualTokens(tokens.tokens_BVD.to(half), tokens.mask_BV, tokens.is_roi_V))

    def select(self, rows: Sequence[int], dtype: torch.dtype) -> VisualTokens:
        """Visual tokens of some of the kept images as one batch; shorter sequences are padded and masked."""
        chosen = [self.tokens[row] for row in rows]
        longest = max((tokens.is_roi_V for tokens in chosen), key=len)
        V, D = len(longest), chosen[0].tokens_BVD.shape[-1]
        batch = chosen[0].tokens_BVD.new_zeros((len(chosen), V, D), dtype=dtype)
        mask = torch.zeros((len(chosen), V), dtype=torch.bool, device=batch.device)
        for row, tokens in enumerate(chosen):
            batch[row, : len(tokens.is_roi_V)] = tokens.tokens_BVD[0].to(dtype)
            mask[row, : len(tokens.is_roi_V)] = tokens.mask_BV[0]
        return VisualTokens(batch, mask, longest)


@dataclass(frozen=True)
class RetrievalIndex:
    """All images and texts of a test set, on every rank.

    Attributes:
        image_ids: N names.
        image_NE: unit-length image embeddings.
        texts: M (language, string) pairs.
        text_ids: token ids of the M texts, unpadded.
        text_ME: unit-length text embeddings.
        owner_M: number of the image that each text describes.
    """

    image_ids: list[str]
    image_NE: Tensor
    texts: list[tuple[str, str]]
    text_ids: list[Tensor]
    text_ME: Tensor
    owner_M: Tensor

    @classmethod
    def gather(cls, images: list[dict[str, Any]], device: torch.device) -> 'RetrievalIndex':
        """Put together from each rank's images.

        Args:
            images: one an image: `number`, `image_id`, `embedding` (E,), `texts`, `text_ids`, `text_embeddings`.
            device: where the embeddings shall lie.

        Raises:
            ValueError: there is no image at all, or two images share a number.
        """
        every = sorted((image for part in gather_rows(images) for image in part), key=lambda image: image['number'])
        if [image['number'] for image in every] != list(range(len(every))) or not every:
            raise ValueError(f'expected each of the test images exactly once, got {len(every)} with gaps or repeats')
        owners = [number for number, image in enumerate(every) for _ in image['texts']]
        return cls(
            image_ids=[image['image_id'] for image in every],
            image_NE=torch.stack([image['embedding'] for image in every]).to(device),
            texts=[tuple(text) for image in every for text in image['texts']],
            text_ids=[ids for image in every for ids in image['text_ids']],
            text_ME=torch.cat([image['text_embeddings'] for image in every]).to(device),
            owner_M=torch.tensor(owners, device=device),
        )

    def of_language(self, language: str) -> Tensor:
        """Numbers of the texts in a language, ascending."""
        numbers = [number for number, (own, _) in enumerate(self.texts) if own == language]
        return torch.tensor(numbers, device=self.owner_M.device)

    @property
    def languages(self) -> list[str]:
        """Languages that occur, in order of appearance."""
        return list(dict.fromkeys(language for language, _ in self.texts))
