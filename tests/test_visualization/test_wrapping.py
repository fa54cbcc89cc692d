"""Line breaking by width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc3mm.visualization.wrapping import NO_LINE_START, display_width, wrap_text


def test_width():
    assert display_width('abc') == 3
    assert display_width('犬と猫') == 6
    assert display_width('e\u0301') == 1


def test_latin_words_stay_whole():
    assert wrap_text('a violin left of  two apples', 10, 9) == ['a violin', 'left of', 'two apples']


def test_full_width_characters_break_anywhere_but_before_a_closing_sign():
    assert wrap_text('小提琴的右边', 6, 9) == ['小提琴', '的右边']
    assert wrap_text('赤いりん、ごう', 8, 9) == ['赤いり', 'ん、ごう']


def test_mixed_scripts():
    assert wrap_text('2018年にTwitter社', 8, 9) == ['2018年に', 'Twitter', '社']


def test_a_word_wider_than_a_line_is_cut():
    assert wrap_text('Donaudampfschiff', 6, 9) == ['Donaud', 'ampfsc', 'hiff']


def test_what_does_not_fit_ends_in_an_ellipsis():
    assert wrap_text('one two three four', 8, 2) == ['one two', 'three…']
    assert wrap_text('小提琴的右边', 6, 1) == ['小提…']


def test_empty_and_impossible():
    assert wrap_text('', 10, 3) == ['']
    with pytest.raises(ValueError, match='nothing fits'):
        wrap_text('a', 1, 3)


@given(st.text(alphabet='ab 犬猫の、。ー', max_size=60), st.integers(4, 30))
def test_no_line_is_too_wide_and_nothing_is_lost(text, width):
    lines = wrap_text(text, width, 1000)
    assert all(display_width(line) <= width for line in lines)
    assert ''.join(lines).replace(' ', '') == text.replace(' ', '')


@given(st.text(alphabet='犬猫の', min_size=1, max_size=60), st.integers(4, 30))
def test_a_closing_sign_never_begins_a_line(text, width):
    lines = wrap_text('、'.join(text), width, 1000)
    assert not any(line[0] in NO_LINE_START for line in lines)
