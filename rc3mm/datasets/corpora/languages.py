"""Which language a corpus' code means, among the languages that are wanted."""

import re
from collections.abc import Sequence

__all__ = ['Languages', 'is_language_code']

_CODE = re.compile(r'[a-z]{2,3}(-[A-Za-z0-9]{1,8})*')


def is_language_code(code: str) -> bool:
    """Whether a text has the form of a language code, such as `en`, `zh-TW` or `sr-Latn`."""
    return _CODE.fullmatch(code) is not None


class Languages:
    """The languages that are wanted.

    A code with a region or script falls under its base (`zh-TW` under `zh`), unless it is wanted itself.

    Args:
        codes: language codes; their order is that of the texts of a record.

    Raises:
        ValueError: no code, one twice, or one of another form.
    """

    def __init__(self, codes: Sequence[str]) -> None:
        self.codes = tuple(codes)
        strange = [code for code in self.codes if not is_language_code(code)]
        if strange:
            raise ValueError(f'languages are codes such as en, ja or zh-TW, not {strange[0]!r}')
        if not self.codes or len(set(self.codes)) != len(self.codes):
            raise ValueError(f'languages must be given, each once; got {list(self.codes)}')

    def match(self, code: str) -> str | None:
        """The wanted language that a code means, or None."""
        if code in self.codes:
            return code
        base = code.partition('-')[0]
        return base if base in self.codes else None
