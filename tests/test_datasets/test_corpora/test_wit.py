"""The rules of WIT's rows: which text is taken, what is left of attributions, what is of no use."""

import pytest

from rc3mm.datasets.corpora.lines import RowError
from rc3mm.datasets.corpora.wit import choose_text, clean_attribution, parse_row
from tests.test_datasets.test_corpora.corpus_files import COMMONS, wit_row

CAPTION, ALT, ATTRIBUTION = 'Charles Bridge at dawn', 'A stone bridge', 'View of the bridge'


def choose(
    reference: str = '', alt: str = '', attribution: str = '', language: str = 'en', passes: bool = True
) -> tuple:
    return choose_text(reference, alt, attribution, language, passes, 6)


def test_order_of_preference() -> None:
    assert choose(CAPTION, ALT, ATTRIBUTION) == (CAPTION, '')
    assert choose('', ALT, ATTRIBUTION) == (ALT, '')
    assert choose('', '', ATTRIBUTION) == (ATTRIBUTION, '')
    assert choose() == ('', 'no text')


def test_next_text_is_taken_where_one_is_of_no_use() -> None:
    assert choose('Bridge.jpg', ALT) == (ALT, '')
    assert choose('...', 'logo', f'English: {ATTRIBUTION}') == (ATTRIBUTION, '')


USELESS = {
    'Prague bridge.JPG': 'file name or address only',
    'File:Prague bridge at dawn.jpg': 'file name or address only',
    'https://example.org/some/long/path': 'file name or address only',
    'Photo': 'boilerplate',
    '[Image]': 'boilerplate',
    'Own work, CC BY-SA 3.0': 'boilerplate',
    '© NASA': 'boilerplate',
    'Karte': 'boilerplate',
    'dog': 'too few letters',
    '1 + 1 = 2': 'too few letters',
    '犬.': 'too few letters',
    '\u200b \xa0': 'no text',
}


@pytest.mark.parametrize('text', USELESS)
def test_texts_of_no_use(text: str) -> None:
    reason = USELESS[text]
    assert choose(text)[1] == reason
    assert choose('', text)[1] == reason
    refused = choose(text, '.')
    assert refused[1] == reason or reason == 'no text'


@pytest.mark.parametrize(
    'text',
    [
        'Public domain map of Prague, about 1700',  # mentions rights, but says more
        'A map of the river in three parts',
        'Logo of the 1936 Olympic Games',
        'dog house',
        '大きい犬',
        'Version 2.jpg files compared',
    ],
)
def test_texts_that_say_something(text: str) -> None:
    assert choose(text) == (text, '')


def test_attribution_of_several_languages() -> None:
    text = 'English: Charles Bridge, Prague. Deutsch: Die Karlsbrücke. 日本語: カレル橋 Čeština: Karlův most'
    for language, own in (
        ('en', 'Charles Bridge, Prague.'),
        ('de', 'Die Karlsbrücke.'),
        ('ja', 'カレル橋'),
        ('cs', 'Karlův most'),
    ):
        assert clean_attribution(text, language, passes=False) == (own, '')
    assert clean_attribution(text, 'fr', passes=True) == ('', 'attribution in another language')
    assert clean_attribution('中文（繁體）：查理大橋', 'zh', False) == ('查理大橋', '')


def test_attribution_without_tags_must_pass_the_language_identification() -> None:
    assert clean_attribution('Die Karlsbrücke', 'de', True) == ('Die Karlsbrücke', '')
    assert clean_attribution('Die Karlsbrücke', 'fr', False) == ('', 'attribution in another language')
    assert choose('', '', 'Die Karlsbrücke', 'fr', passes=False) == (
        'Die Karlsbrücke',
        'attribution in another language',
    )


def test_rights_and_addresses_go() -> None:
    for attribution, left in (
        ('English: A bridge. Own work, CC BY-SA 4.0.', 'A bridge.'),
        ('Uploaded by me. The old bridge at night. https://x.org/y', 'The old bridge at night.'),
        ('The bridge, IMG_001.jpg', 'The bridge'),
        ('The bridge was built in 1402. It is of stone.', 'The bridge was built in 1402. It is of stone.'),
    ):
        assert clean_attribution(attribution, 'en', True) == (left, '')
    assert (
        clean_attribution('Own work. Licensed under the GNU Free Documentation License', 'en', True)[1] == 'boilerplate'
    )
    assert clean_attribution('IMG_001.jpg', 'en', True)[1] == 'file name or address only'


def test_row() -> None:
    row = parse_row(wit_row('de', 'A', 'Eine &quot;Brücke&quot;  in Prag').encode(), 'de', 6)
    assert row == (f'{COMMONS}A.jpg', 'Eine "Brücke" in Prag', '')
    for broken, message in (
        (wit_row('de', '/', 'x', image_url=' '), "no image address: ' '"),
        (wit_row('de', 'A', 'x\0y'), 'NUL byte'),
    ):
        with pytest.raises(RowError, match=message):
            parse_row(broken.encode(), 'de', 6)
    with pytest.raises(RowError, match='bad UTF-8'):
        parse_row(wit_row('de', 'A', 'é').encode('latin-1'), 'de', 6)
