"""Words without a tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.relevance import words
from rc3mm.relevance.words import spelling


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('A cat, a DOG!', ['a', 'cat', 'a', 'dog']),
        ('Straßenbahn', ['straßenbahn', 'straß*']),
        ('snake_case is2', ['snake', 'case', 'is2']),
        ('ｃａｔ', ['cat']),
        ('犬と猫', ['犬', '猫', '犬と', 'と猫']),
        ('犬が2匹', ['犬', '犬が', '2', '匹']),
        ('Tシャツ', ['t', 'シャ', 'ャツ']),
        ('人々', ['人', '々', '人々']),
        ('ラー', ['ラー']),
        ('ア・ラ', ['ア', 'ラ']),
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


def test_names_and_numbers_are_spelled_alike_everywhere() -> None:
    english, japanese = (
        {spelling(word) for word in words(*text)} for text in [('en', 'Turner 1997'), ('ja', '歌手 Turner 1997')]
    )
    assert english == {'turner', '1997', None} and japanese == {'turner', '1997', None}
