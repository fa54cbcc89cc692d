"""Ranks, top candidates, ITM re-ranking and recall of cross-modal retrieval, without a Q x C matrix.

Shape suffixes: Q queries, C candidates, D width, k kept candidates, P (query, right candidate) pairs, B
queries of one chunk, N candidates of one block. Both directions share these functions: text-to-image has texts
as queries, image-to-text has images.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from rc3mm.evaluation.functional.positives import Positives

__all__ = [
    'mean_recall',
    'pairwise_accuracy',
    'recall_at_k',
    'rerank',
    'retrieval_ranks',
    'top_k',
]

# Equal candidates must get equal scores wherever they stand in the matrix. A matrix product sums in an order
# that depends on the place and on the chunk, so scores are rounded far above that noise and far below
# float32's own resolution.
SCORE_DECIMALS = 9
CHUNK, BLOCK = 512, 32_768  # queries and candidates scored at a time: an eighth of a gigabyte of float64
SPARE = 22  # candidates beyond k that a first look in float32 keeps


def retrieval_ranks(
    query_QD: Tensor, candidate_CD: Tensor, positives: Positives, chunk_size: int = CHUNK, block_size: int = BLOCK
) -> Tensor:
    """Rank of the best right candidate of each query, counted from 1; ties count against the model.

    rank = 1 + number of wrong candidates whose score is not below the best right one's. A model that maps
    everything to one point thus ranks last, not first, and so does one that yields NaN. With several right
    candidates this is the best rank over them, IGLUE's convention for image-to-text (Bugliarello et al. 2022,
    arXiv 2201.11732).

    Args:
        query_QD: Queries, shape (Q, D), usually of unit length; the score is the dot product in float64.
        candidate_CD: Candidates, shape (C, D), on the same device.
        positives: Right candidates of the Q queries.
        chunk_size: Queries scored at a time.
        block_size: Candidates scored at a time; memory is about three times chunk_size x block_size float64.

    Returns:
        int64, shape (Q,), each in 1..C.

    Raises:
        ValueError: If shapes do not fit, a right candidate is outside of 0..C-1, or a size is below 1.
    """
    _check_pair(query_QD, candidate_CD)
    _check_positives(positives, len(query_QD), len(candidate_CD))
    positives = positives.to(query_QD.device)
    ranks = [query_QD.new_zeros(0, dtype=torch.int64)]
    for start in _starts(len(query_QD), chunk_size):
        query_BD = query_QD[start : start + chunk_size]
        row_P, column_P = positives.pairs(start, start + len(query_BD))
        right_P = _pair_scores(query_BD, candidate_CD, row_P, column_P)
        best_B = right_P.new_full((len(query_BD),), -torch.inf)
        best_B.scatter_reduce_(0, row_P, right_P.nan_to_num(nan=-torch.inf), 'amax')
        rank_B = torch.ones_like(best_B, dtype=torch.int64)
        for first, score_BN in _score_blocks(query_BD, candidate_CD, block_size):
            # 'Not below' instead of 'above or equal': NaN compares false with everything and must count against.
            ahead_BN = ~(score_BN < best_B[:, None])
            inside_P = (column_P >= first) & (column_P < first + score_BN.shape[1])
            ahead_BN[row_P[inside_P], column_P[inside_P] - first] = False
            rank_B += ahead_BN.sum(dim=1)
        ranks.append(rank_B)
    return torch.cat(ranks)


def top_k(
    query_QD: Tensor, candidate_CD: Tensor, k: int, chunk_size: int = CHUNK, block_size: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """The k best candidates of each query, best first; equal scores keep the lower index first.

    Many candidates are looked through in float32, and the few best of them scored in float64. Where rounding of the
    first could have lost one (equal candidates without end, say), a query is scored in float64 throughout; so the
    result is that of float64.

    Args:
        query_QD: Queries, shape (Q, D).
        candidate_CD: Candidates, shape (C, D), on the same device.
        k: Candidates to keep; cut to C.
        chunk_size: Queries scored at a time.
        block_size: Candidates scored at a time; memory is about three times chunk_size x block_size float64.

    Returns:
        Scores (float64; NaN became -inf) and candidate indices (int64), both of shape (Q, min(k, C)).

    Raises:
        ValueError: If shapes do not fit, k < 1 or a size is below 1.
    """
    _check_pair(query_QD, candidate_CD)
    if k < 1:
        raise ValueError(f'k must be at least 1, got {k}')
    k = min(k, len(candidate_CD))
    scores = [query_QD.new_zeros(0, k, dtype=torch.float64)]
    indices = [query_QD.new_zeros(0, k, dtype=torch.int64)]
    largest = candidate_CD.float().norm(dim=1).max() if len(candidate_CD) > block_size else None
    for start in _starts(len(query_QD), chunk_size):
        query_BD = query_QD[start : start + chunk_size]
        if largest is None:
            score_Bk, index_Bk = _exact_top_k(query_BD, candidate_CD, k, block_size)
        else:
            score_Bk, index_Bk, sure_B = _quick_top_k(query_BD, candidate_CD, k, block_size, largest)
            unsure = (~sure_B).nonzero()[:, 0]
            if len(unsure):
                score_Bk[unsure], index_Bk[unsure] = _exact_top_k(query_BD[unsure], candidate_CD, k, block_size)
        scores.append(score_Bk)
        indices.append(index_Bk)
    return torch.cat(scores), torch.cat(indices)


def rerank(topk_index_Qk: Tensor, itm_score_Qk: Tensor, positives: Positives, bi_encoder_rank_Q: Tensor) -> Tensor:
    """Ranks after the image-text matching head has reordered each query's top k.

    Within the top k the ITM score alone decides, as in ALBEF (Li et al. 2021, arXiv 2107.07651) and CCLM;
    equal (or NaN, which is last) scores keep the bi-encoder's order. A query whose right candidates are all
    outside of the top k keeps its bi-encoder rank: nothing outside is reordered. (The usual 'unscored = -100'
    leaves those to the sort.)

    Args:
        topk_index_Qk: Candidate indices, best first, from `top_k`; shape (Q, k).
        itm_score_Qk: ITM scores of these candidates, larger is better; shape (Q, k).
        positives: Right candidates of the Q queries.
        bi_encoder_rank_Q: From `retrieval_ranks`, shape (Q,).

    Returns:
        int64, shape (Q,).

    Raises:
        ValueError: If shapes do not fit.
    """
    queries, k = topk_index_Qk.shape
    if itm_score_Qk.shape != topk_index_Qk.shape or bi_encoder_rank_Q.shape != (queries,):
        raise ValueError(
            f'shapes do not fit: topk_index_Qk {tuple(topk_index_Qk.shape)}, itm_score_Qk '
            f'{tuple(itm_score_Qk.shape)}, bi_encoder_rank_Q {tuple(bi_encoder_rank_Q.shape)}'
        )
    if len(positives) != queries:
        raise ValueError(f'{len(positives)} rows of right candidates for {queries} queries')
    score_Qk = itm_score_Qk.to(topk_index_Qk.device, torch.float64).nan_to_num(nan=-torch.inf)
    order_Qk = torch.sort(score_Qk, dim=1, descending=True, stable=True).indices
    right_Qk = _is_right(topk_index_Qk, positives.to(topk_index_Qk.device)).gather(1, order_Qk)
    wrong_ahead_Q = (right_Qk.cumsum(dim=1) == 0).sum(dim=1)
    return torch.where(wrong_ahead_Q < k, wrong_ahead_Q + 1, bi_encoder_rank_Q.to(wrong_ahead_Q))


def recall_at_k(ranks: Tensor | Sequence[int], ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """Share of queries whose right candidate is among the first k, in per cent.

    Args:
        ranks: Ranks counted from 1, shape (Q,).
        ks: Cut-offs.

    Returns:
        `{'R@1': ..., 'R@5': ...}` in the order of `ks`.

    Raises:
        ValueError: If there are no ranks (a recall of nothing is no number) or one is below 1.
    """
    rank_Q = torch.as_tensor(ranks)
    if rank_Q.numel() == 0:
        raise ValueError('no ranks to compute a recall of')
    if int(rank_Q.min()) < 1:
        raise ValueError(f'ranks count from 1, got {int(rank_Q.min())}')
    return {f'R@{k}': 100.0 * int((rank_Q <= k).sum()) / rank_Q.numel() for k in ks}


def mean_recall(*recalls: dict[str, float]) -> float:
    """Mean over every cut-off of every direction (the 'mR' of retrieval tables), in per cent.

    Raises:
        ValueError: If there is nothing to average.
    """
    values = [value for recall in recalls for value in recall.values()]
    if not values:
        raise ValueError('no recalls to average')
    return sum(values) / len(values)


def pairwise_accuracy(positive_scores: Tensor | Sequence[float], negative_scores: Tensor | Sequence[float]) -> float:
    """Share of items whose right score beats the wrong one, in per cent.

    Equal scores count half, NaN counts as lost.

    On z(a) . z(i, t_i) against z(a) . z(i, t_j) it measures the image shortcut: fused representations that
    ignore their text score 50.

    Args:
        positive_scores: Shape (number of items,).
        negative_scores: Same shape.

    Raises:
        ValueError: If the shapes differ or there are no items.
    """
    positive = torch.as_tensor(positive_scores, dtype=torch.float64)
    negative = torch.as_tensor(negative_scores, dtype=torch.float64)
    if positive.shape != negative.shape or positive.numel() == 0:
        raise ValueError(f'need two equal, non-empty shapes, got {tuple(positive.shape)}, {tuple(negative.shape)}')
    won = (positive > negative).to(torch.float64) + 0.5 * (positive == negative).to(torch.float64)
    return 100.0 * float(won.mean())


def _starts(count: int, size: int) -> range:
    if size < 1:
        raise ValueError(f'chunk_size and block_size must be at least 1, got {size}')
    return range(0, count, size)


def _score_blocks(query_BD: Tensor, candidate_CD: Tensor, block_size: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (first candidate, scores of shape (B, N)).

    float64 because it is exempt from autocast and TF32, either of which would invent ties and swap ranks.
    """
    query_BD = query_BD.to(torch.float64)
    for first in _starts(len(candidate_CD), block_size):
        score_BN = query_BD @ candidate_CD[first : first + block_size].to(torch.float64).T
        yield first, score_BN.round_(decimals=SCORE_DECIMALS)


