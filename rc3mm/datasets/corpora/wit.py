"""WIT (Srinivasan et al. 2021): images of Wikipedia with the texts around them, a row an image on a page.

Here are the rules of a row: which of its texts is taken, and what is left out.
"""

import re
from typing import NamedTuple

from rc3mm.datasets.corpora.lines import RowError, decode_line
from rc3mm.datasets.corpora.texts import clean_text, has_letters, is_file_name, without_addresses

__all__ = ['COLUMNS', 'NO_TEXT', 'WitRow', 'choose_text', 'clean_attribution', 'is_header', 'parse_row']

COLUMNS = (
    'language',
    'page_url',
    'image_url',
    'page_title',
    'section_title',
    'hierarchical_section_title',
    'caption_reference_description',
    'caption_attribution_description',
    'caption_alt_text_description',
    'mime_type',
    'original_height',
    'original_width',
    'is_main_image',
    'attribution_passes_lang_id',
    'page_changed_recently',
    'context_page_description',
    'context_section_description',
)
NO_TEXT = 'no text'
_BOILERPLATE, _NEAR_EMPTY, _FILE_NAME = 'boilerplate', 'too few letters', 'file name or address only'
_OTHER_LANGUAGE = 'attribution in another language'
_IMAGE_URL = COLUMNS.index('image_url')
_REFERENCE = COLUMNS.index('caption_reference_description')
_ATTRIBUTION = COLUMNS.index('caption_attribution_description')
_ALT_TEXT = COLUMNS.index('caption_alt_text_description')
_PASSES = COLUMNS.index('attribution_passes_lang_id')

# How languages call themselves in the descriptions of Wikimedia Commons ("English: A bridge. Deutsch: Eine Brücke.").
_AUTONYMS = {
    'العربية': 'ar',
    'Български': 'bg',
    'বাংলা': 'bn',
    'Català': 'ca',
    'Čeština': 'cs',
    'Česky': 'cs',
    'Dansk': 'da',
    'Deutsch': 'de',
    'Ελληνικά': 'el',
    'English': 'en',
    'Esperanto': 'eo',
    'Español': 'es',
    'Eesti': 'et',
    'Euskara': 'eu',
    'فارسی': 'fa',
    'Suomi': 'fi',
    'Français': 'fr',
    'Galego': 'gl',
    'עברית': 'iw',
    'हिन्दी': 'hi',
    'Hrvatski': 'hr',
    'Magyar': 'hu',
    'Հայերեն': 'hy',
    'Bahasa Indonesia': 'id',
    'Italiano': 'it',
    '日本語': 'ja',
    '한국어': 'ko',
    'Latina': 'la',
    'Lietuvių': 'lt',
    'Latviešu': 'lv',
    'Македонски': 'mk',
    'Bahasa Melayu': 'ms',
    'Nederlands': 'nl',
    'Norsk bokmål': 'no',
    'Norsk nynorsk': 'nn',
    'Norsk': 'no',
    'Polski': 'pl',
    'Português': 'pt',
    'Português do Brasil': 'pt',
    'Română': 'ro',
    'Русский': 'ru',
    'Slovenčina': 'sk',
    'Slovenščina': 'sl',
    'Српски / srpski': 'sr',
    'Svenska': 'sv',
    'தமிழ்': 'ta',
    'ไทย': 'th',
    'Türkçe': 'tr',
    'Українська': 'uk',
    'Tiếng Việt': 'vi',
    '中文': 'zh',
    '中文（简体）': 'zh',
    '中文（繁體）': 'zh',
    '中文(简体)': 'zh',
    '中文(繁體)': 'zh',
}
_TAG = re.compile(rf'(?<!\w)({"|".join(map(re.escape, sorted(_AUTONYMS, key=len, reverse=True)))})\s?[:：]\s?')
# Sentences with one of these are about rights and authors rather than the image.
_RIGHTS = (
    'cc by', 'cc-by', 'cc0', 'creative commons', 'licensed under', 'released under', 'gnu free',
    'gfdl', 'copyright', '©', 'public domain', 'domaine public', 'gemeinfrei',
    'all rights reserved', 'permission', 'otrs ticket', 'own work', 'eigenes werk',
    'travail personnel', 'vlastní dílo', 'self-made', 'selbst erstellt', '自己的作品',
    'selbst fotografiert', '投稿者', '作成者', 'uploaded by', 'original uploader', 'transferred from',
    'siehe unten',
)  # fmt: skip
_SENTENCE = re.compile(r'(?<=[.!?;])\s+|(?<=[。！？])\s*')
# Whole texts that say nothing of the image.
_SAYS_NOTHING = re.compile(
    r'(?:the )?(?:image|photo(?:graph)?|picture|illustration|logo|icon|map|flag|portrait|thumbnail|caption'
    r'|description|no description(?: available)?|untitled|unknown|see caption|refer to caption|click to enlarge'
    r'|bild|foto|logotyp|karte|flagge|wappen|keine beschreibung|siehe text'
    r'|carte|drapeau|illustration|description de cette image.*|image illustrative.*|défaut de description'
    r'|obrázek|mapa|vlajka|画像|写真|地図|ロゴ|说明|图片|地图|图像)'
)


