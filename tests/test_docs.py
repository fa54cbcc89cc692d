"""The documents' commands name files that exist and options that they take; links lead somewhere; examples run."""

import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import WarmLauncher

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md'))]


def commands() -> list[tuple[str, str]]:
    """(document, command) of all bash blocks, continued lines joined, comments cut."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r'```bash\n(.*?)```', document.read_text(encoding='utf-8'), flags=re.S):
            for line in block.replace('\\\n', ' ').splitlines():
                command = line.split(' # ')[0].strip()
                if command and not command.startswith('#'):
                    found.append((document.name, command))
    return found


@pytest.fixture(scope='session')
def help_text(warm: WarmLauncher) -> Callable[[str], str]:
    """What a script says of itself."""

    @cache
    def ask(script: str) -> str:
        done = warm(script.removeprefix('tools/'), '--help')
        assert done.code == 0, done.output
        return done.output

    return ask


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 10


@pytest.mark.parametrize(('document', 'command'), commands(), ids=lambda text: str(text)[:60])
def test_commands_name_what_exists(document: str, command: str, help_text: Callable[[str], str]) -> None:
    words = [word for word in shlex.split(command) if not re.fullmatch(r'[A-Z_]+=\S*', word)]
    if words[0] == 'make':
        targets = re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), flags=re.M)
        assert all(word in targets or '=' in word for word in words[1:]), command
    for word in words:
        if re.match(r'(tools|configs|rc3mm|docs|requirements|tests)/', word):
            assert (ROOT / word.split('::')[0]).exists(), f'{document}: {word} does not exist'
    scripts = [word for word in words if re.fullmatch(r'tools/\S+\.py', word)]
    for option in (word.split('=')[0] for word in words if word.startswith('--')):
        for script in scripts:
            assert option in help_text(script), f'{document}: {script} takes no {option}'


@pytest.mark.parametrize('document', ['docs/emoji_scenes.md'])  # others show parts of configs and of classes
def test_examples_run(document: str) -> None:
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / document).read_text(encoding='utf-8'), flags=re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, document, 'exec'), {})


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', document.read_text(encoding='utf-8')):
        assert (document.parent / target).exists(), f'{document.name} links to {target}'


@pytest.mark.parametrize('document', [*DOCUMENTS, ROOT / 'CHANGELOG.md'], ids=lambda path: path.name)
def test_no_placeholder_is_left(document: Path) -> None:
    assert not re.search(r'TODO|FIXME|XXX|QUICKSTART_', document.read_text(encoding='utf-8'))