def _pair_scores(query_BD: Tensor, candidate_CD: Tensor, row_P: Tensor, column_P: Tensor) -> Tensor:
    """float64 scores of (query, candidate) pairs, (P,), rounded as those of `_score_blocks`."""
    product_PD = query_BD[row_P].to(torch.float64) * candidate_CD[column_P].to(torch.float64)
    return product_PD.sum(1).round_(decimals=SCORE_DECIMALS)


def _exact_top_k(query_BD: Tensor, candidate_CD: Tensor, k: int, block_size: int) -> tuple[Tensor, Tensor]:
    """Scores and indices, (B, k), by float64 throughout."""
    score_Bk = torch.zeros(len(query_BD), 0, dtype=torch.float64, device=query_BD.device)
    index_Bk = torch.zeros_like(score_Bk, dtype=torch.int64)
    for first, score_BN in _score_blocks(query_BD, candidate_CD, block_size):
        index = _top_k_lowest_index(score_BN.nan_to_num_(nan=-torch.inf), min(k, score_BN.shape[1]))
        # earlier blocks stand first, and a stable sort leaves them there among equals
        score = torch.cat([score_Bk, score_BN.gather(1, index)], 1)
        index = torch.cat([index_Bk, index + first], 1)
        score, order = torch.sort(score, dim=1, descending=True, stable=True)
        score_Bk, index_Bk = score[:, :k], index.gather(1, order[:, :k])
    return score_Bk, index_Bk


