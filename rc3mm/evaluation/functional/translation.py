"""Corpus BLEU and chrF, as sacreBLEU computes and signs them."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from rc3mm.utils.optional import require

__all__ = [
    'CorpusScore',
    'bleu_tokenizer',
    'check_pairs',
    'corpus_bleu',
    'corpus_chrf',
    'make_bleu',
    'sense_accuracy',
]

# BLEU counts words, so its tokenizer has to find them. 13a splits at spaces and punctuation, which Chinese and
# Japanese do without. `zh` takes every Chinese character for a word, but leaves runs of kana whole; for Japanese,
# `char` takes every character. sacreBLEU's own choice for Japanese, `ja-mecab`, needs a dictionary that is not
# always there, and a score must not depend on what happens to be installed: ask for it by name.
TOKENIZERS = {'ja': 'char', 'zh': 'zh'}
DEFAULT_TOKENIZER = '13a'


class CorpusScore(NamedTuple):
    """A score and how it came about.

    Attributes:
        value: 0..100.
        signature: What anybody else needs to compute the same number.
    """

    value: float
    signature: str


def bleu_tokenizer(language: str) -> str:
    """Name of the sacreBLEU tokenizer that BLEU uses for a target language by default."""
    return TOKENIZERS.get(language, DEFAULT_TOKENIZER)


def make_bleu(tokenizer: str) -> Any:
    """sacreBLEU's BLEU with one of its tokenizers and all else as it comes (mixed case, exponential smoothing).

    Raises:
        ModuleNotFoundError: sacreBLEU is not installed.
        ValueError: It has no such tokenizer, or lacks what the tokenizer needs.
    """
    bleu = require('sacrebleu', 'BLEU').BLEU
    if tokenizer not in bleu.TOKENIZERS:
        raise ValueError(f'sacreBLEU has no tokenizer {tokenizer!r}; choose one of {sorted(bleu.TOKENIZERS)}')
    try:
        return bleu(tokenize=tokenizer)
    except (ImportError, RuntimeError) as error:
        raise ValueError(f'the tokenizer {tokenizer!r} cannot be used here: {error}') from error


def corpus_bleu(
    hypotheses: Sequence[str], references: Sequence[str], tokenizer: str = DEFAULT_TOKENIZER
) -> CorpusScore:
    """BLEU (Papineni et al. 2002) of a whole test set, 0..100; not the mean over its sentences.

    Args:
        hypotheses: One translation an item, detokenised.
        references: One reference an item, detokenised.
        tokenizer: One of sacreBLEU's, see `bleu_tokenizer`.

    Raises:
        ModuleNotFoundError: sacreBLEU is not installed.
        ValueError: There are no items, their numbers differ, one is no string, or the tokenizer is unknown.
    """
    check_pairs(hypotheses, references)
    return _score(make_bleu(tokenizer), hypotheses, references)


def corpus_chrf(hypotheses: Sequence[str], references: Sequence[str]) -> CorpusScore:
    """chrF2 (Popović 2015) of a whole test set, 0..100: F-score of character n-grams, n = 1..6; no tokenizer.

    Args:
        hypotheses: One translation an item, detokenised.
        references: One reference an item, detokenised.

    Raises:
        ModuleNotFoundError: sacreBLEU is not installed.
        ValueError: There are no items, their numbers differ, or one is no string.
    """
    check_pairs(hypotheses, references)
    return _score(require('sacrebleu', 'chrF').CHRF(), hypotheses, references)


def sense_accuracy(hypotheses: Sequence[str], senses: Sequence[tuple[str, str]]) -> float:
    """How often an ambiguous word is translated in its right sense, 0..100.

    A translation is right that has the right word and not the wrong one, as whole words whatever their case.

    Args:
        hypotheses: One translation an item.
        senses: The right and the wrong word of each item.

    Raises:
        ValueError: There are no items, or their numbers differ.
    """
    if len(hypotheses) != len(senses) or not hypotheses:
        raise ValueError(f'need the senses of each hypothesis, got {len(hypotheses)} and {len(senses)}')

    def says(text: str, word: str) -> bool:
        return re.search(rf'(?<!\w){re.escape(word)}(?!\w)', text, re.IGNORECASE) is not None

    hits = sum(says(text, a) and not says(text, b) for text, (a, b) in zip(hypotheses, senses, strict=True))
    return 100 * hits / len(hypotheses)


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Refuse what cannot be scored.

    Raises:
        ValueError: There are no items, their numbers differ, or one is no string.
    """
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(f'need one reference a hypothesis, got {len(hypotheses)} and {len(references)}')
    for name, texts in (('hypotheses', hypotheses), ('references', references)):
        # One string in place of a list would be scored letter by letter.
        if isinstance(texts, str):
            raise ValueError(f'{name} must be a list of strings, not one string')
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f'item {number} of the {name} is {type(text).__name__}, not a string')


def _score(metric: Any, hypotheses: Sequence[str], references: Sequence[str]) -> CorpusScore:
    result = metric.corpus_score(list(hypotheses), [list(references)])
    return CorpusScore(float(result.score), str(metric.get_signature()))
