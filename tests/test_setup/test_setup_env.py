"""The set-up script: what it takes for healthy, what it mends, and what it says to a person.

No test here touches the real environment: every one works on a folder of its own, named in VENV.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools' / 'misc' / 'setup_env.py'


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """Where the environment of the test lies; not there yet."""
    return tmp_path / 'project' / '.venv'


@pytest.fixture
def env(venv: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, for a small project of its own."""
    project = venv.parent
    (project / 'requirements').mkdir(parents=True)
    (project / 'requirements' / 'runtime.txt').write_text('torch>=2,<3  # why\nnumpy>=2\n', encoding='utf-8')
    (project / 'requirements' / 'detector.txt').write_text(
        '# what\nonedl-mmcv==2.3.6  # no-deps: why\naddict>=2  # mmcv\n', encoding='utf-8'
    )
    (project / 'setup.py').write_text('', encoding='utf-8')
    monkeypatch.setenv('VENV', str(venv))
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    for name in ('env_state', 'setup_env'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    state, script = importlib.import_module('env_state'), importlib.import_module('setup_env')
    for module in (state, script):
        monkeypatch.setattr(module, 'ROOT', project)
    return script


@pytest.fixture
def state(env: ModuleType) -> ModuleType:
    """The module that judges an environment."""
    return sys.modules['env_state']


@pytest.fixture
def healthy(state: ModuleType, venv: Path) -> Path:
    """A real environment with one package, set up and remembered; returns its site-packages."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(venv)], check=True)
    site: Path = state.site_packages()
    add_package(site, 'Nice_Package', '1.0')
    state.write_stamp()
    assert state.is_up_to_date()
    return site


def add_package(site: Path, name: str, version: str) -> Path:
    """Lay a package with its records into a site-packages folder; return its module."""
    module, info = site / name.lower() / '__init__.py', site / f'{name}-{version}.dist-info'
    module.parent.mkdir(parents=True)
    info.mkdir()
    module.write_text('x = 1\n', encoding='utf-8')
    (info / 'METADATA').write_text(f'Name: {name}\n', encoding='utf-8')
    record = f'{name.lower()}/__init__.py,,6\n{name.lower()}/gone.pyc,,9\n{info.name}/RECORD,,\n'
    (info / 'RECORD').write_text(record, encoding='utf-8')
    return module


def run_script(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the real script as a person would."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60)


def write_executable(path: Path, text: str) -> Path:
    """Write a shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n', encoding='utf-8')
    path.chmod(0o755)
    return path


# --------------------------------------------------------------------------------- what is taken for healthy


def test_requirements_are_read_with_their_mark(state: ModuleType) -> None:
    assert state.read_requirements('detector') == (['addict>=2'], ['onedl-mmcv==2.3.6'])


def test_real_requirements_mark_what_would_bring_another_opencv(
    state: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, 'ROOT', ROOT)
    no_deps = [line.split('==')[0] for line in state.read_requirements('detector')[1]]
    assert no_deps == ['onedl-mmcv', 'onedl-mmdetection', 'imaug']


def test_fingerprint_follows_what_decides_the_installation(state: ModuleType, venv: Path) -> None:
    first = state.fingerprint('3.11.7')
    (venv.parent / 'README.md').write_text('other', encoding='utf-8')
    assert state.fingerprint('3.11.7') == first
    assert state.fingerprint('3.12.0') != first
    seen = {first}
    names = ('requirements/runtime.txt', 'requirements/docs.txt', 'setup.py', 'tools/misc/setup_env.py')
    for name in names:
        path = venv.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('changed', encoding='utf-8')
        seen.add(state.fingerprint('3.11.7'))
    assert len(seen) == 5


@pytest.mark.parametrize(
    'harm',
    [
        'file lost',
        'file truncated',
        'package lost',
        'version changed',
        'half removed',
        'no records',
        'no stamp',
        'requirements changed',
        'stamp cut off',
        'interpreter lost',
        'moved',
    ],
)
def test_harm_is_noticed(harm: str, state: ModuleType, healthy: Path, venv: Path) -> None:
    module, info = healthy / 'nice_package' / '__init__.py', healthy / 'Nice_Package-1.0.dist-info'
    match harm:
        case 'file lost':
            module.unlink()
        case 'file truncated':
            module.write_text('', encoding='utf-8')
        case 'package lost':
            for path in info.iterdir():
                path.unlink()
            info.rmdir()
        case 'version changed':
            info.rename(healthy / 'Nice_Package-1.1.dist-info')
        case 'half removed':
            (healthy / '~ice_package').mkdir()
        case 'no records':
            (info / 'RECORD').unlink()
        case 'no stamp':
            state.STAMP.unlink()
        case 'requirements changed':
            (venv.parent / 'requirements' / 'runtime.txt').write_text('torch>=3\n', encoding='utf-8')
        case 'stamp cut off':
            state.STAMP.write_text('{"venv": ', encoding='utf-8')
        case 'interpreter lost':
            state.PYTHON.unlink()
        case 'moved':
            state.STAMP.write_text(state.STAMP.read_text().replace(str(venv), '/elsewhere'), encoding='utf-8')
    assert not state.is_up_to_date()


def test_more_packages_than_remembered_are_no_harm(state: ModuleType, healthy: Path) -> None:
    add_package(healthy, 'another', '2.0')
    assert state.is_up_to_date()


def test_damage_is_named(state: ModuleType, healthy: Path) -> None:
    assert state.damaged_packages(healthy) == []
    (healthy / 'nice_package' / '__init__.py').unlink()
    assert state.damaged_packages(healthy) == ['nice-package']


def test_reasons_to_make_an_environment_anew(state: ModuleType, venv: Path) -> None:
    assert state.why_unusable() == 'there is none yet'
    venv.mkdir()
    assert state.why_unusable() == 'it has no working interpreter'
    write_executable(state.PYTHON, 'echo 3.9.1')
    assert state.why_unusable() == 'it runs Python 3.9.1'
    write_executable(state.PYTHON, 'echo 3.12.1')
    assert state.why_unusable() == ''
    config = venv / 'pyvenv.cfg'
    config.write_text(f'command = /bin/python3 -m venv {venv}\n', encoding='utf-8')
    assert state.why_unusable() == ''
    config.write_text('command = /bin/python3 -m venv --clear /old/place/.venv\n', encoding='utf-8')
    assert '/old/place/.venv' in state.why_unusable()


# -------------------------------------------------------------------------------------------- what is mended


def test_mend_removes_what_is_harmed_or_in_the_way(
    env: ModuleType, healthy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(env, 'pip', lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(env, 'works', lambda code: True)
    add_package(healthy, 'opencv_python_headless', '5.0')
    env.mend(healthy)
    assert calls == []
    add_package(healthy, 'opencv_python', '5.0')
    (healthy / 'nice_package' / '__init__.py').unlink()
    (healthy / '~orch').mkdir()
    (healthy / 'half-1.0.dist-info').mkdir()
    env.mend(healthy)
    assert calls == [('uninstall', '--yes', 'nice-package', 'opencv-python', 'opencv-python-headless')]
    assert not (healthy / '~orch').exists()
    assert not (healthy / 'half-1.0.dist-info').exists()


def test_mend_brings_pip_back(env: ModuleType, healthy: Path) -> None:
    add_package(healthy, 'pip', '1.0')
    assert not env.works('import pip._internal.cli.main')
    env.mend(healthy)
    assert env.works('import pip._internal.cli.main')
    assert not (healthy / 'pip-1.0.dist-info').exists()


def test_environment_is_made_adopted_and_made_anew(
    env: ModuleType, state: ModuleType, venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, 'mend', lambda site: None)
    python = str(write_executable(tmp_path / 'python-without-pip', f'exec {sys.executable} "$@" --without-pip'))
    env.make_environment(python)
    assert state.site_packages().is_dir()
    state.write_stamp()
    env.make_environment(python)
    assert not state.STAMP.exists(), 'no stamp while things are being changed'
    (venv / 'mine').write_text('', encoding='utf-8')
    env.make_environment(python)
    assert (venv / 'mine').exists(), 'a usable environment is adopted'
    state.PYTHON.unlink()
    env.make_environment(python)
    assert env.works('import json')
    assert not (venv / 'mine').exists()


def test_a_folder_that_is_no_environment_is_left_alone(
    env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / 'thesis.tex').write_text('years of work', encoding='utf-8')
    for module in (env, sys.modules['env_state']):
        monkeypatch.setattr(module, 'VENV', tmp_path)
        monkeypatch.setattr(module, 'PYTHON', tmp_path / 'bin' / 'python')
    with pytest.raises(env.SetupError, match='is no virtual environment'):
        env.make_environment(sys.executable)
    assert (tmp_path / 'thesis.tex').exists()


@pytest.mark.parametrize('operators_run', [True, False])
def test_mmcv_without_operators_is_rebuilt(
    operators_run: bool, env: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[tuple[str, ...], dict[str, str]]] = []
    monkeypatch.setattr(env, 'pip', lambda *arguments, env: calls.append((arguments, env)))
    monkeypatch.setattr(env, 'works', lambda code: operators_run and code == env.CHECK_OPS)
    env.install_mmcv()
    forced = [{'--no-cache-dir', '--force-reinstall'} <= set(arguments) for arguments, _ in calls]
    assert forced == ([False] if operators_run else [False, True])
    for arguments, variables in calls:
        assert {'--no-deps', '--no-build-isolation', 'onedl-mmcv==2.3.6'} <= set(arguments)
        assert variables['MMCV_WITH_OPS'] == '1'
        assert variables['FORCE_CUDA'] == '0'


def test_cuda_operators_are_built_where_a_gpu_and_nvcc_are(
    env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(env.shutil, 'which', lambda name: f'/opt/{name}')
    monkeypatch.setattr(env, 'works', lambda code: True)
    variables = env.build_variables(tmp_path)
    assert 'FORCE_CUDA' not in variables
    assert 'exec /opt/nvcc "$@"' in Path(variables['PYTORCH_NVCC']).read_text(encoding='utf-8')


def test_compiler_wrapper_exchanges_the_standard_alone(env: ModuleType, tmp_path: Path) -> None:
    wrapper = env.write_wrapper(tmp_path / 'c++', 'printf "%s|"')
    arguments = ['-I/a folder', '-std=c++17', '-DX="-std=c++17"', '-std=c++14', '']
    said = subprocess.run([wrapper, *arguments], capture_output=True, text=True, check=True).stdout
    assert said.split('|')[:-1] == ['-I/a folder', '-std=c++20', '-DX="-std=c++17"', '-std=c++14', '']


# ---------------------------------------------------------------------------------------- commands and words


@pytest.mark.parametrize(('complaint', 'runs'), [('Read timed out.', 3), ('No matching distribution', 1)])
def test_only_broken_downloads_are_tried_again(
    complaint: str, runs: int, env: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.mkdir()
    monkeypatch.setattr(env.time, 'sleep', lambda seconds: None)
    command = write_executable(venv / 'fails', f'echo run >> {venv}/runs; seq 100; echo "{complaint}"; exit 1')
    with pytest.raises(env.SetupError) as caught:
        env.run_logged([str(command)])
    assert (venv / 'runs').read_text(encoding='utf-8') == 'run\n' * runs
    assert str(caught.value).splitlines() == [*map(str, range(77, 101)), complaint]


def test_second_try_can_succeed(env: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.mkdir()
    monkeypatch.setattr(env.time, 'sleep', lambda seconds: None)
    script = f'[ -e {venv}/tried ] && echo fine && exit; touch {venv}/tried; echo ConnectionError; exit 1'
    assert env.run_logged([str(write_executable(venv / 'moody', script))]) == 'fine\n'
    assert 'ConnectionError' in env.LOG.read_text(encoding='utf-8')


def test_failed_step_says_where_the_log_is_and_what_to_do(
    env: ModuleType, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.mkdir()
    with pytest.raises(env.SetupError) as caught, env.step('[1/6] something'):
        env.run_logged(['/bin/sh', '-c', 'echo the reason; exit 3'])
    assert capsys.readouterr().out == '[1/6] something ... '
    for part in ('failed after', 'the reason', str(env.LOG), 'goes on from here', f'rm -rf {venv}'):
        assert part in str(caught.value)


def test_old_python_is_refused_by_name(venv: Path, tmp_path: Path) -> None:
    old = write_executable(tmp_path / 'python3.9', 'echo 3.9.1')
    done = run_script(VENV=str(venv), PYTHON=str(old))
    assert done.returncode == 1
    assert f'rc3mm needs Python 3.11 or 3.12 ({old} is 3.9.1)' in done.stderr
    assert 'make setup PYTHON=python3.12' in done.stderr
    assert not venv.exists()


def test_missing_compiler_is_named_with_its_package(venv: Path, tmp_path: Path) -> None:
    done = run_script(VENV=str(venv), PYTHON=sys.executable, PATH=str(tmp_path), CXX='c++')
    assert done.returncode == 1
    assert 'There is no C++ compiler (c++) on the PATH' in done.stderr
    assert 'apt-get install g++' in done.stderr
    assert 'Traceback' not in done.stderr


def test_check_of_a_missing_environment(venv: Path) -> None:
    done = run_script('--check', VENV=str(venv))
    assert done.returncode == 1
    assert done.stderr.strip() == f'{venv} cannot be used: there is none yet. Run: make setup'


def test_help_teaches() -> None:
    done = run_script('--help')
    assert done.returncode == 0
    for part in ('make setup', '--check', 'VENV', 'PYTHON', 'CXX'):
        assert part in done.stdout
