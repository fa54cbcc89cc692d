"""Textual relevance from sentence-ID word vectors: offline, no download, fitted in seconds.

Words of all languages that occur in the same aligned sentences get close vectors (Levy, Søgaard & Goldberg
2017, "A Strong Baseline for Learning Cross-Lingual Word Embeddings from Sentence Alignments"): factorise the
matrix word x sentence ID by truncated SVD. A text is the idf-weighted mean of its words' vectors.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from rc3mm.registry import DATASETS, RELEVANCE_SCORERS
from rc3mm.relevance.calibration import Calibration
from rc3mm.relevance.words import words

__all__ = ['SentenceIDRelevance']

Text = tuple[str, str]


@RELEVANCE_SCORERS.register_module()
class SentenceIDRelevance:
    """Relevance of two texts by word vectors fitted on a strictly-aligned corpus.

    Args:
        corpus: config of a dataset whose samples carry translated `texts` (its `get_sample` is read), or an
            iterable of lists of (language, text).
        num_sentences: how many samples of the corpus are read; the last tenth serves to calibrate.
        dim: dimensions of the vectors, fewer where the corpus has fewer words.
        min_count: words seen in fewer sentences are ignored.

    Attributes:
        calibration: the fitted calibration.

    Raises:
        ValueError: the corpus is too small to fit on, or translations cannot be told from random pairs.
    """

    def __init__(self, corpus: Any, num_sentences: int = 20_000, dim: int = 200, min_count: int = 2) -> None:
        sentences = self._read(corpus, num_sentences)
        held_out = sentences[len(sentences) * 9 // 10 :]
        self._fit(sentences[: len(sentences) - len(held_out)], dim, min_count)
        self.calibration = self._calibrate(held_out)

    @staticmethod
    def _read(corpus: Any, num_sentences: int) -> list[Sequence[Text]]:
        if isinstance(corpus, dict):
            dataset = DATASETS.build(corpus)
            sentences = [dataset.get_sample(i)['texts'] for i in range(min(num_sentences, len(dataset)))]
        else:
            sentences = list(islice(corpus, num_sentences))
        if len(sentences) < 20:
            raise ValueError(f'SentenceIDRelevance needs at least 20 aligned sentences, got {len(sentences)}')
        single = next((position for position, texts in enumerate(sentences) if len(texts) < 2), None)
        if single is not None:
            raise ValueError(f'sample {single} of the corpus has no translation: {sentences[single]}')
        return sentences

    def _fit(self, sentences: Sequence[Sequence[Text]], dim: int, min_count: int) -> None:
        tokens = [{word for language, text in texts for word in words(language, text)} for texts in sentences]
        counts = Counter(word for found in tokens for word in found)
        vocabulary = sorted(word for word, count in counts.items() if count >= min_count)
        if len(vocabulary) < 2:
            raise ValueError(f'only {len(vocabulary)} words occur in {min_count} aligned sentences or more')
        self.vocabulary = {word: row for row, word in enumerate(vocabulary)}
        rows, columns = [], []
        for column, found in enumerate(tokens):
            known = [self.vocabulary[word] for word in sorted(found) if word in self.vocabulary]
            rows += known
            columns += [column] * len(known)
        shape = (len(vocabulary), len(sentences))
        matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
        frequency = np.asarray(matrix.sum(1)).ravel()
        idf = np.log(len(sentences) / frequency)
        if not idf.any():
            raise ValueError('every word of the corpus occurs in every sentence; it needs different sentences')
        # Unit rows: rare and frequent words count alike; the idf comes back when a text is put together.
        matrix = sparse.diags(idf / np.maximum(np.sqrt(frequency) * idf, 1e-12)) @ matrix
        rank = min(dim, min(shape) - 1)
        start = np.ones(min(shape)) / np.sqrt(min(shape))  # a fixed start makes the result reproducible
        u, s, _ = svds(matrix, k=rank, v0=start)
        vectors = u * s
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.vectors = (vectors / np.maximum(norm, 1e-12) * idf[:, None]).astype(np.float32)

    def _calibrate(self, held_out: Sequence[Sequence[Text]]) -> Calibration:
        first, second = [texts[0] for texts in held_out], [texts[1] for texts in held_out]
        a, b = self.embed(first), self.embed(second)
        return Calibration.fit((a * np.roll(b, 1, axis=0)).sum(1), (a * b).sum(1))

    def embed(self, texts: Sequence[Text]) -> np.ndarray:
        """Unit-length vectors of texts, float32 (number of texts, dim); zero if no word is known."""
        out = np.zeros((len(texts), self.vectors.shape[1]), dtype=np.float32)
        for row, (language, text) in enumerate(texts):
            known = [self.vocabulary[word] for word in words(language, text) if word in self.vocabulary]
            if known:
                out[row] = self.vectors[known].sum(0)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)

    def score(self, first: Sequence[Text], second: Sequence[Text]) -> np.ndarray:
        """Relevance of pairs of texts.

        Args:
            first: (language, text) of each pair's one side.
            second: of the other side, as many.

        Returns:
            float32 in [0, 1], one a pair; rounded to 1e-4, so that the last bits of a linear-algebra library
            do not reach the training.
        """
        cosine = (self.embed(first) * self.embed(second)).sum(1)
        return np.round(self.calibration(cosine), 4)
