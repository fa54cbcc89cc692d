"""TranslationMetric from hand-made rows."""

import importlib.util
import sys
from typing import Any

import pytest
import sacrebleu

from rc3mm.evaluation.metrics.translation import TranslationMetric
from rc3mm.registry import METRICS

Rows = list[dict[str, Any]]

HYPOTHESES = {
    'de': ['Ein Hund läuft über die Wiese.', 'Zwei Männer spielen Fußball.'],
    'fr': ['Un chien court dans un pré.', 'Deux hommes jouent au football.'],
    'ja': ['犬が草原を走っている。', '二人の男がサッカーをする。'],
}
REFERENCES = {
    'de': ['Ein Hund rennt über die Wiese.', 'Zwei Männer spielen Fußball.'],
    'fr': ['Un chien court dans un pré.', 'Deux hommes jouent au football.'],
    'ja': ['犬が草原を走る。', '二人の男がサッカーをしている。'],
}
ROWS: Rows = [
    {'kind': 'translation', 'language': lang, 'item_id': str(i), 'hypothesis': text, 'reference': REFERENCES[lang][i]}
    for lang, texts in HYPOTHESES.items()
    for i, text in enumerate(texts)
]


def evaluate(rows: Rows, metric: TranslationMetric | None = None) -> dict[str, float]:
    metric = metric or TranslationMetric()
    metric.process(None, rows)
    return metric.evaluate(1)


def test_scores_are_those_of_sacrebleu() -> None:
    metric = TranslationMetric()
    found = evaluate([*ROWS, {'kind': 'query', 'rank': 1}], metric)
    for language, tokenizer in (('de', '13a'), ('fr', '13a'), ('ja', 'char')):
        hypotheses, references = HYPOTHESES[language], [REFERENCES[language]]
        bleu = sacrebleu.corpus_bleu(hypotheses, references, tokenize=tokenizer).score
        assert found[f'translation/{language}/bleu'] == bleu
        assert found[f'translation/{language}/chrf'] == sacrebleu.corpus_chrf(hypotheses, references).score
        assert found[f'translation/{language}/num_items'] == 2
        assert f'|tok:{tokenizer}|' in metric.signatures[f'{language}/bleu']
    assert found['translation/fr/bleu'] == pytest.approx(100)
    mean = sum(found[f'translation/{language}/bleu'] for language in HYPOTHESES) / 3
    assert found['translation/mean_bleu'] == pytest.approx(mean) and 'translation/mean_chrf' in found
    assert set(metric.signatures) == {f'{lang}/{name}' for lang in HYPOTHESES for name in ('bleu', 'chrf')}


def test_english_stays_out_of_the_mean() -> None:
    english = [{**row, 'language': 'en', 'hypothesis': row['reference']} for row in ROWS if row['language'] == 'de']
    german = [row for row in ROWS if row['language'] == 'de']
    found = evaluate(english + german)
    assert found['translation/mean_bleu'] == found['translation/de/bleu'] < found['translation/en/bleu']
    assert not any('mean' in name for name in evaluate(english))


def test_repeated_items_count_once() -> None:
    assert evaluate(ROWS + ROWS[:1]) == evaluate(ROWS[::-1]) == evaluate(ROWS)


def test_a_tokenizer_by_language() -> None:
    metric = TranslationMetric(tokenizers={'de': 'char'})
    assert evaluate(ROWS, metric)['translation/de/bleu'] != evaluate(ROWS)['translation/de/bleu']
    assert '|tok:char|' in metric.signatures['de/bleu'] and '|tok:13a|' in metric.signatures['fr/bleu']
    with pytest.raises(ValueError, match="no tokenizer 'words'"):
        TranslationMetric(tokenizers={'de': 'words'})


def test_an_empty_translation_is_a_translation() -> None:
    rows = [{**row, 'hypothesis': ''} for row in ROWS if row['language'] == 'de']
    assert evaluate(rows)['translation/de/bleu'] == evaluate(rows)['translation/de/chrf'] == 0


def test_bad_rows() -> None:
    with pytest.raises(ValueError, match=r"a row of kind 'translation' lacks \['reference'\]"):
        TranslationMetric().process(None, [{'language': 'de', 'item_id': '0', 'hypothesis': 'a'}])
    with pytest.raises(ValueError, match=r"item '0' \(de\) has a hypothesis of type list; .*decode token ids first"):
        TranslationMetric().process(None, [{**ROWS[0], 'hypothesis': [3, 7]}])


def test_what_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition('.')[0] == 'nltk']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'nltk', None)
    with pytest.raises(ModuleNotFoundError, match='METEOR needs the package nltk'):
        TranslationMetric(meteor_languages=('de',))
    monkeypatch.setitem(sys.modules, 'sacrebleu', None)
    with pytest.raises(ModuleNotFoundError, match='BLEU needs the package sacrebleu'):
        TranslationMetric()


@pytest.mark.skipif(importlib.util.find_spec('nltk') is None, reason='needs nltk')
def test_meteor_of_the_languages_asked_for() -> None:
    metric = TranslationMetric(meteor_languages=('de',))
    found = evaluate(ROWS, metric)
    assert 50 < found['translation/de/meteor'] < 100
    assert metric.signatures['de/meteor'].startswith('match:exact+stem|')
    assert 'translation/fr/meteor' not in found and 'translation/mean_meteor' not in found


def test_built_by_name() -> None:
    metric = METRICS.build({'type': 'TranslationMetric', 'prefix': 'mmt', 'tokenizers': {'de': '13a'}})
    assert evaluate(ROWS, metric)['mmt/fr/chrf'] == pytest.approx(100)


def test_senses_are_judged_where_every_row_has_them() -> None:
    rows = [{**row, 'senses': ('Hund', 'Hündin')} for row in ROWS if row['language'] == 'de']
    assert evaluate(rows)['translation/de/sense_accuracy'] == 50
    assert evaluate(rows)['translation/mean_sense_accuracy'] == 50
    rows[0].pop('senses')
    assert 'translation/de/sense_accuracy' not in evaluate(rows)
