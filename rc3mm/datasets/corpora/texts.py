"""What all captions go through: one form of the same text, no mark-up residue, enough letters to say something."""

import html
import re
import unicodedata

__all__ = ['clean_text', 'has_letters', 'is_file_name', 'text_key', 'without_addresses']

# control, format and private characters, but for the joiners that Persian and Indic scripts and emoji need
_CONTROLS = re.compile(
    '[\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff\ue000-\uf8ff]+'
)
_SPACES = re.compile(r'\s+')
_NOT_LETTERS = re.compile(r'[\W_]+')
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_EXTENSION = r'\.(?:jpe?g|png|svg|gif|tiff?|webp|bmp|xcf|djvu|pdf|og[gva]|webm|mp[34])'
# Words are looked at from their beginning alone: else the time would grow with the square of a text without spaces.
_FILE_NAME = re.compile(rf'(?<!\S)\S+{_EXTENSION}\b', re.IGNORECASE)
_IS_FILE_NAME = re.compile(rf'.{{1,240}}{_EXTENSION}', re.IGNORECASE)
_ADDRESS = re.compile(r'(?:https?:/?/?|ftp://|www\.)\S+|(?<!\S)\S[^\s@]*@\S+\.\w+', re.IGNORECASE)
# Scripts without spaces: a character says as much as two letters of an alphabet, a Chinese one as much as three.
_HAN = re.compile('[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]')
_DENSE = re.compile('[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff]')


def clean_text(text: str) -> str:
    """A text in NFC, HTML entities resolved, control characters gone, white space single, CSV quotes taken off."""
    if '&' in text:
        text = html.unescape(text)
    if not text.isascii():
        text = unicodedata.normalize('NFC', text)
    if not text.isprintable() or '  ' in text:  # a space is printable, all other white space is not
        text = _SPACES.sub(' ', _CONTROLS.sub(' ', text))
    text = text.strip()
    if text.startswith('"') and (quoted := _QUOTED.fullmatch(text)):
        text = quoted[1].replace('""', '"').strip()
    return text


def has_letters(text: str, least: int) -> bool:
    """Whether a text has so many letters or digits.

    Those of scripts without spaces count twice (Japanese syllables, Thai, Lao, Burmese, Khmer), Chinese characters
    three times: two of them make most words.
    """
    count = 0
    for character in text:
        if character.isalnum():
            count += 1 if character < '\u0e00' else _weight(character)
            if count >= least:
                return True
    return least <= 0


def _weight(character: str) -> int:
    return 3 if _HAN.match(character) else 2 if _DENSE.match(character) else 1


def is_file_name(text: str) -> bool:
    """Whether a text is nothing but the name of an image or media file."""
    return text[-5:].count('.') > 0 and _IS_FILE_NAME.fullmatch(text) is not None


def without_addresses(text: str) -> str:
    """A text without web addresses, e-mail addresses and file names."""
    if '.' not in text and ':' not in text:
        return text
    return _SPACES.sub(' ', _FILE_NAME.sub(' ', _ADDRESS.sub(' ', text))).strip()


def text_key(text: str) -> str:
    """Equal for texts that differ in letter case, width of characters, punctuation or spaces alone."""
    folded = unicodedata.normalize('NFKC', text).casefold()
    return _NOT_LETTERS.sub('', folded) or folded
