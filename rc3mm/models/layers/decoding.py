"""Search for the best string, and the likelihood of given ones; of any model that tells the next token.

Shapes: B items, S start tokens, K beams, n new tokens, V vocabulary, C candidates, L tokens, D width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['Hypotheses', 'Step', 'beam_search', 'sequence_log_likelihood', 'stable_topk']

# New tokens (B, K, n), and for each of the K beams the number of the beam of the call before that it goes on from,
# (B, K), or None in the first call -> logits of the token after the last, (B, K, V).
Step = Callable[[Tensor, Tensor | None], Tensor]


class Hypotheses(NamedTuple):
    """The best string of each item.

    Attributes:
        ids_BL: tokens after the start tokens, the end token last, then padding.
        scores_B: log probability over `((5 + length) / 6) ** length_penalty`; the length counts the end token.
    """

    ids_BL: Tensor
    scores_B: Tensor


@torch.no_grad()
def beam_search(
    step: Step,
    start_ids_BS: Tensor,
    end_id: int,
    pad_id: int,
    beams: int = 5,
    max_length: int = 64,
    length_penalty: float = 0.6,
    min_length: int = 0,
) -> Hypotheses:
    """The likeliest strings that a beam finds, under the length normalisation of Wu et al. 2016 (GNMT, eq. 14).

    Every string ends with the end token: the last place is left to it alone, so that scores are of whole strings. A
    string that ends among the best `beams` continuations is set apart, and others take its place in the beam. An item
    is done when `beams` strings have ended, or when none that goes on can still win. With one beam this is greedy
    search. Of equal scores, the earlier string wins, then the earlier beam, then the lower token id.

    Args:
        step: the model; holds its own state, which it reorders as told.
        start_ids_BS: given tokens, such as the start token or a language's tag; no part of the result.
        end_id: ends a string.
        pad_id: fills the result behind it; never chosen unless it is the end token itself.
        beams: K.
        max_length: most tokens of a string, the end token included.
        length_penalty: 0 compares log probabilities as they are; the higher, the longer the strings.
        min_length: fewest tokens before the end token.

    Returns:
        One string an item, as wide as the longest.

    Raises:
        ValueError: no beam, no start token, `min_length` not in [0, `max_length`), or logits that are not numbers.
    """
    if beams < 1 or not 0 <= min_length < max_length:
        raise ValueError(
            'beam search needs beams >= 1 and 0 <= min_length < max_length, '
            f'got beams {beams}, min_length {min_length}, max_length {max_length}'
        )
    if start_ids_BS.ndim != 2 or start_ids_BS.shape[1] < 1:
        raise ValueError(f'start_ids must be (items, tokens) with a token at least, got {tuple(start_ids_BS.shape)}')
    B, device = len(start_ids_BS), start_ids_BS.device
    rows_B1 = torch.arange(B, device=device)[:, None]
    beam_ids_BKL, beam_scores_BK = start_ids_BS.new_empty(B, 1, 0), torch.zeros(B, 1, device=device)
    best_ids_BL = start_ids_BS.new_full((B, max_length), pad_id)
    best_scores_B = torch.full((B,), -torch.inf, device=device)
    ended_B, done_B = torch.zeros_like(start_ids_BS[:, 0]), torch.zeros(B, dtype=torch.bool, device=device)
    new_ids_BKn, parents_BK = start_ids_BS[:, None], None
    longest_penalty = max(_penalty(1, length_penalty), _penalty(max_length, length_penalty))
    length = 0
    while length < max_length and not bool(done_B.all()):
        length += 1
        log_p_BKV = step(new_ids_BKn, parents_BK).float().log_softmax(-1)
        _forbid(log_p_BKV, end_id, pad_id, too_short=length <= min_length, last=length == max_length)
        scores_BKV = beam_scores_BK[..., None] + log_p_BKV
        V = scores_BKV.shape[-1]
        # Each beam ends once at most, so among the best 2K at least K go on, where there are so many.
        scores_BN, flat_BN = stable_topk(scores_BKV.flatten(1), 2 * beams)
        parents_BN, tokens_BN = flat_BN.div(V, rounding_mode='floor'), flat_BN % V
        ends_BN = tokens_BN == end_id

        within_N = torch.arange(scores_BN.shape[1], device=device) < beams
        finished_BN = ends_BN & within_N & (scores_BN > -torch.inf)
        first_B1 = finished_BN.int().argmax(1, keepdim=True)  # the best, since they are sorted
        score_B = scores_BN.gather(1, first_B1)[:, 0] / _penalty(length, length_penalty)
        better_B = finished_BN.any(1) & (score_B > best_scores_B) & ~done_B
        string_BL = torch.cat(
            [beam_ids_BKL[rows_B1, parents_BN.gather(1, first_B1)][:, 0], tokens_BN.gather(1, first_B1)], 1
        )
        best_ids_BL[:, :length] = torch.where(better_B[:, None], string_BL, best_ids_BL[:, :length])
        best_scores_B = torch.where(better_B, score_B, best_scores_B)
        ended_B += finished_BN.sum(1)

        going_BK = ends_BN.int().argsort(dim=1, stable=True)[:, :beams]  # those that go on first, in their order
        beam_scores_BK = scores_BN.masked_fill(ends_BN, -torch.inf).gather(1, going_BK)
        parents_BK, new_ids_BK = parents_BN.gather(1, going_BK), tokens_BN.gather(1, going_BK)
        new_ids_BKn = new_ids_BK[..., None]
        beam_ids_BKL = torch.cat([beam_ids_BKL[rows_B1, parents_BK], new_ids_BKn], 2)
        # A log probability only falls, and counts for least at the length of the greatest penalty.
        done_B |= (ended_B >= beams) | (best_scores_B >= beam_scores_BK[:, 0] / longest_penalty)
    return _trim(best_ids_BL, best_scores_B, end_id)


def _penalty(length: int, power: float) -> float:
    return ((5 + length) / 6) ** power


def _forbid(log_p_BKV: Tensor, end_id: int, pad_id: int, too_short: bool, last: bool) -> None:
    """Rule tokens out, in place; the others keep the probability that the model gives them."""
    if pad_id != end_id:
        log_p_BKV[..., pad_id] = -torch.inf
    if last:
        end_BK = log_p_BKV[..., end_id].clone()
        log_p_BKV.fill_(-torch.inf)
        log_p_BKV[..., end_id] = end_BK
    elif too_short:
        log_p_BKV[..., end_id] = -torch.inf


def _trim(ids_BL: Tensor, scores_B: Tensor, end_id: int) -> Hypotheses:
    """Cut the columns that are padding in every row; padding may be the end token, so count up to the first."""
    lengths_B = (ids_BL == end_id).int().argmax(1) + 1
    return Hypotheses(ids_BL[:, : int(lengths_B.max())] if len(ids_BL) else ids_BL[:, :0], scores_B)


def stable_topk(values_BN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest values of each row, descending, and their places; of equal values the first, on any device.

    Args:
        values_BN: values, -inf among them or not.
        k: how many; all, if there are fewer.

    Raises:
        ValueError: a value is not a number.
    """
    B, N = values_BN.shape
    k = min(k, N)
    greatest_Bk, places_Bk = values_BN.topk(k, dim=1)
    if greatest_Bk.isnan().any():  # NaN counts as greatest
        raise ValueError('the model gave logits that are not numbers (NaN)')
    least_B1 = greatest_Bk[:, -1:]
    if ((values_BN >= least_B1).sum(1) > k).any():  # rare: which of the least are in is not for `topk` to say
        above_BN, equal_BN = values_BN > least_B1, values_BN == least_B1
        room_B1 = k - above_BN.sum(1, keepdim=True)
        places_Bk = (above_BN | (equal_BN & (equal_BN.cumsum(1) <= room_B1))).nonzero()[:, 1].view(B, k)
    places_Bk = places_Bk.sort(dim=1).values
    values_Bk, order_Bk = values_BN.gather(1, places_Bk).sort(dim=1, descending=True, stable=True)
    return values_Bk, places_Bk.gather(1, order_Bk)


