"""Hard negatives: which wrong text, and which wrong image, to tell from the right one.

Shapes: B items, P texts an item, G items of a block.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rc3mm.utils.dist import rank_and_world_size

__all__ = ['draw_negatives']


@torch.no_grad()
def draw_negatives(
    similarity_PBB: Tensor, image_ids: Sequence[str], block: int, seed: int, first: int, whole: int
) -> tuple[Tensor, Tensor]:
    """Indices of a wrong text for each (image, view) and of a wrong image for each (text, view), both (B, P).

    Drawn with probability softmax(similarity) among the other items of the block (ALBEF); items with the same image id
    are never each other's negatives.

    Args:
        similarity_PBB: of image i and text j in each view, divided by the temperature.
        image_ids: B names.
        block: negatives come from blocks of this many items.
        seed: of the draws.
        first: number of the first item in the process's batch.
        whole: items of the process's batch.

    Raises:
        ValueError: blocks of fewer than two items, or that do not divide the batch.
    """
    P, B, _ = similarity_PBB.shape
    if B % block or block < 2:
        raise ValueError(
            f'hard negatives come from blocks of {block} items, which must be at least 2 and divide the '
            f'per-process batch of {B}'
        )
    device = similarity_PBB.device
    codes = torch.tensor([image_ids.index(name) for name in image_ids], device=device)
    position = torch.arange(B, device=device)
    allowed = (codes[:, None] != codes) & (position[:, None] // block == position // block)
    # An item whose whole block shares its image id has no true negative; its neighbour must do.
    lonely = ~allowed.any(1)
    allowed[lonely, (position[lonely] // block) * block + (position[lonely] + 1) % block] = True
    noise = _gumbel((2, P, B, block), seed, first, whole).to(device)
    offset = (position // block * block)[:, None] + torch.arange(block, device=device)
    wrong_text = _sample(similarity_PBB, allowed, noise[0], offset)
    wrong_image = _sample(similarity_PBB.transpose(1, 2), allowed, noise[1], offset)
    return wrong_text, wrong_image


def _sample(similarity_PBB: Tensor, allowed_BB: Tensor, noise_PBG: Tensor, columns_BG: Tensor) -> Tensor:
    scores = similarity_PBB.masked_fill(~allowed_BB, -torch.inf)
    in_block = scores.gather(2, columns_BG.expand(len(scores), -1, -1)) + noise_PBG
    return columns_BG.expand_as(in_block).gather(2, in_block.argmax(2, keepdim=True)).squeeze(2).T


def _gumbel(shape: tuple[int, int, int, int], seed: int, first: int, whole: int) -> Tensor:
    # Drawn for the global batch on every rank, so that the split over processes changes nothing.
    rank, world_size = rank_and_world_size()
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand((shape[0], shape[1], whole * world_size, shape[3]), generator=generator)
    start = rank * whole + first
    uniform = uniform[:, :, start : start + shape[2]].clamp(1e-10, 1 - 1e-7)
    return -(-uniform.log()).log()
