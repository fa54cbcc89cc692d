"""The laws of the contrastive losses (docs/objectives.md)."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rc3mm.models.losses import (
    ProximityMeans,
    band_penalty,
    info_nce_terms,
    pair_similarities,
    reduce_rows,
    soft_target_terms,
)
from rc3mm.models.objectives import BandRegularizer, NoRegularizer, SoftTargetRegularizer

TAU = torch.tensor(0.07)


def views(n: int = 6, d: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, n, d, generator=generator)
    return F.normalize(a, dim=-1).requires_grad_(), F.normalize(b, dim=-1).requires_grad_()


def measured_means(s_pos: float = 0.9, s_neg: float = 0.1) -> ProximityMeans:
    means = ProximityMeans()
    means.update(torch.tensor(s_pos), torch.tensor(s_neg))
    return means


def by_hand(a: Tensor, b: Tensor, tau: float) -> float:
    """XVtCL as the formula reads, item by item."""
    s = (a @ b.T / tau).double()
    total = 0.0
    for i in range(len(s)):
        total += float(s[i, i] - s[i].logsumexp(0)) + float(s[i, i] - s[:, i].logsumexp(0))
    return -total / (2 * len(s))


def test_info_nce_is_the_formula() -> None:
    a, b = views()
    similarities = pair_similarities(a, b)
    loss = reduce_rows(info_nce_terms(similarities, TAU), similarities)
    assert float(loss.detach()) == pytest.approx(by_hand(a.detach(), b.detach(), 0.07), abs=1e-5)


@pytest.mark.parametrize('local_loss', [True, False])
def test_full_relevance_without_band_is_xvtcl(local_loss: bool) -> None:
    a, b = views()
    similarities = pair_similarities(a, b, local_loss=local_loss)
    xvtcl = reduce_rows(info_nce_terms(similarities, TAU), similarities)
    regularized = BandRegularizer(band_weight=0.0)(similarities, torch.ones(6), TAU, measured_means())['loss']
    assert torch.allclose(xvtcl, regularized, atol=1e-6, rtol=0)
    assert torch.allclose(xvtcl, NoRegularizer()(similarities, torch.rand(6), TAU, measured_means())['loss'])
    soft = SoftTargetRegularizer()(similarities, torch.ones(6), TAU, measured_means())['loss']
    assert torch.allclose(xvtcl, soft, atol=1e-6, rtol=0)


def test_no_relevance_gives_no_pull() -> None:
    a, b = views()
    similarities = pair_similarities(a, b)
    out = BandRegularizer(band_weight=0.0)(similarities, torch.zeros(6), TAU, measured_means())
    assert float(out['loss'].detach()) == 0.0
    out['loss'].backward()
    assert a.grad is not None and float(a.grad.abs().max()) == 0.0


@pytest.mark.parametrize(
    ('proximity', 'direction'),
    [(0.95, 1), (0.05, -1), (0.52, 0), (0.48, 0)],
    ids=['above', 'below', 'in', 'in'],
)
def test_band_pushes_down_above_pulls_up_below_and_leaves_alone_inside(proximity: float, direction: int) -> None:
    s = torch.tensor([proximity], requires_grad=True)
    # r = 1/2 between s_neg = 0.1 and s_pos = 0.9 allows 0.5
    penalty = band_penalty(s, torch.tensor([0.5]), torch.tensor(0.9), torch.tensor(0.1), delta=0.05)
    penalty.sum().backward()
    assert s.grad is not None and float(s.grad.sign()) == direction
    assert (float(penalty.detach()) == 0.0) == (direction == 0)


def test_band_target_moves_with_relevance() -> None:
    relevance = torch.linspace(0, 1, 5)
    target = 0.1 + relevance * 0.8
    assert torch.all(band_penalty(target, relevance, torch.tensor(0.9), torch.tensor(0.1), 0.0) < 1e-12)


def test_band_waits_for_a_strict_batch() -> None:
    a, b = views()
    similarities = pair_similarities(a, b)
    out = BandRegularizer(band_weight=5.0)(similarities, torch.zeros(6), TAU, ProximityMeans())
    assert float(out['loss'].detach()) == 0.0


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 50))
def test_order_of_the_batch_changes_nothing(order: list[int], seed: int) -> None:
    a, b = views(seed=seed)
    extra_a, extra_b = views(seed=seed + 1)
    relevance = torch.rand(6, generator=torch.Generator().manual_seed(seed))
    losses = []
    for rows in (torch.arange(6), torch.tensor(order)):
        similarities = pair_similarities(a[rows], b[rows], extra_a[rows][:, None], extra_b[rows][:, None])
        for regularizer in (BandRegularizer(), SoftTargetRegularizer(), NoRegularizer()):
            losses.append(regularizer(similarities, relevance[rows], TAU, measured_means())['loss'].detach())
    assert torch.allclose(torch.stack(losses[:3]), torch.stack(losses[3:]), atol=1e-5)


def test_extra_negatives_enter_the_denominator_of_their_own_row_only() -> None:
    a, b = views()
    tau = torch.tensor(0.05)
    a = F.normalize(a.detach() + 2 * b.detach(), dim=-1)  # views that mostly agree, as after some training
    plain = info_nce_terms(pair_similarities(a, b), tau).detach()
    hard = b.detach().clone()[:, None]  # an extra negative as near as the positive itself
    away = -a.detach()[:, None]  # one as far as can be
    extra = torch.where(torch.arange(6)[:, None, None] == 2, hard, away)
    terms = info_nce_terms(pair_similarities(a, b, extra_b_BKD=extra), tau).detach()
    assert float(terms[2]) > float(plain[2]) + 1e-3
    others = torch.arange(6) != 2
    assert torch.allclose(terms[others], plain[others], atol=1e-5)


def test_soft_targets_are_a_distribution() -> None:
    a, b = views()
    similarities = pair_similarities(a, b)
    relevance = torch.full((6,), 1 / 6)
    # relevance 1/N with N candidates is the uniform target: the cross-entropy is the mean of -log p
    s = a.detach() @ b.detach().T / 0.07
    uniform = -0.5 * (s.log_softmax(1).mean(1) + s.T.log_softmax(1).mean(1))
    assert torch.allclose(soft_target_terms(similarities, TAU, relevance).detach(), uniform, atol=1e-4)


def test_global_means_are_of_the_diagonal_and_the_rest() -> None:
    a, b = views()
    s = a.detach() @ b.detach().T
    diagonal, off = pair_similarities(a, b).global_means()
    assert float(diagonal) == pytest.approx(float(s.diagonal().mean()), abs=1e-6)
    assert float(off) == pytest.approx(float((s.sum() - s.trace()) / 30), abs=1e-6)


def test_weighted_mean_is_a_weighted_mean() -> None:
    a, b = views()
    similarities = pair_similarities(a, b)
    terms, weights = torch.arange(6.0), torch.tensor([0.0, 1, 0, 0, 3, 0])
    assert float(reduce_rows(terms, similarities, weights)) == pytest.approx((1 + 12) / 4)
