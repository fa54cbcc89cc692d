"""BLEU and chrF: hand-worked cases, laws, and the numbers of sacreBLEU's own corpus functions."""

import importlib.util
import sys
from math import exp

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from rc3mm.evaluation.functional.translation import bleu_tokenizer, corpus_bleu, corpus_chrf, make_bleu, sense_accuracy

GERMAN = (
    ['Ein Hund läuft über die Wiese.', 'Zwei Männer spielen Fußball', 'Eine Frau trinkt Tee.'],
    ['Ein Hund rennt über die Wiese.', 'Zwei Männer spielen im Park Fußball.', 'Eine Frau trinkt Kaffee.'],
)
WORDS = st.lists(st.sampled_from('ein hund der katze läuft sieht .'.split()), min_size=1, max_size=8).map(' '.join)


def test_bleu_by_hand() -> None:
    # Five words, the last one wrong: precisions 4/5, 3/4, 2/3, 1/2 multiply to 1/5; the lengths are equal.
    assert corpus_bleu(['a b c d e'], ['a b c d f']).value == pytest.approx(100 * 0.2**0.25)
    # All that is there is right, but a word is missing: the brevity penalty alone.
    assert corpus_bleu(['a b c d'], ['a b c d e']).value == pytest.approx(100 * exp(1 - 5 / 4))
    # Counts are pooled over the corpus: 9/10, 7/8, 5/6, 3/4; a mean of sentences would be 83.4.
    assert corpus_bleu(['a b c d e', 'v w x y z'], ['a b c d f', 'v w x y z']).value == pytest.approx(
        100 * (9 / 10 * 7 / 8 * 5 / 6 * 3 / 4) ** 0.25
    )


def test_chrf_by_hand() -> None:
    # Letters 2/3, pairs of letters 1/2, triples 0: precision and recall are both 7/18; spaces do not count.
    assert corpus_chrf(['a b x'], ['abc']).value == pytest.approx(100 * 7 / 18)
    # One letter of the two: precision 1, recall 1/2, F with beta = 2 is 5 * 1/2 / (4 + 1/2). Pairs do not exist.
    assert corpus_chrf(['a'], ['ab']).value == pytest.approx(100 * 2.5 / 4.5)


@pytest.mark.parametrize('tokenizer', ['13a', 'zh', 'char'])
def test_agrees_with_the_corpus_functions_of_sacrebleu(tokenizer: str) -> None:
    hypotheses, references = GERMAN
    ours = corpus_bleu(hypotheses, references, tokenizer)
    assert ours.value == sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenizer).score
    assert 0 < ours.value < 100
    assert corpus_chrf(hypotheses, references).value == sacrebleu.corpus_chrf(hypotheses, [references]).score


def test_the_signature_says_how() -> None:
    version = f'version:{sacrebleu.__version__}'
    assert corpus_bleu(*GERMAN).signature == f'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}'
    assert '|tok:char|' in corpus_bleu(*GERMAN, 'char').signature
    assert corpus_chrf(*GERMAN).signature == f'nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}'


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
def test_laws(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = (list(column) for column in zip(*pairs, strict=True))
    for score in (corpus_bleu, corpus_chrf):
        assert 0 <= score(hypotheses, references).value <= 100 + 1e-9  # sacreBLEU's own rounding
        assert score(hypotheses[::-1], references[::-1]).value == pytest.approx(score(hypotheses, references).value)
    long = [f'{text} a b c d' for text in references]
    assert corpus_bleu(long, long).value == pytest.approx(100)
    assert corpus_chrf(references, references).value == pytest.approx(100)
    assert corpus_bleu([''] * len(pairs), references).value == 0


def test_tokenizers_of_languages_without_spaces() -> None:
    assert {language: bleu_tokenizer(language) for language in ('en', 'de', 'fr', 'cs', 'ja', 'zh')} == {
        'en': '13a', 'de': '13a', 'fr': '13a', 'cs': '13a', 'ja': 'char', 'zh': 'zh',
    }  # fmt: skip
    japanese = ['公園で子供がサッカーをしています。'], ['公園で子供たちがサッカーをしている。']
    chinese = ['一只狗在草地上奔跑。'], ['一只狗在草地上跑步。']
    for language, (hypotheses, references) in {'ja': japanese, 'zh': chinese}.items():
        assert corpus_bleu(hypotheses, references, bleu_tokenizer(language)).value > 40
        assert corpus_bleu(hypotheses, references, '13a').value == 0  # the sentence is one word, and wrong
    # Kana runs stay whole under `zh`, hence `char` for Japanese.
    tokenize = make_bleu('zh').tokenizer
    assert tokenize('サッカーをする子供').split() == ['サッカーをする', '子', '供']


@pytest.mark.parametrize(
    ('hypotheses', 'references', 'message'),
    [
        ([], [], 'got 0 and 0'),
        (['a'], ['a', 'b'], 'one reference a hypothesis, got 1 and 2'),
        ('ab', 'ab', 'hypotheses must be a list of strings, not one string'),
        (['a', 'b'], 'ab', 'references must be a list of strings'),
        (['a', 'b'], ['a', None], 'item 1 of the references is NoneType, not a string'),
        ([3], ['a'], 'item 0 of the hypotheses is int'),
    ],
)
def test_bad_input(hypotheses: list[str], references: list[str], message: str) -> None:
    for score in (corpus_bleu, corpus_chrf):
        with pytest.raises(ValueError, match=message):
            score(hypotheses, references)


def test_unknown_tokenizers_and_those_without_their_dictionary() -> None:
    with pytest.raises(ValueError, match=r"no tokenizer 'jieba'; choose one of \['13a', "):
        corpus_bleu(['a'], ['a'], 'jieba')
    if importlib.util.find_spec('MeCab') is None:
        with pytest.raises(ValueError, match=r"the tokenizer 'ja-mecab' cannot be used here"):
            make_bleu('ja-mecab')


def test_without_sacrebleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'sacrebleu', None)
    with pytest.raises(ModuleNotFoundError, match='BLEU needs the package sacrebleu: pip install sacrebleu'):
        corpus_bleu(['a'], ['a'])
    with pytest.raises(ModuleNotFoundError, match='chrF needs the package sacrebleu'):
        corpus_chrf(['a'], ['a'])


def test_senses_are_whole_words_and_the_wrong_one_spoils_the_right_one() -> None:
    senses = [('Ei', 'Karotte')] * 5
    texts = ['Bombe, Ei, Bett.', 'Bombe, Eis, Bett.', 'ei', 'Ei, Karotte', 'Karotte']
    assert sense_accuracy(texts, senses) == 40
    assert sense_accuracy(['poire, œuf', 'l’œuf'], [('œuf', 'carotte')] * 2) == 100
    with pytest.raises(ValueError, match='senses of each'):
        sense_accuracy(['a'], [])
