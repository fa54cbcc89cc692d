"""What an evaluation knows after every image and text went through the towers once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rc3mm.structures import VisualTokens
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
        tokens_VD: of each image the tokens that its visual form shows.
    """

    numbers: list[int] = field(default_factory=list)
    tokens_VD: list[Tensor] = field(default_factory=list)

    def add(self, number: int, tokens_VD: Tensor) -> None:
        """Keep one image."""
        self.numbers.append(number)
        self.tokens_VD.append(tokens_VD.half() if tokens_VD.is_cuda else tokens_VD)

    def select(self, rows: Sequence[int], dtype: torch.dtype) -> VisualTokens:
        """Visual tokens of some of the kept images as one batch; shorter sequences are padded and masked."""
        chosen = [self.tokens_VD[row].to(dtype) for row in rows]
        batch = pad_sequence(chosen, batch_first=True)
        lengths = torch.tensor([len(tokens) for tokens in chosen], device=batch.device)
        places = torch.arange(batch.shape[1], device=batch.device)
        # what was kept is what may be seen, so nobody asks any more which tokens are regions
        return VisualTokens(batch, places < lengths[:, None], torch.zeros_like(places, dtype=torch.bool))


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