class WitRow(NamedTuple):
    """What of a row is used.

    Attributes:
        image_url: address of the image.
        text: the text that was chosen, or refused.
        reason: why it was refused; '' for a text that was chosen.
    """

    image_url: str
    text: str
    reason: str = ''


def is_header(line: bytes) -> bool:
    """Whether a line holds the names of the columns."""
    return line.startswith(b'language\tpage_url\t')


def parse_row(line: bytes, language: str, min_chars: int) -> WitRow:
    """Read a row, whose number of columns is right, and choose its text.

    Args:
        line: the row.
        language: base of its language's code.
        min_chars: see `choose_text`.

    Raises:
        RowError: bad UTF-8, a NUL byte, or no address of an image.
    """
    columns = decode_line(line).split('\t')
    url = columns[_IMAGE_URL].strip().strip('"')
    if '/' not in url:
        raise RowError('no image address', repr(columns[_IMAGE_URL][:80]))
    text, reason = choose_text(
        columns[_REFERENCE], columns[_ALT_TEXT], columns[_ATTRIBUTION], language, columns[_PASSES] == 'true', min_chars
    )
    return WitRow(url, text, reason)


def choose_text(
    reference: str, alt_text: str, attribution: str, language: str, passes: bool, min_chars: int
) -> tuple[str, str]:
    """The first text that says something: the caption of the page, the alternative text, the attribution.

    Args:
        reference: caption that is seen on the page.
        alt_text: text for those who do not see the image.
        attribution: description on the image's own page, where all languages stand together.
        language: base of the language's code.
        passes: whether WIT's language identification took the attribution for the page's language.
        min_chars: letters that a text must have; those of scripts without spaces count more (see `has_letters`).

    Returns:
        The text and ''; or the first text that is there, as it was, and why it is of no use.
    """
    refused = '', NO_TEXT
    for source, raw in enumerate((reference, alt_text, attribution)):
        if not raw:
            continue
        text, fault = clean_text(raw), ''
        if source == 2:
            text, fault = clean_attribution(text, language, passes)
        fault = fault or _fault(text, min_chars)
        if not fault:
            return text, ''
        if refused[1] == NO_TEXT:
            refused = raw, fault
    return refused


def clean_attribution(text: str, language: str, passes: bool) -> tuple[str, str]:
    """What an attribution says of the image in a language.

    Of several languages, each behind its tag (`English: ...`), the part in `language` is kept; without tags,
    the whole if it `passes` the language identification. Addresses, file names and sentences about rights go.

    Args:
        text: the attribution, cleaned by `clean_text`.
        language: base of a language's code.
        passes: whether the attribution was identified as being in that language.

    Returns:
        The text, and '' or why nothing is left.
    """
    parts = _TAG.split(text)
    if len(parts) > 1:
        own = [part for tag, part in zip(parts[1::2], parts[2::2], strict=True) if _AUTONYMS[tag] == language]
        if not own:
            return '', _OTHER_LANGUAGE
        text = own[0].strip()
    elif not passes:
        return '', _OTHER_LANGUAGE if text else NO_TEXT
    shorter = without_addresses(text)
    if text and not shorter:
        return '', _FILE_NAME
    if _mentions_rights(shorter):
        shorter = ' '.join(part for part in _SENTENCE.split(shorter) if not _mentions_rights(part)).strip()
        if not shorter:
            return '', _BOILERPLATE
    return shorter.strip(' -–—|:;,'), ''


def _mentions_rights(text: str) -> bool:
    folded = text.casefold()
    return any(phrase in folded for phrase in _RIGHTS)


def _fault(text: str, min_chars: int) -> str:
    """Why a text is of no use, or ''."""
    if not text:
        return NO_TEXT
    if is_file_name(text) or ('://' in text and not without_addresses(text)):
        return _FILE_NAME
    if len(text) < 60 and _SAYS_NOTHING.fullmatch(text.strip(' .:!…。()[]').casefold()):
        return _BOILERPLATE
    if len(text) < 60 and _mentions_rights(text) and not has_letters(_without_rights(text), min_chars):
        return _BOILERPLATE
    return '' if has_letters(text, min_chars) else _NEAR_EMPTY


def _without_rights(text: str) -> str:
    folded = text.casefold()
    for phrase in _RIGHTS:
        folded = folded.replace(phrase, ' ')
    return folded
