"""A folder for the intermediate files of one conversion, made and removed by it."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from cli import CommandLineError

from rc3mm.datasets.shards.manifest import read_json, write_json
from rc3mm.utils.atomic import is_temporary

__all__ = ['WorkFolder', 'add_work_argument']

_NOTE = 'made_of.json'


def add_work_argument(parser: Any) -> None:
    """The argument that says where intermediate files go."""
    parser.add_argument(
        '--work',
        type=Path,
        metavar='FOLDER',
        help='where a folder OUT.work for intermediate files is made, and removed at the end (beside OUT)',
    )


class WorkFolder:
    """`<name of the set>.work`; a note in it tells which conversion it belongs to.

    Nothing is removed that the conversion has not made: a folder of this name without the note is refused.

    Args:
        args: the command line, with `out`, `overwrite` and `work`.
        made_of: what the set is made of.

    Attributes:
        path: the folder.
    """

    def __init__(self, args: argparse.Namespace, made_of: dict[str, Any]) -> None:
        out = args.out.absolute()
        self.path: Path = (args.work or out.parent) / f'{out.name}.work'
        self._made_of: dict[str, Any] = json.loads(json.dumps(made_of))  # as it will be read again
        self._overwrite: bool = args.overwrite

    def begin(self) -> Path:
        """Make the folder, or take it over from a run of the same conversion.

        Raises:
            CommandLineError: it belongs to another conversion, or to none.
        """
        earlier = self._read_note()
        if earlier is not None and earlier != self._made_of:
            if not self._overwrite:
                raise CommandLineError(
                    f'{self.path} was begun with other files or options; remove it, begin anew with --overwrite, or '
                    'name another folder with --work'
                )
            shutil.rmtree(self.path)
        elif earlier is None and self._holds_other_files():
            raise CommandLineError(
                f'{self.path} holds files that no conversion made; name another folder with --work, or move them'
            )
        self.path.mkdir(parents=True, exist_ok=True)
        for entry in list(self.path.iterdir()):
            if is_temporary(entry.name):  # half written when a run was killed
                entry.unlink()
        write_json(self.path / _NOTE, self._made_of)
        return self.path

    def remove(self) -> None:
        """Remove the folder, if it belongs to this conversion."""
        if self._read_note() == self._made_of:
            shutil.rmtree(self.path, ignore_errors=True)

    def _read_note(self) -> dict[str, Any] | None:
        note = self.path / _NOTE
        return read_json(note) if note.is_file() else None

    def _holds_other_files(self) -> bool:
        if not self.path.exists():
            return False
        return any(not is_temporary(entry.name, _NOTE) for entry in self.path.iterdir())
