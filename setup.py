"""Packaging of rc3mm; dependencies live in requirements/*.txt, the settings of tools in pyproject.toml.

`mim` and users of an installed package look for `tools/`, `configs/` and `model-index.yml` under
`rc3mm/.mim`. A wheel gets real copies, written into the build folder only, so that the source tree stays
clean. An editable install gets symlinks in the source tree (git ignores them). Both are decided in
`build_py`, the command that every way of building goes through, the `editable_wheel` of PEP 660 included;
looking for command names in `sys.argv` misses that one.
"""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_CONTENT = ('tools', 'configs', 'model-index.yml')
IGNORED = shutil.ignore_patterns('__pycache__', '*.py[co]')
PACKAGE_DATA = (
    'py.typed',
    'datasets/emoji/data/**/*',
    'datasets/emoji/tokenizer/**/*',
    'models/detectors/weights/*',
    'visualization/fonts/**/*',
)


def read_version() -> str:
    """Return the version written in rc3mm/version.py, without importing the package."""
    text = (ROOT / 'rc3mm' / 'version.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'", text, flags=re.MULTILINE)
    if match is None:
        raise RuntimeError('rc3mm/version.py defines no __version__')
    return match.group(1)


def read_requirements(name: str) -> list[str]:
    """Return the requirements of requirements/<name>.txt, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    stripped = (line.split('#', 1)[0].strip() for line in lines)
    return [line for line in stripped if line]


def read_extras() -> dict[str, list[str]]:
    """Return the extras, one for each optional requirements file, and `all` of them together."""
    extras = {name: read_requirements(name) for name in ('detector', 'optional', 'tests', 'docs')}
    extras['all'] = sorted({line for lines in extras.values() for line in lines})
    return extras


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORED)
    else:
        shutil.copy2(source, target)


def add_mim(mim: Path, link: bool) -> None:
    """Fill the folder `mim` with the content for `mim`, as relative symlinks or as copies."""
    remove(mim)
    mim.mkdir(parents=True)
    for name in MIM_CONTENT:
        source, target = ROOT / name, mim / name
        if not source.exists():
            continue
        if link:
            try:
                target.symlink_to(os.path.relpath(source, mim), target_is_directory=source.is_dir())
                continue
            except OSError:  # a file system or an account without symlinks
                pass
        copy(source, target)


class BuildWithMim(build_py):
    """`build_py` that adds `rc3mm/.mim`."""

    def run(self) -> None:
        """Build the modules and data, then link or copy the content for `mim`."""
        super().run()
        if self.editable_mode:
            add_mim(ROOT / 'rc3mm' / '.mim', link=True)
        else:
            add_mim(Path(self.build_lib) / 'rc3mm' / '.mim', link=False)


def make_build_base() -> str:
    """Return a build folder outside the source tree: a stale one slips old modules into the next wheel."""
    folder = tempfile.mkdtemp(prefix='rc3mm-build-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


readme = ROOT / 'README.md'

setup(
    name='rc3mm',
    version=read_version(),
    description='Regularised contrastive cross-lingual cross-modal pre-training (RC3) on MMEngine',
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown',
    author='The rc3mm authors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='vision-language, multilingual, contrastive learning, retrieval, pre-training',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Typing :: Typed',
    ],
    python_requires='>=3.11',
    packages=find_packages(include=['rc3mm', 'rc3mm.*']),
    package_data={'rc3mm': list(PACKAGE_DATA)},
    include_package_data=False,
    install_requires=read_requirements('runtime'),
    extras_require=read_extras(),
    cmdclass={'build_py': BuildWithMim},
    options={'build': {'build_base': make_build_base()}},
    zip_safe=False,
)
