"""Cut a small font for Japanese and Chinese text out of Droid Sans Fallback."""

from collections.abc import Iterable
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

_BLOCKS = (
    (0x20, 0x7F),
    (0xA0, 0x180),
    (0x2010, 0x2027),
    (0x3000, 0x3040),
    (0x3040, 0x3100),
    (0xFF00, 0xFFF0),
)


def common_characters() -> set[str]:
    """Characters of the subset: kana, punctuation, and the first levels of GB 2312 and JIS X 0208.

    Level 1 holds the everyday characters: rows 16 to 55 of GB 2312 and rows 16 to 47 of JIS X 0208.
    """
    chars = {chr(code) for start, stop in _BLOCKS for code in range(start, stop)}
    for codec, rows in (('gb2312', range(16, 56)), ('euc_jp', range(16, 48))):
        for row in rows:
            for cell in range(1, 95):
                chars.update(bytes((0xA0 + row, 0xA0 + cell)).decode(codec, errors='ignore'))
    return chars


def find_font(root: Path) -> Path:
    """The font file in the unpacked Debian package.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = sorted(root.rglob('DroidSansFallback*.ttf'), key=lambda p: p.name, reverse=True)
    if not found:
        raise FileNotFoundError(f'no DroidSansFallback*.ttf below {root}')
    return found[0]


def write_subset(source: Path, characters: Iterable[str], path: Path) -> set[str]:
    """Write the subset font.

    Args:
        source: The full font.
        characters: Characters to keep, as strings of any length.
        path: File to write; its times are those of the source, so that every run gives the same bytes.

    Returns:
        Characters that the source lacks.
    """
    wanted = {ord(c) for text in characters for c in text}
    options = subset.Options(hinting=False, layout_features=[], notdef_outline=True, recalc_timestamp=False)
    options.drop_tables += ['GSUB', 'GPOS', 'GDEF', 'vhea', 'vmtx', 'gasp', 'DSIG']
    with TTFont(source, recalcTimestamp=False) as font:
        missing = wanted - set(font.getBestCmap())
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=wanted)
        cutter.subset(font)
        font.save(path)
    return {chr(code) for code in missing}
