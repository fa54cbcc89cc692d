"""Language-tagged words of a text, without a trained tokenizer."""

import re
import unicodedata

__all__ = ['spelling', 'words']

_UNSPACED = r'\u3005\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff'
_CJK = re.compile(f'[{_UNSPACED}]+')
_KANA = re.compile('[\u3040-\u30ff]')
# A run of either kind: '2匹' and 'Tシャツ' are two runs each, though no space parts them.
_TOKEN = re.compile(f'[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+')


def words(language: str, text: str) -> list[str]:
    """Split a text into words tagged with their language.

    Scripts that write no spaces (kana, kanji, hanzi) give pairs of neighbours and single kanji and hanzi, but no
    kana of a longer run, which mean nothing alone; other scripts give lower-cased words and, of long ones, their first
    five letters, which joins most inflected forms.

    Args:
        language: language code.
        text: any string.

    Returns:
        Tagged words, in order, repeated as often as they occur.
    """
    found: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize('NFKC', text).lower()):
        if _CJK.fullmatch(token):
            found += [letter for letter in token if len(token) == 1 or not _KANA.match(letter)]
            found += [token[i : i + 2] for i in range(len(token) - 1)]
        else:
            found.append(token)
            if len(token) > 5:
                found.append(token[:5] + '*')
    return [f'{language}:{word}' for word in found]


def spelling(word: str) -> str | None:
    """How a tagged word is spelled in any language; None for parts of words and scripts without spaces."""
    bare = word.partition(':')[2]
    return None if bare.endswith('*') or _CJK.fullmatch(bare) else bare
