"""METEOR, where NLTK (and for English its WordNet) is there."""

import importlib.util
import sys

import pytest

from rc3mm.evaluation.functional.meteor import mean_meteor, meteor_resources


def has_wordnet() -> bool:
    try:
        meteor_resources('en')
    except (ModuleNotFoundError, LookupError):
        return False
    return True


needs_nltk = pytest.mark.skipif(importlib.util.find_spec('nltk') is None, reason='needs nltk')
needs_wordnet = pytest.mark.skipif(not has_wordnet(), reason='needs nltk and its wordnet')


@needs_nltk
def test_by_hand() -> None:
    # Three of four words match in one chunk: P = R = F = 3/4, penalty 0.5 * (1/3)^3.
    exact = mean_meteor(['ano ne kde pes'], ['ano ne kde kočka'], 'cs')
    assert exact.value == pytest.approx(100 * 3 / 4 * (1 - 0.5 / 27))
    # The mean over items; nothing in common is 0.
    two = mean_meteor(['ano ne kde pes', 'a'], ['ano ne kde kočka', 'b'], 'cs')
    assert two.value == pytest.approx(exact.value / 2)


@needs_nltk
def test_stems_are_those_of_the_language() -> None:
    # 'Katzen' and 'Katze' have one stem in German; Czech has no stemmer here, nor has it synonyms.
    german = mean_meteor(['zwei Katzen'], ['zwei Katze'], 'de')
    assert german.value == pytest.approx(100 * (1 - 0.5 / 8))
    assert mean_meteor(['zwei Katzen'], ['zwei Katze'], 'cs').value < german.value
    assert german.signature.startswith('match:exact+stem|lang:de|tok:13a|nltk:')
    assert mean_meteor(['犬が走る'], ['犬が走る'], 'ja').signature.startswith('match:exact|lang:ja|tok:char|')


@needs_wordnet
def test_english_has_synonyms() -> None:
    found = mean_meteor(['a car'], ['a motorcar'], 'en')
    assert found.value == pytest.approx(100 * (1 - 0.5 / 8))
    assert found.signature.startswith('match:exact+stem+synonym|lang:en|')


@pytest.mark.skipif(importlib.util.find_spec('nltk') is None or has_wordnet(), reason='needs nltk without wordnet')
def test_english_without_wordnet() -> None:
    with pytest.raises(LookupError, match='METEOR of English needs WordNet: run'):
        meteor_resources('en')


def test_without_nltk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition('.')[0] == 'nltk']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'nltk', None)
    with pytest.raises(ModuleNotFoundError, match='METEOR needs the package nltk: pip install nltk'):
        mean_meteor(['a'], ['a'], 'de')
    with pytest.raises(ValueError, match='got 1 and 0'):
        mean_meteor(['a'], [], 'de')
