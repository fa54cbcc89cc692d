"""One table of many tasks: for the terminal, and as Markdown, CSV and LaTeX."""

import csv
import io
import re
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from rc3mm.visualization.suite_rows import OURS, SuiteRow, SuiteTable

__all__ = ['to_csv', 'to_latex', 'to_markdown', 'to_rich']

ABSENT, MEAN_LABEL = '-', 'mean w/o en'

_LATEX = {c: f'\\{c}' for c in '&%$#_{}'} | {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}'}
_LATEX |= {'^': r'\textasciicircum{}', '<': r'\textless{}', '>': r'\textgreater{}', '|': r'\textbar{}', '"': "''"}
# a cell that begins with one of these two would be an argument of the line break before it
_LATEX |= {'[': '{[}', '*': '{*}', '→': r'$\rightarrow$', '×': r'$\times$', '±': r'$\pm$'}


def to_markdown(table: SuiteTable) -> str:
    """Markdown, the title a bold line above."""
    blocks = [f'**{_markdown(table.title)}**']
    for part in table.parts():
        columns = _columns(part)
        right = [name in _numeric(part) for name in columns]
        lines = [list(columns), ['-:' if end else '-' for end in right]]
        cells = zip(*([_markdown(_shown(value)) for value in column] for column in columns.values()), strict=True)
        blocks.append('\n'.join('|' + '|'.join(line) + '|' for line in [*lines, *cells]))
    return '\n\n'.join(blocks) + '\n'


def to_csv(table: SuiteTable) -> str:
    """Comma-separated values of all rows, unrounded; what is absent is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    columns = _columns(table)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def to_latex(table: SuiteTable) -> str:
    """LaTeX tables to paste; they need the package booktabs. Settings, splits and items stand in the caption."""
    blocks = ['% needs \\usepackage{booktabs}']
    for part in table.parts():
        columns = {name: values for name, values in _columns(part).items() if name not in ('setting', 'split', 'items')}
        columns.pop('notes', None)
        caption = ' '.join(f'{line}.' for line in (part.title, *_told(part)))
        head = ' & '.join(_latex(name) for name in columns)
        lines = ['\\begin{table}[t]', '\\centering', '\\small', f'\\caption{{{_latex(caption)}}}']
        kinds = ''.join('r' if name in _numeric(part) else 'l' for name in columns)
        lines += [f'\\begin{{tabular}}{{{kinds}}}', '\\toprule', f'{head} \\\\']
        before = None
        for row, cells in zip(part.rows, zip(*columns.values(), strict=True), strict=True):
            lines += ['\\midrule'] if row.task != before else []
            lines.append(' & '.join(_latex(_shown(cell)) for cell in cells) + ' \\\\')
            before = row.task
        blocks.append('\n'.join([*lines, '\\bottomrule', '\\end{tabular}', '\\end{table}']))
    return '\n\n'.join(blocks) + '\n'


def to_rich(table: SuiteTable) -> Group:
    """For the terminal: what was measured on what stands beneath, so that the numbers have room."""
    parts = []
    for part in table.parts():
        # tight enough for a terminal of 80 columns
        shown = Table(title=Text(part.title), title_justify='left', title_style='bold', box=SIMPLE_HEAD, padding=0)
        shown.pad_edge, shown.caption, shown.caption_justify = False, Text('\n'.join(_told(part))), 'left'
        columns = {name: values for name, values in _columns(part).items() if name in _numeric(part)}
        shown.add_column('task', overflow='fold', min_width=16)
        for name in columns:
            shown.add_column(Text(name.replace(' ', '\n')), justify='right', no_wrap=True)
        for place, cells in enumerate(zip(*columns.values(), strict=True)):
            row = part.rows[place]
            label = Text(f'{row.task} {row.metric}' if row.model == OURS else f'  {row.model}')
            last = place + 1 == len(part.rows) or part.rows[place + 1].task != row.task
            shown.add_row(label, *(Text(_shown(cell)) for cell in cells), end_section=last)
        parts.append(shown)
    return Group(*parts)


def _ours(table: SuiteTable) -> list[SuiteRow]:
    return [row for row in table.rows if row.model == OURS]


def _told(table: SuiteTable) -> list[str]:
    """What rows were measured on, and their notes: each once, with all rows that it holds for."""
    facts: dict[str, list[str]] = {}
    notes: dict[tuple[str, str], list[str]] = {}
    for row in _ours(table):
        facts.setdefault(f'{row.setting}, split {row.split}, {row.items}', []).append(f'{row.task} {row.metric}')
    for row in table.rows:
        if row.note and row.model not in notes.setdefault((row.task, row.note), []):
            notes[row.task, row.note].append(row.model)
    lines = [f'{", ".join(rows)}: {fact}' for fact, rows in facts.items()]
    return lines + [f'{", ".join(models)} on {task}: {note}' for (task, note), models in notes.items()]


def _numeric(table: SuiteTable) -> list[str]:
    controls = [table.control_label(name) for name in table.controls]
    return [*table.languages, MEAN_LABEL, 'chance', *controls, 'kept %']


def _columns(table: SuiteTable) -> dict[str, list[Any]]:
    """Name -> cells; numbers, None for what is absent, or text. Models and notes only if there is any to tell."""
    rows = table.rows
    columns: dict[str, list[Any]] = {'task': [row.task for row in rows], 'metric': [row.metric for row in rows]}
    if len(_ours(table)) < len(rows):
        columns['model'] = [row.model for row in rows]
    for name in ('setting', 'split', 'items'):
        columns[name] = [getattr(row, name) for row in rows]
    for language in table.languages:
        columns[language] = [row.scores.get(language) for row in rows]
    columns |= {MEAN_LABEL: [row.mean for row in rows], 'chance': [row.chance for row in rows]}
    for name in table.controls:
        columns[table.control_label(name)] = [row.controls.get(name) for row in rows]
    columns['kept %'] = [row.kept for row in rows]
    if any(row.note for row in rows):
        columns['notes'] = [row.note for row in rows]
    return columns


def _shown(cell: float | str | None) -> str:
    if cell is None:
        return ABSENT
    return cell if isinstance(cell, str) else f'{cell:.1f}'


def _markdown(text: str) -> str:
    return re.sub(r'([\\|*`<\[])', r'\\\1', ' '.join(text.split()))


def _latex(text: str) -> str:
    return ''.join(_LATEX.get(character, character) for character in text)
