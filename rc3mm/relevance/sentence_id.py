"""Textual relevance from sentence-ID word vectors: offline, no download, fitted in seconds.

**Words.** Words of all languages that occur in the same aligned sentences get close vectors: factorise the matrix
word x sentence ID by truncated SVD (Levy, Søgaard & Goldberg 2017, "A Strong Baseline for Learning Cross-Lingual
Word Embeddings from Sentence Alignments"). Here the texts of one image may share an ID as well, translations or not.

**Texts.** A text is the set of its words. How many different things a set says is its soft cardinality (Jimenez,
Becerra & Gelbukh 2010, "Text Comparison Using Soft Cardinality"): each word counts as its idf divided by how often
the set says it, sum_j max(0, cos(i, j)). Two texts are compared by the Jaccard index of soft cardinalities,
(|A| + |B| - |A u B|) / |A u B|: of all that is said, the share said by both. A word without a vector, often a name
or a number, is a thing of its own, which only the same spelling says again, in whichever language.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy import sparse
from scipy.sparse.linalg import svds

from rc3mm.registry import DATASETS, RELEVANCE_SCORERS
from rc3mm.relevance.base import CalibrationPairs, RelevanceScorer, Text
from rc3mm.relevance.calibration import Calibration
from rc3mm.relevance.words import spelling, words
from rc3mm.utils.atomic import replacing

__all__ = ['NUM_SENTENCES', 'SentenceIDRelevance']

NUM_SENTENCES = 20_000  # read of each corpus, unless told otherwise
_STATE = 'rc3mm.sentence_id'  # key of the metadata
Corpus = dict[str, Any] | Iterable[Sequence[Text]]


@RELEVANCE_SCORERS.register_module()
class SentenceIDRelevance(RelevanceScorer):
    """Relevance of two texts by word vectors fitted on aligned texts.

    Args:
        corpus: strictly-aligned texts: config of a dataset whose `get_texts` gives translations, or an iterable
            of lists of (language, text). The last tenth is held out and serves to calibrate.
        num_sentences: how many samples are read, of each corpus.
        dim: dimensions of the vectors, fewer where there are fewer words.
        min_count: words seen in fewer samples are ignored.
        weak_corpus: texts of images that are no translations, in the same forms; they teach words that the strict
            corpus lacks. Texts of one image share an ID; how relevant they are to each other is not asked for. Texts
            of different images are the random pairs of the calibration.
        state: instead of a corpus, a file that `save` wrote.

    Attributes:
        vocabulary: row of each tagged word.
        vectors: unit vectors of the words, float32 (V, dim).
        idf: float32 (V,).
        calibration: the fitted calibration.

    Raises:
        ValueError: the corpus is too small to fit on, translations cannot be told from random pairs, or the file
            is none of this scorer.
    """

    def __init__(
        self,
        corpus: Corpus | None = None,
        num_sentences: int = NUM_SENTENCES,
        dim: int = 150,
        min_count: int = 2,
        weak_corpus: Corpus | None = None,
        state: str | Path | None = None,
    ) -> None:
        if (corpus is None) == (state is None):
            raise ValueError('SentenceIDRelevance takes either a corpus to fit on or the state of a fitted scorer')
        if state is not None:
            self._load(Path(state))
            return
        strict = _read(corpus, num_sentences) if corpus is not None else []
        _check_strict(strict)
        weak = [] if weak_corpus is None else _read(weak_corpus, num_sentences)
        held_out = strict[len(strict) * 9 // 10 :]
        samples = [*strict[: len(strict) - len(held_out)], *weak]
        self._num_samples = (len(strict), len(weak))
        words_in_order, self.vectors, self.idf = _fit([_word_set(texts) for texts in samples], dim, min_count)
        self.vocabulary = {word: row for row, word in enumerate(words_in_order)}
        self._most_idf = float(self.idf.max())  # an unknown word is as rare as the rarest known one
        self.calibrate([(texts[0], texts[1]) for texts in held_out], [(texts[0], texts[-1]) for texts in weak if texts])

    def save(self, path: str | Path) -> None:
        """Write the fitted scorer to one safetensors file, whole or not at all."""
        path = Path(path)
        assert self.calibration is not None and self.calibration_pairs is not None  # they were fitted
        arrays = {'vectors': self.vectors, 'idf': self.idf, **self.calibration_pairs._asdict()}
        state = {
            'vocabulary': list(self.vocabulary),
            'num_samples': self._num_samples,
            'calibration': self.calibration.to_json(),
        }
        with replacing(path) as temporary:
            save_file(arrays, temporary, {_STATE: json.dumps(state, ensure_ascii=False)})

    def _load(self, path: Path) -> None:
        try:
            with safe_open(path, framework='numpy') as file:
                state = json.loads((file.metadata() or {})[_STATE])
                self.vectors, self.idf = file.get_tensor('vectors'), file.get_tensor('idf')
                pairs = {name: file.get_tensor(name) for name in CalibrationPairs._fields}
        except FileNotFoundError:
            raise FileNotFoundError(f'there is no {path}; name a file that SentenceIDRelevance.save wrote') from None
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f'{path} holds no SentenceIDRelevance ({error!r}); `save` a fitted one again') from error
        self.vocabulary = {word: row for row, word in enumerate(state['vocabulary'])}
        self._most_idf = float(self.idf.max())
        self._num_samples = tuple(state['num_samples'])
        self.calibration_pairs = CalibrationPairs(**pairs)
        self.calibration = Calibration.from_json(state['calibration'])

    @property
    def config(self) -> dict[str, Any]:
        """Name, size of the corpora, words and dimensions."""
        strict, weak = self._num_samples
        size = dict(zip(('words', 'dim'), self.vectors.shape, strict=True))
        return {'type': type(self).__name__, 'strict_samples': strict, 'weak_samples': weak, **size}

    def encode(self, texts: Sequence[Text]) -> np.ndarray:
        """What texts say.

        Args:
            texts: (language, text).

        Returns:
            object array of (rows of known words, spellings of unknown ones, soft cardinality).
        """
        out = np.empty(len(texts), dtype=object)
        for index, (language, text) in enumerate(texts):
            found = set(words(language, text))
            known = frozenset(self.vocabulary[word] for word in found if word in self.vocabulary)
            spelled = (spelling(word) for word in found if word not in self.vocabulary)
            unknown = frozenset(word for word in spelled if word)
            out[index] = known, unknown, self._cardinality(known, unknown)
        return out

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Soft Jaccard index of encoded texts, pair by pair; 0 where one says nothing.

        Pair by pair, so that a score does not depend on what it was computed with.
        """
        out = np.zeros(len(first), np.float32)
        for index, ((known_a, unknown_a, size_a), (known_b, unknown_b, size_b)) in enumerate(
            zip(first, second, strict=True)
        ):
            if size_a > 0 and size_b > 0:
                union = self._cardinality(known_a | known_b, unknown_a | unknown_b)
                out[index] = min(1.0, (size_a + size_b - union) / union)
        return out

    def _cardinality(self, known: frozenset[int], unknown: frozenset[str]) -> float:
        rows = sorted(known)
        vectors = self.vectors[rows]
        repeated = np.maximum(vectors @ vectors.T, 0).sum(1)
        return float((self.idf[rows] / np.maximum(repeated, 1e-6)).sum() + self._most_idf * len(unknown))