@torch.no_grad()
def _quick_top_k(
    query_BD: Tensor, candidate_CD: Tensor, k: int, block_size: int, largest: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and indices, (B, k), by a first look in float32, and whether it cannot have lost any, (B,).

    Args:
        query_BD: see `top_k`.
        candidate_CD: see `top_k`.
        k: see `top_k`.
        block_size: see `top_k`.
        largest: length of the longest candidate.
    """
    kept = k + SPARE
    first_look, index = query_BD.new_zeros(len(query_BD), 0, dtype=torch.float32), None
    query_BD = query_BD.float()
    with torch.autocast(query_BD.device.type, enabled=False), _full_float32():
        for first in _starts(len(candidate_CD), block_size):
            score_BN = query_BD @ candidate_CD[first : first + block_size].float().T
            if index is None or first_look.shape[1] < kept:
                best, place = score_BN.topk(min(kept, score_BN.shape[1]), dim=1)
            else:  # few are better than the last one that is kept, and to sort out these is quicker
                best, place = _above(score_BN, first_look[:, -1:], kept)
            first_look = torch.cat([first_look, best], 1)
            index = place + first if index is None else torch.cat([index, place + first], 1)
            first_look, order = first_look.topk(min(kept, first_look.shape[1]), dim=1)
            index = index.gather(1, order)
    assert index is not None
    index, _ = index.sort(1)  # the lower index first among equals
    rows = torch.arange(len(query_BD), device=index.device)[:, None].expand_as(index)
    score = _pair_scores(query_BD, candidate_CD, rows.flatten(), index.flatten()).view(index.shape)
    score, order = torch.sort(score.nan_to_num_(nan=-torch.inf), dim=1, descending=True, stable=True)
    # a sum of D products is off by at most D roundings of lengths' product (Higham 2002, section 3.1)
    bound_B = query_BD.shape[1] * torch.finfo(torch.float32).eps * query_BD.norm(dim=1) * largest
    sure_B = (first_look[:, -1] + 2 * bound_B < first_look[:, k - 1]) | (kept >= len(candidate_CD))
    return score[:, :k], index.gather(1, order[:, :k]), sure_B


def _above(score_BN: Tensor, least_B1: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Scores and indices of what is above each row's least, or of the `most` best; padded with -inf and 0."""
    row_A, column_A = (score_BN > least_B1).nonzero(as_tuple=True)
    counts_B = row_A.bincount(minlength=len(score_BN))
    width = int(counts_B.max())
    if width > most:
        return score_BN.topk(min(most, score_BN.shape[1]), dim=1)
    place_A = torch.arange(len(row_A), device=row_A.device) - (counts_B.cumsum(0) - counts_B)[row_A]
    best = score_BN.new_full((len(score_BN), width), -torch.inf)
    index = torch.zeros_like(best, dtype=torch.int64)
    best[row_A, place_A], index[row_A, place_A] = score_BN[row_A, column_A], column_A
    return best, index


@contextmanager
def _full_float32() -> Iterator[None]:
    """Products of float32 without TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('highest')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _top_k_lowest_index(score_BC: Tensor, k: int) -> Tensor:
    """Indices of the k largest scores a row, best first, lower index first among equals; shape (B, k).

    `torch.topk` picks among equals as it likes, and a stable sort of whole rows is slow; so only the k-th
    value is taken from `topk`, and of the candidates equal to it the first ones fill what is left.
    """
    threshold_B1 = score_BC.topk(k, dim=1).values[:, -1:]
    above_BC = score_BC > threshold_B1
    equal_BC = score_BC == threshold_B1
    room_B1 = k - above_BC.sum(dim=1, keepdim=True)
    keep_BC = above_BC | (equal_BC & (equal_BC.cumsum(dim=1) <= room_B1))
    index_Bk = keep_BC.nonzero()[:, 1].reshape(len(score_BC), k)
    order_Bk = torch.sort(score_BC.gather(1, index_Bk), dim=1, descending=True, stable=True).indices
    return index_Bk.gather(1, order_Bk)


def _is_right(index_Qk: Tensor, positives: Positives) -> Tensor:
    """Whether each kept candidate is right for its query; bool, shape (Q, k)."""
    row_P, column_P = positives.pairs(0, len(index_Qk))
    # One integer for a (query, candidate) pair turns membership into a one-dimensional look-up.
    width = 1 + max(int(t.max()) if t.numel() else 0 for t in (index_Qk, column_P))
    row_Q1 = torch.arange(len(index_Qk), device=index_Qk.device)[:, None]
    return torch.isin(row_Q1 * width + index_Qk, row_P * width + column_P)


def _check_pair(query_QD: Tensor, candidate_CD: Tensor) -> None:
    if query_QD.ndim != 2 or candidate_CD.ndim != 2 or query_QD.shape[1] != candidate_CD.shape[1]:
        raise ValueError(
            f'need (Q, D) queries and (C, D) candidates, got {tuple(query_QD.shape)} and {tuple(candidate_CD.shape)}'
        )
    if len(candidate_CD) == 0:
        raise ValueError('no candidates to rank')


def _check_positives(positives: Positives, queries: int, candidates: int) -> None:
    if len(positives) != queries:
        raise ValueError(f'{len(positives)} rows of right candidates for {queries} queries')
    if queries and int(positives.count_Q.min()) < 1:
        raise ValueError(f'query {int(positives.count_Q.argmin())} has no right candidate')
    if positives.index_P.numel() and int(positives.index_P.max()) >= candidates:
        raise ValueError(f'right candidate {int(positives.index_P.max())} is outside of the {candidates} candidates')
