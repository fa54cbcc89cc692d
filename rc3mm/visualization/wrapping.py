"""Line breaking by display width, for scripts with and without spaces."""

import re
import unicodedata

__all__ = ['display_width', 'wrap_text']

# What must not begin a line: closing punctuation, and the small signs that continue a Japanese syllable.
NO_LINE_START = '、。，．：；！？）」』】〉》’”ーっゃゅょッャュョ々,.:;!?)'

ELLIPSIS = '…'


def display_width(text: str) -> float:
    """Width in units of one average Latin letter; full-width characters count 2, combining marks 0."""
    return sum(_char_width(char) for char in text)


def wrap_text(text: str, width: float, max_lines: int) -> list[str]:
    """Break a text into lines; Latin words stay whole, full-width characters may break anywhere.

    Args:
        text: One paragraph; runs of white space become one space.
        width: Greatest `display_width` of a line.
        max_lines: A longer text ends in an ellipsis.

    Returns:
        One line at least, `max_lines` at most.

    Raises:
        ValueError: If `width` holds no character or `max_lines` no line.
    """
    if width < 2 or max_lines < 1:
        raise ValueError(f'nothing fits into {max_lines} lines of width {width}')
    lines = ['']
    for piece in _pieces(' '.join(text.split())):
        for part in _split_long(piece, width):
            if display_width((lines[-1] + part).rstrip()) > width:
                lines.append('')
            lines[-1] += part if lines[-1] else part.lstrip()
    lines = [line.rstrip() for line in lines]
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], _with_ellipsis(lines[max_lines - 1], width)]
    return lines


def _char_width(char: str) -> float:
    if unicodedata.combining(char):
        return 0.0
    return 2.0 if unicodedata.east_asian_width(char) in 'WF' else 1.0


def _pieces(text: str) -> list[str]:
    """Unbreakable pieces: a Latin word with the space before it, or a full-width character with its signs."""
    pieces: list[str] = []
    for word in re.findall(r' ?[^ ]+', text):
        start = len(pieces)
        for char in word:
            sticks = len(pieces) > start and (
                char in NO_LINE_START or (_char_width(char) < 2 and _char_width(pieces[-1][-1]) < 2)
            )
            if sticks or (len(pieces) > start and pieces[-1] == ' '):
                pieces[-1] += char
            else:
                pieces.append(char)
    return pieces


def _split_long(piece: str, width: float) -> list[str]:
    """Cut a piece that is wider than a whole line."""
    parts = ['']
    for char in piece:
        if parts[-1].strip() and display_width((parts[-1] + char).strip()) > width:
            parts.append('')
        parts[-1] += char
    return parts


def _with_ellipsis(line: str, width: float) -> str:
    while display_width(line) > width - 1:
        line = line[:-1]
    return line.rstrip(' ' + NO_LINE_START) + ELLIPSIS
