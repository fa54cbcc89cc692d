"""METEOR where NLTK is installed."""

from collections.abc import Sequence
from typing import Any

from rc3mm.evaluation.functional.translation import CorpusScore, bleu_tokenizer, check_pairs, make_bleu
from rc3mm.utils.optional import require

__all__ = ['mean_meteor', 'meteor_resources']

STEMMERS = {'de': 'german', 'en': 'english', 'es': 'spanish', 'fr': 'french', 'pt': 'portuguese', 'ru': 'russian'}


class _Exact:
    """Stands in for a stemmer and for WordNet where a language has none: every word is its own and only kin."""

    def stem(self, word: str) -> str:
        return word

    def synsets(self, word: str) -> list[Any]:
        return []


def meteor_resources(language: str) -> tuple[Any, Any]:
    """The stemmer and the source of synonyms of a target language: Snowball's, and WordNet for English.

    NLTK's defaults are English for every language: German words would be stemmed as English ones, and looked
    up in an English thesaurus.

    Raises:
        ModuleNotFoundError: NLTK is not installed.
        LookupError: The language is English and NLTK's copy of WordNet is not there, or not whole.
    """
    stem = require('nltk.stem.snowball', 'METEOR')
    name = STEMMERS.get(language)
    if language != 'en':
        return stem.SnowballStemmer(name) if name else _Exact(), _Exact()
    wordnet = require('nltk.corpus', 'METEOR').wordnet
    try:
        wordnet.synsets('dog')
    except (LookupError, OSError) as error:  # absent, or some of its files are
        raise LookupError(
            'METEOR of English needs WordNet: run python -c "import nltk; nltk.download(\'wordnet\')", '
            'or set NLTK_DATA to the folder that has corpora/wordnet'
        ) from error
    return stem.SnowballStemmer(name), wordnet


def mean_meteor(hypotheses: Sequence[str], references: Sequence[str], language: str) -> CorpusScore:
    """Mean METEOR (Lavie and Agarwal 2007, as NLTK computes it) over the items, 0..100.

    Words are matched exactly, then by stem (where `STEMMERS` has the language), then, in English, by synonym; NLTK
    looks up the stem there, so that words which stemming alters ('automobile') find no synonym.
    Papers on Multi30K use METEOR 1.5, which adds paraphrases and weights of each language: do not compare its
    numbers with these.

    Args:
        hypotheses: One translation an item, detokenised.
        references: One reference an item, detokenised.
        language: The target language; it chooses tokenizer, stemmer and synonyms.

    Raises:
        ModuleNotFoundError: NLTK or sacreBLEU (whose tokenizers are used) is not installed.
        LookupError: The language is English and WordNet is not there.
        ValueError: There are no items, their numbers differ, or one is no string.
    """
    check_pairs(hypotheses, references)
    stemmer, wordnet = meteor_resources(language)
    score = require('nltk.translate.meteor_score', 'METEOR').single_meteor_score
    tokenizer = bleu_tokenizer(language)
    tokenize = make_bleu(tokenizer).tokenizer
    values = [
        score(tokenize(reference).split(), tokenize(hypothesis).split(), stemmer=stemmer, wordnet=wordnet)
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]
    stages = ['exact', *(['stem'] if language in STEMMERS else []), *(['synonym'] if language == 'en' else [])]
    signature = f'match:{"+".join(stages)}|lang:{language}|tok:{tokenizer}|nltk:{require("nltk", "METEOR").__version__}'
    return CorpusScore(100.0 * sum(values) / len(values), signature)
