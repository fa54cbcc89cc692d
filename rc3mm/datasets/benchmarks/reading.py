"""Annotation files of benchmarks, read whole or not at all: what is wrong is told with file, line and key.

A corpus may lose a few rows; a test set may not, or two numbers with the same name are of different tests.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rc3mm.datasets.corpora.lines import RowError, TextLines, decode_line
from rc3mm.datasets.shards.drops import DropReport

__all__ = ['AnnotationError', 'Entry', 'StrictReport', 'find_file', 'read_json', 'read_json_lines']

_ADVICE = 'Mend the file or fetch it again; no row of a benchmark is left out silently'
_SHOWN = 12  # names that a message lists

T = TypeVar('T')


class AnnotationError(ValueError):
    """An annotation file is not what it should be.

    Args:
        where: file, and line or place in it.
        fault: what is wrong there.
        advice: what to do about it.
    """

    def __init__(self, where: str, fault: str, advice: str = _ADVICE) -> None:
        super().__init__(f'{where}: {fault}. {advice}')
        self.where = where


class Entry:
    """A JSON object of an annotation file, whose values are asked for by key and type.

    Args:
        values: the object.
        where: file and line, for messages.

    Raises:
        AnnotationError: it is no JSON object.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise AnnotationError(where, f'expected a JSON object, found a {type(values).__name__}')
        self.values, self.where = values, where

    def text(self, key: str) -> str:
        """A text, possibly empty."""
        return self._typed(key, str, 'a text')

    def name(self, key: str) -> str:
        """An id: a text that is not empty, or a whole number, which is turned into text."""
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == '':
            raise self.error(f'the key {key!r} holds {_shown(value)}, expected an id: a text or a whole number')
        return str(value)

    def flag(self, key: str) -> bool:
        """true or false."""
        return self._typed(key, bool, 'true or false')

    def mapping(self, key: str) -> dict[str, Any]:
        """An object."""
        return self._typed(key, dict, 'an object')

    def one_of(self, key: str, choices: tuple[str, ...]) -> str:
        """One of some texts."""
        value = self.text(key)
        if value not in choices:
            raise self.error(f'the key {key!r} holds {_shown(value)}, expected one of {", ".join(map(repr, choices))}')
        return value

    def error(self, fault: str) -> AnnotationError:
        """An error that names this entry."""
        return AnnotationError(self.where, fault)

    def _typed(self, key: str, kind: Callable[..., T], what: str) -> T:
        value = self._value(key)
        if type(value) is not kind:
            raise self.error(f'the key {key!r} holds {_shown(value)}, expected {what}')
        return value

    def _value(self, key: str) -> Any:
        if key not in self.values:
            known = ', '.join(list(self.values)[:_SHOWN])
            raise self.error(f'the key {key!r} is missing; the keys there are {known or "none"}')
        return self.values[key]


class StrictReport(DropReport):
    """For readers of corpora that count what they leave out: here nothing may be left out."""

    def fault(self, reason: str, where: str, detail: str = '', count: int = 1) -> None:
        """Refuse what a corpus would only count.

        Raises:
            AnnotationError: always.
        """
        raise AnnotationError(where, f'{reason}: {detail}' if detail else reason)

    def rule(self, reason: str, where: str = '', detail: str = '', count: int = 1) -> None:
        """As `fault`."""
        self.fault(reason, where, detail, count)


def read_json_lines(path: Path) -> Iterator[Entry]:
    """The objects of a file with one a line, gzip or not; lines without any character are passed over.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a line is no UTF-8, no JSON, or no object.
    """
    lines = TextLines(path)
    for line in lines:
        if line == b'':
            continue
        where = f'{path}, line {lines.place[0]}'
        try:
            text = decode_line(line)
        except RowError as error:
            raise AnnotationError(where, str(error)) from error
        yield Entry(_parse(text, where), where)


def read_json(path: Path) -> Any:
    """What a JSON file holds; a key that comes twice in an object, which would hide an entry, is refused.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: it is no UTF-8 or no JSON.
    """
    try:
        text = path.read_bytes().decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise AnnotationError(str(path), f'bad UTF-8: {error.reason} at byte {error.start}') from error
    return _parse(text, str(path))


def find_file(folder: Path, *names: str) -> Path:
    """The first of some files that is there.

    Raises:
        FileNotFoundError: none is; the message says what the folder has instead.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    place = (folder / names[0]).parent
    there = sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []
    has = f'has {", ".join(there[:_SHOWN])}{", ..." * (len(there) > _SHOWN)}' if there else 'is empty or missing'
    others = f' (nor {", ".join(names[1:])})' if names[1:] else ''
    raise FileNotFoundError(f'there is no {folder / names[0]}{others}; the folder {place} {has}')


def _parse(text: str, where: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            raise AnnotationError(where, f'the key {next(key for key in keys if keys.count(key) > 1)!r} comes twice')
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (json.JSONDecodeError, RecursionError) as error:
        raise AnnotationError(where, f'not JSON ({error})') from error


def _shown(value: Any) -> str:
    return f'{type(value).__name__} {value!r}'[:80]
