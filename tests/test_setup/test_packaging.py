"""What ends up in a wheel, a source distribution and an editable install; what the pins look like."""

import ast
import importlib.metadata
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement

import rc3mm.version

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = (
    *('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'model-index.yml'),
    *('requirements', 'rc3mm', 'tools', 'configs'),
)
MIM_CONTENT = ('tools', 'configs', 'model-index.yml')
SETS = ('build', 'runtime', 'detector', 'optional', 'tests', 'docs')
PIN = re.compile(r'^(?P<requirement>\S+)  # (?P<reason>\S.+)$')
# Where the name of a module differs from the name of what is installed.
DISTRIBUTIONS = {
    'huggingface_hub': 'huggingface-hub',
    'PIL': 'pillow',
    'cv2': 'opencv-python-headless',
    'mmcv': 'onedl-mmcv',
    'mmdet': 'onedl-mmdetection',
    'mmengine': 'onedl-mmengine',
    'sentence_transformers': 'sentence-transformers',
    'yaml': 'pyyaml',
}


def list_files(folder: Path) -> set[str]:
    """Return the relative paths of the files in a folder, without caches and the content linked for mim."""
    skipped = {'__pycache__', '.mim'}
    files = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return {path.as_posix() for path in files if not skipped & set(path.parts)}


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command and return its output; on failure the assertion shows what it said."""
    done = subprocess.run([*map(str, command)], cwd=cwd, env=variables or None, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(tree: Path, hook: str) -> Path:
    """Call one hook of the build backend in a tree and return what it built."""
    out = tree.parent / hook
    out.mkdir()
    code = f'import sys; from setuptools import build_meta; build_meta.{hook}(sys.argv[1])'
    run(sys.executable, '-c', code, out, cwd=tree)
    return next(out.iterdir())


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, to build in."""
    copy = tmp_path_factory.mktemp('packaging') / 'tree'
    copy.mkdir()
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope='module')
def setup_namespace() -> dict[str, Any]:
    """The functions of setup.py, with the call of `setup` recorded instead of made."""
    with pytest.MonkeyPatch.context() as patch:
        called: dict[str, Any] = {}
        patch.setattr(setuptools, 'setup', called.update)
        namespace = runpy.run_path(str(ROOT / 'setup.py'))
    return {**namespace, 'called': called}


def test_wheel_holds_modules_data_and_mim_and_leaves_the_tree_clean(tree: Path) -> None:
    before = list_files(tree)
    with zipfile.ZipFile(build(tree, 'build_wheel')) as wheel:
        members = set(wheel.namelist())
        links = [info.filename for info in wheel.infolist() if (info.external_attr >> 16) & 0o170000 == 0o120000]
    expected = {f'rc3mm/{name}' for name in list_files(tree / 'rc3mm')}
    expected |= {f'rc3mm/.mim/{folder}/{name}' for folder in MIM_CONTENT for name in list_files(tree / folder)}
    assert expected | {'rc3mm/.mim/model-index.yml', 'rc3mm/py.typed'} <= members
    assert not links
    assert {name.split('/')[0] for name in members} == {
        'rc3mm',
        f'rc3mm-{rc3mm.version.__version__}.dist-info',
    }
    assert {name for name in list_files(tree) - before if '.egg-info/' not in name} == set()
    assert not (tree / 'rc3mm' / '.mim').exists()


def test_source_distribution_can_build_the_wheel(tree: Path) -> None:
    with tarfile.open(build(tree, 'build_sdist')) as archive:
        members = {name.partition('/')[2] for name in archive.getnames()}
    for name in PACKAGED:
        path = tree / name
        wanted = {f'{name}/{file}' for file in list_files(path)} if path.is_dir() else {name}
        assert wanted <= members
    assert not any('.mim' in name for name in members)


def test_editable_install_exposes_mim(tree: Path, tmp_path: Path) -> None:
    """A real `pip install --editable` into a new environment that borrows pip and setuptools from here."""
    borrowed = tmp_path / 'borrowed'
    borrowed.mkdir()
    site = Path(setuptools.__file__).parents[1]
    for pattern in ('pip*', 'setuptools*', 'pkg_resources', '_distutils_hack'):
        for path in site.glob(pattern):
            (borrowed / path.name).symlink_to(path)
    run(sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'venv', cwd=tmp_path)
    python = tmp_path / 'venv' / 'bin' / 'python'
    flags = ('--no-deps', '--no-index', '--no-build-isolation')
    run(python, '-m', 'pip', 'install', *flags, '--editable', tree, cwd=tmp_path, PYTHONPATH=str(borrowed))

    mim = Path(run(python, '-c', 'import rc3mm; print(rc3mm.__path__[0])', cwd=tmp_path).strip()) / '.mim'
    assert mim == tree / 'rc3mm' / '.mim'
    assert {path.name for path in mim.iterdir()} == set(MIM_CONTENT)
    assert all(path.is_symlink() and path.resolve() == tree / path.name for path in mim.iterdir())
    assert (mim / 'tools' / 'misc' / 'setup_env.py').is_file()


