"""Hold the floors of the code: who may import whom, what an `__init__.py` may hold, how long a file may be.

Everything is read from the source with `ast`; nothing is imported, except in the two tests of light imports.
"""

import ast
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS: tuple[tuple[str, ...], ...] = (
    ('version',),  # one constant: part of the ground floor, which its other rooms may read
    ('registry', 'utils'),
    ('structures', 'evaluation.functional', 'models.layers', 'models.losses', 'relevance'),
    (
        'models.encoders',
        'models.detectors',
        'models.objectives',
        'datasets',
        'evaluation.metrics',
        'visualization',
    ),
    ('models.backbones',),
    ('models.pretrainers', 'models.tasks', 'engine'),
    ('apis',),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
DETECTOR_ROOM = 'models.detectors'
DETECTOR_PACKAGES = {'mmcv', 'mmdet'}
LONGEST_FILE, LONGEST_MEDIAN = 400, 150


class Import(NamedTuple):
    """One import statement's target, as a dotted name."""

    target: str
    line: int
    runtime: bool  # False under `if TYPE_CHECKING:`


class Source(NamedTuple):
    """A module of the package, read but not run."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_init(self) -> bool:
        return self.path.name == '__init__.py'


# ------------------------------------------------------------------------------------------------- reading


def read_package(package: Path) -> dict[str, Source]:
    """Return module name -> source of every Python file of a package."""
    sources = {}
    for path in sorted(package.rglob('*.py')):
        parts = path.relative_to(package.parent).with_suffix('').parts
        if '.mim' in parts:
            continue
        name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
        sources[name] = Source(name, path, ast.parse(path.read_text(encoding='utf-8')))
    return sources


def read_imports(source: Source, names: set[str]) -> Iterator[Import]:
    """Yield what a module imports, wherever the statement stands; `names` are the package's modules."""
    typing_only = {
        id(child)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(source.tree):
        runtime = id(node) not in typing_only
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, runtime) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            for alias in node.names:
                member = f'{base}.{alias.name}'
                yield Import(member if member in names else base, node.lineno, runtime)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ''
    package = source.name.split('.') if source.is_init else source.name.split('.')[:-1]
    anchor = package[: len(package) - node.level + 1]
    return '.'.join([*anchor, *([node.module] if node.module else [])])


def room_of(name: str) -> str | None:
    """Return the room that a module lies in: None for the package itself and for packages of rooms."""
    inner = name.partition('.')[2]
    for room in FLOOR_OF:
        if inner == room or inner.startswith(f'{room}.'):
            return room
    return None


# --------------------------------------------------------------------------------------------------- rules


def find_homeless(sources: dict[str, Source]) -> list[str]:
    """Return the modules that lie in no room and are not the `__init__` of a package of rooms."""
    return [name for name, source in sources.items() if room_of(name) is None and not source.is_init]


def find_floor_violations(sources: dict[str, Source]) -> list[str]:
    """Return the imports of a room from its own floor, a higher one, or a package that mixes floors."""
    names, root = set(sources), min(sources, key=len)
    found = []
    for source in sources.values():
        room = room_of(source.name)
        for item in read_imports(source, names):
            if item.target.partition('.')[0] != root or (room is None and source.is_init):
                continue
            target = room_of(item.target)
            if target == room or item.target == root:
                continue
            if target is None or room is None or FLOOR_OF[target] >= FLOOR_OF[room]:
                found.append(f'{source.path}:{item.line}: {source.name} imports {item.target}')
    return found


def find_foreign_reexports(sources: dict[str, Source]) -> list[str]:
    """Return what the `__init__` of a package of rooms imports from outside its own subtree."""
    names, root = set(sources), min(sources, key=len)
    return [
        f'{source.path}:{item.line}: {source.name} re-exports {item.target}'
        for source in sources.values()
        if source.is_init and room_of(source.name) is None
        for item in read_imports(source, names)
        if item.target.partition('.')[0] == root and not item.target.startswith(f'{source.name}.')
    ]


def find_cycles(sources: dict[str, Source]) -> list[str]:
    """Return the import cycles among modules; imports for type checkers do not count."""
    names = set(sources)
    graph = {
        name: sorted({i.target for i in read_imports(source, names) if i.runtime and i.target in names} - {name})
        for name, source in sources.items()
    }
    cycles: list[str] = []
    state: dict[str, int] = {}

    def visit(name: str, path: list[str]) -> None:
        state[name] = 1
        for target in graph[name]:
            if state.get(target) == 1:
                cycles.append(' -> '.join([*path[path.index(target) :], target]))
            elif target not in state:
                visit(target, [*path, target])
        state[name] = 2

    for name in graph:
        if name not in state:
            visit(name, [name])
    return cycles


def find_init_logic(sources: dict[str, Source]) -> list[str]:
    """Return what stands in an `__init__.py` and is no docstring, import or literal `__all__`."""
    return [
        f'{source.path}:{node.lineno}: {ast.unparse(node).splitlines()[0]}'
        for source in sources.values()
        if source.is_init
        for node in source.tree.body
        if not _is_declaration(node)
    ]


def _is_declaration(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        is_all = len(node.targets) == 1 and ast.unparse(node.targets[0]) == '__all__'
        literal = isinstance(node.value, ast.List | ast.Tuple)
        return is_all and literal and all(isinstance(item, ast.Constant) for item in node.value.elts)
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or isinstance(node, ast.Import | ast.ImportFrom)


def find_detector_imports(sources: dict[str, Source]) -> list[str]:
    """Return the imports of mmdet or mmcv outside the one room that may have them."""
    names = set(sources)
    return [
        f'{source.path}:{item.line}: {source.name} imports {item.target}'
        for source in sources.values()
        if room_of(source.name) != DETECTOR_ROOM
        for item in read_imports(source, names)
        if item.target.partition('.')[0] in DETECTOR_PACKAGES
    ]


def count_lines(folder: Path) -> dict[Path, int]:
    """Return path -> number of lines of the Python files in a folder, without `__init__.py`."""
    files = [path for path in folder.rglob('*.py') if path.name != '__init__.py' and '.mim' not in path.parts]
    return {path: len(path.read_text(encoding='utf-8').splitlines()) for path in files}


RULES = {
    'every module lies in a room': find_homeless,
    'rooms import lower floors only': find_floor_violations,
    'packages of rooms re-export their own members only': find_foreign_reexports,
    'no import cycle': find_cycles,
    'no logic in __init__.py': find_init_logic,
    'mmdet and mmcv in models/detectors only': find_detector_imports,
}


# --------------------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize('rule', RULES)
def test_package_keeps_the_rule(rule: str) -> None:
    violations = RULES[rule](read_package(ROOT / 'rc3mm'))
    assert not violations, f'{rule}:\n' + '\n'.join(violations)


@pytest.mark.parametrize('folder', ['rc3mm', 'tools', 'tests', 'configs'])
def test_no_file_is_two_rooms_in_one(folder: str) -> None:
    too_long = {str(path): lines for path, lines in count_lines(ROOT / folder).items() if lines > LONGEST_FILE}
    assert not too_long


def test_the_median_file_is_short() -> None:
    assert statistics.median(count_lines(ROOT / 'rc3mm').values()) <= LONGEST_MEDIAN


@pytest.mark.parametrize('module', ['rc3mm', 'rc3mm.registry'])
def test_imports_without_detector_packages(module: str) -> None:
    code = f"""
        import sys

        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition('.')[0] in ('mmcv', 'mmdet', 'cv2'):
                    raise ModuleNotFoundError(f'{{name}} is blocked', name=name)

        sys.meta_path.insert(0, Blocker())
        import {module}
        try:
            import cv2
        except ModuleNotFoundError:
            print('blocked and imported')
    """
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.stdout.strip() == 'blocked and imported', done.stderr


# ------------------------------------------------------------- the rules really fail, shown on a made tree

SOUND = {
    '__init__.py': "'''Docstring.'''\n\nfrom rc3mm.version import V\n\n__all__ = ['V']\n",
    'version.py': 'V = 1\n',
    'registry.py': 'import mmengine\n',
    'utils/__init__.py': '',
    'models/__init__.py': 'from . import losses\nfrom .pretrainers.rc3 import RC3\n',
    'models/losses/__init__.py': 'from .contrastive import info_nce\n',
    'models/losses/contrastive.py': 'from rc3mm.utils import x\nfrom .other import y\n',
    'models/losses/other.py': 'import torch\n',
    'models/detectors/__init__.py': '',
    'models/detectors/roi.py': 'def f():\n    import mmdet.apis\n',
    'models/pretrainers/__init__.py': '',
    'models/pretrainers/rc3.py': 'from rc3mm.models.losses import x\nfrom rc3mm.registry import MODELS\n',
    'datasets/__init__.py': '',
    'apis/__init__.py': 'from rc3mm.models.pretrainers import RC3\n',
}
VIOLATIONS = {
    'a lower floor imports a higher one': (
        'rooms import lower floors only',
        {'models/losses/bad.py': 'from rc3mm.models.pretrainers.rc3 import RC3\n'},
    ),
    'a relative import climbs': (
        'rooms import lower floors only',
        {'models/losses/bad.py': 'from ..pretrainers import rc3\n'},
    ),
    'a sibling room on the same floor': (
        'rooms import lower floors only',
        {'datasets/bad.py': 'def f():\n    import rc3mm.models.detectors.roi\n'},
    ),
    'two rooms of the ground floor': (
        'rooms import lower floors only',
        {'utils/bad.py': 'from rc3mm import registry\n'},
    ),
    'a package that mixes floors': (
        'rooms import lower floors only',
        {'models/losses/bad.py': 'from rc3mm.models import RC3\n'},
    ),
    'the __init__ of a room is no exception': (
        'rooms import lower floors only',
        {'utils/__init__.py': 'from rc3mm.apis import x\n'},
    ),
    'an import for type checkers only': (
        'rooms import lower floors only',
        {'utils/bad.py': 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import rc3mm.apis\n'},
    ),
    'a foreign re-export': (
        'packages of rooms re-export their own members only',
        {'models/__init__.py': 'from rc3mm.datasets import x\n'},
    ),
    'a room that nobody planned': ('every module lies in a room', {'models/helpers.py': ''}),
    'a cycle inside a room': (
        'no import cycle',
        {'models/losses/other.py': 'from rc3mm.models.losses.contrastive import z\n'},
    ),
    'a cycle hidden in a function': (
        'no import cycle',
        {'models/losses/other.py': 'def f():\n    from . import contrastive\n'},
    ),
    'logic in __init__': ('no logic in __init__.py', {'utils/__init__.py': 'x = 1\n'}),
    'a computed __all__': ('no logic in __init__.py', {'utils/__init__.py': '__all__ = sorted(["a"])\n'}),
    'mmcv in the wrong room': (
        'mmdet and mmcv in models/detectors only',
        {'datasets/bad.py': 'def f():\n    from mmcv.ops import nms\n'},
    ),
}


def make_tree(folder: Path, files: dict[str, str]) -> dict[str, Source]:
    """Write a small package and read it."""
    for name, text in files.items():
        path = folder / 'rc3mm' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    return read_package(folder / 'rc3mm')


@pytest.mark.parametrize('rule', RULES)
def test_sound_tree_passes(rule: str, tmp_path: Path) -> None:
    assert RULES[rule](make_tree(tmp_path, SOUND)) == []


@pytest.mark.parametrize('case', VIOLATIONS)
def test_violation_is_found(case: str, tmp_path: Path) -> None:
    rule, files = VIOLATIONS[case]
    sources = make_tree(tmp_path, {**SOUND, **files})
    broken = {name for name, find in RULES.items() if find(sources)}
    assert broken == {rule}


def test_cycles_for_type_checkers_are_allowed(tmp_path: Path) -> None:
    text = 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .contrastive import z\n'
    assert find_cycles(make_tree(tmp_path, {**SOUND, 'models/losses/other.py': text})) == []
