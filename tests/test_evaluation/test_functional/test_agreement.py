"""Our numbers against those of scikit-learn, and retrieval with several captions an image worked by hand."""

import numpy as np
import pytest
import torch

from rc3mm.evaluation.functional import (
    binary_auc,
    positives_of_images,
    positives_of_texts,
    recall_at_k,
    retrieval_ranks,
)
from rc3mm.evaluation.functional.classification import accuracy

sklearn_metrics = pytest.importorskip('sklearn.metrics', reason='needs scikit-learn')


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('classes', [2, 3, 1842])
def test_accuracy(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 500)
    predictions = np.where(rng.random(500) < 0.4, labels, rng.integers(0, classes, 500))
    expected = 100 * sklearn_metrics.accuracy_score(labels, predictions)
    assert accuracy(labels.tolist(), predictions.tolist()) == pytest.approx(expected)


@pytest.mark.parametrize('k', [1, 5, 10])
@pytest.mark.parametrize('seed', range(3))
def test_recall_at_k(seed: int, k: int) -> None:
    # Text to image: 200 captions of 60 images, so some images have several and some have none.
    generator = torch.Generator().manual_seed(seed)
    owner_M = torch.randint(0, 60, (200,), generator=generator)
    image_ND = torch.randn(60, 8, generator=generator, dtype=torch.float64)
    text_MD = image_ND[owner_M] + 2 * torch.randn(200, 8, generator=generator, dtype=torch.float64)
    ranks = retrieval_ranks(text_MD, image_ND, positives_of_texts(owner_M))
    scores = (text_MD @ image_ND.T).numpy()
    expected = 100 * sklearn_metrics.top_k_accuracy_score(owner_M.numpy(), scores, k=k, labels=range(60))
    assert recall_at_k(ranks, [k]) == {f'R@{k}': pytest.approx(expected)}


@pytest.mark.parametrize('seed', range(3))
def test_auc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(300) < 0.3
    scores = rng.integers(0, 20, 300) + 4.0 * labels  # with ties
    found = binary_auc(torch.from_numpy(scores), torch.from_numpy(labels))
    assert found == pytest.approx(100 * sklearn_metrics.roc_auc_score(labels, scores))


def test_several_captions_an_image_by_hand() -> None:
    # Images 0, 1, 2; captions 0 and 1 are of image 0, caption 2 of image 1, captions 3 and 4 of image 2.
    owner_M = torch.tensor([0, 0, 1, 2, 2])
    score_NM = torch.tensor(
        [
            [0.1, 0.8, 0.9, 0.2, 0.3],  # image 0: caption 2 is ahead of caption 1, the better of its two: rank 2
            [0.5, 0.4, 0.6, 0.3, 0.2],  # image 1: its only caption comes first: rank 1
            [0.7, 0.6, 0.5, 0.4, 0.1],  # image 2: three of others are ahead of caption 3: rank 4
        ]
    )
    image_Q, positives = positives_of_images(owner_M, 3)
    # With unit vectors for captions the score matrix itself holds the images.
    i2t = retrieval_ranks(score_NM, torch.eye(5), positives)
    assert image_Q.tolist() == [0, 1, 2] and i2t.tolist() == [2, 1, 4]
    assert recall_at_k(i2t) == {'R@1': pytest.approx(100 / 3), 'R@5': 100.0, 'R@10': 100.0}
    # Text to image, a query a caption: columns from top to bottom.
    t2i = retrieval_ranks(torch.eye(5), score_NM, positives_of_texts(owner_M))
    assert t2i.tolist() == [3, 1, 2, 1, 3]
    assert recall_at_k(t2i, [1, 2]) == {'R@1': 40.0, 'R@2': 60.0}
