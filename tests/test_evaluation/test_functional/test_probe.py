"""Linear probes: AUC by its definition, and a fit that finds what is there and nothing else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.evaluation.functional import binary_auc, fit_probe


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_won(items: list[tuple[int, bool]]) -> None:
    score, label = torch.tensor([s for s, _ in items]).float(), torch.tensor([b for _, b in items])
    if label.all() or not label.any():
        with pytest.raises(ValueError, match='positives and negatives'):
            binary_auc(score, label)
        return
    margin = score[label][:, None] - score[~label]
    assert binary_auc(score, label) == pytest.approx(100 * float((margin.sign() + 1).mean() / 2))
    assert binary_auc(-score, label) == pytest.approx(100 - binary_auc(score, label))


def test_a_nan_is_not_ranked() -> None:
    with pytest.raises(ValueError, match='NaN'):
        binary_auc(torch.tensor([1.0, float('nan')]), torch.tensor([True, False]))


def test_probe_reads_what_is_linear_in_the_representation() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(5, 16, generator=generator)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        asked = torch.rand(count, 5, generator=generator) < 0.6
        label = asked & (torch.rand(count, 5, generator=generator) < 0.4)
        noise = 0.3 * torch.randn(count, 16, generator=generator)
        return 0.01 * (label.float() @ directions + noise) + 3, asked, label

    z, asked, label = draw(400)
    probe = fit_probe(z, asked, label)
    z, asked, label = draw(400)
    assert binary_auc(probe(z)[asked], label[asked]) > 97
    assert 35 < binary_auc(probe(torch.randn(400, 16, generator=generator))[asked], label[asked]) < 65
    with pytest.raises(ValueError, match='at least one pair'):
        fit_probe(z, torch.zeros_like(asked), label)


def test_pairs_that_are_not_asked_about_change_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(60, 4, generator=generator)
    asked = torch.rand(60, 3, generator=generator) < 0.5
    label = torch.rand(60, 3, generator=generator) < 0.5
    one, other = fit_probe(z, asked, label), fit_probe(z, asked, label ^ ~asked)
    assert torch.equal(one.weight_CD, other.weight_CD) and torch.equal(one.bias_C, other.bias_C)