def test_copies_stand_in_where_symlinks_fail(
    setup_namespace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError('no symlinks here')

    monkeypatch.setattr(Path, 'symlink_to', refuse)
    for _ in range(2):  # the second time over the first
        setup_namespace['add_mim'](tmp_path / '.mim', link=True)
    assert list_files(tmp_path / '.mim' / 'tools') == list_files(ROOT / 'tools')
    assert not (tmp_path / '.mim' / 'tools').is_symlink()


def test_setup_reads_version_and_requirements(setup_namespace: dict[str, Any]) -> None:
    called = setup_namespace['called']
    assert called['version'] == rc3mm.version.__version__
    assert any(line.startswith('onedl-mmengine') for line in called['install_requires'])
    extras = called['extras_require']
    assert set(extras) == {'detector', 'optional', 'tests', 'docs', 'all'}
    assert set(extras['all']) == {line for name, lines in extras.items() if name != 'all' for line in lines}
    assert all(Requirement(line) for line in [*called['install_requires'], *extras['all']])


# ------------------------------------------------------------------------------------------------- the pins


def read_pins(name: str) -> list[tuple[Requirement, str]]:
    """Return requirement and reason of every line of a requirements file; a line without both fails."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    matches = [(line, PIN.match(line)) for line in lines if line and not line.startswith('#')]
    assert all(match for _, match in matches), [line for line, match in matches if match is None]
    return [(Requirement(match['requirement']), match['reason']) for _, match in matches if match]


@pytest.mark.parametrize('name', SETS)
def test_every_pin_has_a_range_and_a_reason(name: str) -> None:
    assert all(requirement.specifier for requirement, _ in read_pins(name))


@pytest.mark.parametrize(
    'package', ['torch', 'torchvision', 'onedl-mmengine', 'transformers', 'tokenizers', 'timm', 'setuptools']
)
def test_moving_interfaces_have_an_upper_bound(package: str) -> None:
    pins = [pin for name in SETS for pin, _ in read_pins(name) if pin.name == package]
    assert len(pins) == 1
    assert any(bound.operator in ('<', '==') for bound in pins[0].specifier)


@pytest.mark.parametrize('package', ['ruff', 'mypy', 'onedl-mmcv', 'onedl-mmdetection', 'opencv-python-headless'])
def test_exact_pins(package: str) -> None:
    pins = [pin for name in SETS for pin, _ in read_pins(name) if pin.name == package]
    assert [bound.operator for bound in pins[0].specifier] == ['==']


@pytest.mark.parametrize('name', ['build', 'runtime', 'tests'])
def test_this_environment_keeps_the_pins(name: str) -> None:
    found = {pin: importlib.metadata.version(pin.name) for pin, _ in read_pins(name)}
    assert not {str(pin): version for pin, version in found.items() if version not in pin.specifier}


def imported_packages(source: str) -> set[str]:
    """Return the top-level names that a module imports absolutely."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or '' for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition('.')[0] for name in names}


def test_every_import_of_the_package_is_a_declared_requirement() -> None:
    sources = [path for path in (ROOT / 'rc3mm').rglob('*.py') if '.mim' not in path.parts]
    imported = {name for path in sources for name in imported_packages(path.read_text(encoding='utf-8'))}
    wanted = {DISTRIBUTIONS.get(name, name) for name in imported - set(sys.stdlib_module_names) - {'rc3mm'}}
    declared = {pin.name for name in ('runtime', 'detector', 'optional') for pin, _ in read_pins(name)}
    assert wanted <= declared


@pytest.mark.parametrize(
    'name',
    [
        *(f'requirements/{name}.txt' for name in SETS),
        *('setup.py', 'pyproject.toml', 'Makefile', '.ci/run', '.pre-commit-config.yaml'),
        *('tools/misc/setup_env.py', 'tools/misc/env_state.py'),
    ],
)
def test_no_package_index_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding='utf-8')
    assert not re.findall(r'https?://\S+|--(?:extra-)?index-url|--find-links|--trusted-host', text)
