"""Tables of the command lines whose cells hold what corpora, file names and commands hold, whatever that is."""

import unicodedata

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rc3mm.datasets.shards.drops import DropReport

__all__ = ['drop_table', 'verbatim']

_UNSHOWN = ('Cc', 'Cs')  # control characters, which terminals obey, and halves of surrogate pairs


def verbatim(value: object, style: str = '') -> Text:
    """What is shown as it is: brackets are no mark-up, colons no emoji, control characters are written out."""
    text = ''.join(
        character.encode('unicode_escape').decode() if unicodedata.category(character) in _UNSHOWN else character
        for character in str(value)
    )
    return Text(text, style=style)


def drop_table(report: DropReport) -> Table:
    """Reason, count and an example of all that was left out of a corpus."""
    title = f'left out ({report.num_read:,} read, {report.num_kept:,} kept)'
    table = Table(title=title, title_justify='left', box=SIMPLE_HEAD)
    table.add_column('reason', overflow='fold')
    table.add_column('count', justify='right')
    table.add_column('for example', overflow='fold')
    for row in report.rows():
        example = ': '.join(part for part in row.samples[0] if part)[:100] if row.samples else ''
        malformed = row.kind == 'fault'
        reason = f'{row.reason}{" (malformed)" * malformed}'
        table.add_row(verbatim(reason), f'{row.count:,}', verbatim(example), style='yellow' if malformed else None)
    return table