# -- fitting


def _read(corpus: Corpus, most: int) -> list[Sequence[Text]]:
    if isinstance(corpus, dict):
        dataset = DATASETS.build(corpus)
        return [dataset.get_texts(index) for index in range(min(most, len(dataset)))]
    return list(islice(corpus, most))


def _check_strict(samples: Sequence[Sequence[Text]]) -> None:
    if len(samples) < 20:
        raise ValueError(f'SentenceIDRelevance needs at least 20 aligned sentences, got {len(samples)}')
    single = next((position for position, texts in enumerate(samples) if len(texts) < 2), None)
    if single is not None:
        raise ValueError(f'sample {single} of the corpus has no translation: {samples[single]}')


def _word_set(texts: Sequence[Text]) -> set[str]:
    return {word for language, text in texts for word in words(language, text)}


def _fit(samples: Sequence[set[str]], dim: int, min_count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Vocabulary, unit word vectors float32 (V, dim) and idf float32 (V,)."""
    counts = Counter(word for found in samples for word in found)
    vocabulary = sorted(word for word, count in counts.items() if count >= min_count)
    if len(vocabulary) < 2:
        raise ValueError(f'only {len(vocabulary)} words occur in {min_count} aligned sentences or more')
    row_of = {word: row for row, word in enumerate(vocabulary)}
    known = [sorted(row_of[word] for word in found if word in row_of) for found in samples]
    rows = np.fromiter((row for found in known for row in found), np.int64)
    columns = np.repeat(np.arange(len(known)), [len(found) for found in known])
    shape = (len(vocabulary), len(samples))
    matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    frequency = np.bincount(rows, minlength=len(vocabulary))
    idf = np.log(len(samples) / frequency)
    if not idf.any():
        raise ValueError('every word of the corpus occurs in every sentence; it needs different sentences')
    # Unit rows, so that rare and frequent words count alike; nothing for words that every sample has.
    matrix = sparse.diags((idf > 0) / np.sqrt(frequency)) @ matrix
    start = np.ones(min(shape)) / np.sqrt(min(shape))  # a fixed start makes the result reproducible
    u, s, _ = svds(matrix, k=min(dim, min(shape) - 1), v0=start)
    vectors = u * s
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    # Rows in memory one after the other, as files have them.
    return vocabulary, np.ascontiguousarray(vectors, np.float32), idf.astype(np.float32)
