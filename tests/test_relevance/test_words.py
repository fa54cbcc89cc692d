"""Words without a tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.relevance import words


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('A cat, a DOG!', ['a', 'cat', 'a', 'dog']),
        ('Straßenbahn', ['straßenbahn', 'straß*']),
        ('snake_case is2', ['snake', 'case', 'is2']),
        ('ｃａｔ', ['cat']),
        ('犬と猫', ['犬', 'と', '猫', '犬と', 'と猫']),
        ('犬が2匹', ['犬', 'が', '犬が', '2', '匹']),
        ('Tシャツ', ['t', 'シ', 'ャ', 'ツ', 'シャ', 'ャツ']),
        ('人々', ['人', '々', '人々']),
        ('ラー', ['ラ', 'ー', 'ラー']),
        ('…!? ', []),
        ('', []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert words('xx', text) == [f'xx:{word}' for word in expected]


def test_inflected_forms_meet_and_languages_do_not() -> None:
    assert set(words('cs', 'kočička')) & set(words('cs', 'kočičkami'))
    assert not set(words('de', 'Hand')) & set(words('en', 'hand'))


@given(st.text(), st.text())
def test_laws(a: str, b: str) -> None:
    assert all(word.startswith('de:') for word in words('de', a))
    assert words('de', f'{a} {b}') == words('de', a) + words('de', b)
    assert words('de', a.upper().lower()) == words('de', a.upper())
