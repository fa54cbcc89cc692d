"""Linear probes: what can be read off a representation by one linear map.

Shapes: N items, D width of the representation, C concepts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor

__all__ = ['LinearProbe', 'binary_auc', 'fit_probe']


def binary_auc(score_N: Tensor, label_N: Tensor) -> float:
    """Area under the ROC curve in per cent: how often a positive outscores a negative, ties counting half.

    Args:
        score_N: one number an item.
        label_N: boolean, True for positives.

    Raises:
        ValueError: there are no positives or no negatives, or a score is NaN.
    """
    positives = int(label_N.sum())
    negatives = len(label_N) - positives
    if not positives or not negatives:
        raise ValueError(f'an AUC needs positives and negatives, got {positives} and {negatives}')
    if score_N.isnan().any():
        raise ValueError('a score is NaN')
    ranks = torch.from_numpy(rankdata(score_N.cpu().numpy()))
    won = float(ranks[label_N.cpu()].sum()) - positives * (positives + 1) / 2
    return 100 * won / (positives * negatives)


@dataclass(frozen=True)
class LinearProbe:
    """One logistic regression a concept.

    Attributes:
        mean_D: subtracted from the representations.
        scale: the standard deviation that they are divided by, one for all dimensions.
        weight_CD: weights.
        bias_C: biases.
    """

    mean_D: Tensor
    scale: Tensor
    weight_CD: Tensor
    bias_C: Tensor

    def __call__(self, z_ND: Tensor) -> Tensor:
        """Log odds, shape (N, C)."""
        return ((z_ND - self.mean_D) / self.scale) @ self.weight_CD.T + self.bias_C


def fit_probe(z_ND: Tensor, asked_NC: Tensor, label_NC: Tensor, l2: float = 1e-4, steps: int = 100) -> LinearProbe:
    """Fit logistic regressions on the (item, concept) pairs that are asked about, by L-BFGS from zero.

    Args:
        z_ND: representations.
        asked_NC: boolean, the pairs that count.
        label_NC: boolean, what to predict of them.
        l2: weight of half the squared norm of the weights, relative to the mean loss of a pair.
        steps: most iterations of L-BFGS.

    Raises:
        ValueError: no pair is asked about.
    """
    if not asked_NC.any():
        raise ValueError('a probe needs at least one pair to fit')
    mean_D, scale = z_ND.mean(0), z_ND.std().clamp(min=1e-12)
    x_ND = (z_ND - mean_D) / scale
    labels = label_NC[asked_NC].float()
    weight_CD = torch.zeros(label_NC.shape[1], z_ND.shape[1], requires_grad=True)
    bias_C = torch.zeros(label_NC.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight_CD, bias_C], max_iter=steps, line_search_fn='strong_wolfe')

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = (x_ND @ weight_CD.T + bias_C)[asked_NC]
        value = F.binary_cross_entropy_with_logits(logits, labels) + 0.5 * l2 * weight_CD.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return LinearProbe(mean_D, scale, weight_CD.detach(), bias_C.detach())
