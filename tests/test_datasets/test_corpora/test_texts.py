"""One form of the same text, address and language."""

import time
import unicodedata

import pytest

from rc3mm.datasets.corpora.languages import Languages, is_language_code
from rc3mm.datasets.corpora.texts import clean_text, has_letters, is_file_name, text_key, without_addresses
from rc3mm.datasets.corpora.urls import url_digest, url_key

MESSY = {
    '  a \t b\u00a0 c\u3000d ': 'a b c d',
    'Cafe\u0301': 'Café',
    'Fish &amp; chips &lt;3 &#233;': 'Fish & chips <3 é',
    'a\x00b\x1fc\u200bd\ufeff': 'a b c d',
    '"He said ""no"" to it"': 'He said "no" to it',
    '"A" and "B"': '"A" and "B"',
    'می‌خواهم': 'می‌خواهم',  # the joiner belongs to the word
    '': '',
    ' \u200b ': '',
}


@pytest.mark.parametrize('text', MESSY)
def test_clean_text(text: str) -> None:
    clean = clean_text(text)
    assert clean == MESSY[text]
    assert clean_text(clean) == clean and unicodedata.is_normalized('NFC', clean)


def test_letters_of_scripts_without_spaces_count_more() -> None:
    assert has_letters('a dog', 4) and not has_letters('a dog', 5)
    assert has_letters('駅舎', 6) and not has_letters('駅舎', 7) and not has_letters('犬', 4)
    assert has_letters('いぬ', 4) and has_letters('แมว', 4) and not has_letters('собака', 7)
    assert has_letters('', 0) and not has_letters('... —', 1)


def test_file_names_and_addresses() -> None:
    for text in ('Bridge.jpg', 'My dog at the beach.JPEG', 'File:A b.svg', 'x.tiff'):
        assert is_file_name(text), text
    for text in ('A bridge.', 'See a.jpg here', 'St. Mary', '.', '', 'Version 1.5'):
        assert not is_file_name(text), text
    assert without_addresses('See https://x.org/a?b=c and IMG_1.JPG, or me@x.org') == 'See and , or'
    assert without_addresses('no dots') == 'no dots'


@pytest.mark.parametrize(
    ('text', 'rest'),
    [
        ('A (see a.jpg,b.PNG) c', 'A (see ) c'),
        ('.jpg and .jpgx.png', '.jpg and'),
        ('to me@x.org, @us@x.org or a@b@c.de-f', 'to , or -f'),
        ('写真https://x.org/a 橋.jpg', '写真'),
        ('a@b c.d e@f. g', 'a@b c.d e@f. g'),
    ],
)
def test_what_is_an_address_or_a_file_name(text: str, rest: str) -> None:
    assert without_addresses(text) == rest


@pytest.mark.parametrize('part', ['x', '@', 'x@', 'x.', '犬', 'www.', '@.', 'a.jpgx'])
def test_a_text_without_spaces_takes_no_longer_than_another(part: str) -> None:
    started = time.monotonic()
    without_addresses(part * (300_000 // len(part)) + '.@')
    assert time.monotonic() - started < 5  # with the square of the length: minutes


def test_text_key() -> None:
    assert text_key('The Bridge!') == text_key('the  bridge') == text_key('Ｔｈｅ ｂｒｉｄｇｅ')
    assert text_key('a') != text_key('b') and text_key('!!') != text_key('??')


@pytest.mark.parametrize(
    'url',
    [
        'https://upload.wikimedia.org/wikipedia/commons/a/ab/Caf%C3%A9_(1).jpg',
        'http://upload.wikimedia.org/wikipedia/commons/a/ab/Café_%281%29.jpg',
        '//Upload.Wikimedia.org/wikipedia/commons/a/ab/Café (1).jpg',
        'https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/Caf%C3%A9_(1).jpg/220px-Caf%C3%A9_(1).jpg#mw',
        ' upload.wikimedia.org/wikipedia/commons/a/ab/Cafe\u0301_(1).jpg',
    ],
)
def test_spellings_of_an_address(url: str) -> None:
    assert url_key(url) == 'upload.wikimedia.org/wikipedia/commons/a/ab/Café_(1).jpg'
    assert url_digest(url) == url_digest('https://upload.wikimedia.org/wikipedia/commons/a/ab/Café_(1).jpg')


def test_address_that_is_no_valid_text() -> None:
    assert url_digest('http://x.org/\ud800.jpg') != url_digest('http://x.org/\ud801.jpg')


def test_other_addresses_stay_apart() -> None:
    urls = ['https://x.org/a', 'https://x.org/A', 'https://x.org/a?v=1', 'https://y.org/a', 'https://x.org/a/', '']
    assert len({url_digest(url) for url in urls}) == len(urls)
    assert url_key('HTTPS://X.org/A b') == 'x.org/A b'


def test_languages() -> None:
    languages = Languages(['en', 'zh', 'sr-Latn'])
    matched = {code: languages.match(code) for code in ('en', 'en-GB', 'zh-TW', 'sr', 'sr-Latn', 'de', 'e')}
    assert matched == {
        'en': 'en',
        'en-GB': 'en',
        'zh-TW': 'zh',
        'sr': None,
        'sr-Latn': 'sr-Latn',
        'de': None,
        'e': None,
    }
    assert Languages(['zh', 'zh-TW']).match('zh-TW') == 'zh-TW'
    assert all(map(is_language_code, ('en', 'ast', 'zh-TW', 'sr-Latn', 'be-x-old')))
    assert not any(map(is_language_code, ('', 'e', 'english', 'EN', 'en_US', 'en\n', '42')))
    for codes, message in ((['english'], 'not .english'), ([], 'must be given'), (['en', 'en'], 'each once')):
        with pytest.raises(ValueError, match=message):
            Languages(codes)