def sequence_log_likelihood(
    states: Callable[[Tensor], Tensor],
    logits: Callable[[Tensor], Tensor],
    ids_BCL: Tensor,
    mask_BCL: Tensor,
    candidates_at_once: int = 64,
    tokens_at_once: int = 2048,
) -> Tensor:
    """Log probability of C candidate strings for each of B items, the first token given.

    Vocabulary logits are computed at real tokens alone, and of few at a time.

    Args:
        states: tokens (B, c, L - 1) -> the decoder's states (B, c, L - 1, D), each of what has been read so far. What
            belongs to the item, such as keys and values of its memory, is the callable's own and needs no copies.
        logits: states (K, D) -> logits (K, V) of the next token.
        ids_BCL: candidates with start and end token; `ids_CL.expand(B, C, L)` where all items have the same ones.
        mask_BCL: boolean, True at real tokens, which come first.
        candidates_at_once: c, how many of each item go through the decoder together.
        tokens_at_once: how many rows of logits are made together.

    Returns:
        Shape (B, C); not normalised by length.
    """
    parts = [torch.zeros(ids_BCL.shape[0], 0, device=ids_BCL.device)]
    if ids_BCL.numel():
        chunks = zip(ids_BCL.split(candidates_at_once, 1), mask_BCL.split(candidates_at_once, 1), strict=True)
        parts = [_log_likelihood(states, logits, ids, mask, tokens_at_once) for ids, mask in chunks]
    return torch.cat(parts, 1)


def _log_likelihood(
    states: Callable[[Tensor], Tensor],
    logits: Callable[[Tensor], Tensor],
    ids_BcL: Tensor,
    mask_BcL: Tensor,
    tokens_at_once: int,
) -> Tensor:
    real_Bcl = mask_BcL[..., 1:]
    hidden_KD, targets_K = states(ids_BcL[..., :-1])[real_Bcl], ids_BcL[..., 1:][real_Bcl]
    log_p_K = torch.cat(
        [
            -F.cross_entropy(logits(hidden).float(), targets, reduction='none')
            for hidden, targets in zip(hidden_KD.split(tokens_at_once), targets_K.split(tokens_at_once), strict=True)
        ]
    )
    return log_p_K.new_zeros(real_Bcl.shape).masked_scatter(real_Bcl, log_p_K).sum(-1)
