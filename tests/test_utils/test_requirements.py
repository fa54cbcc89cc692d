"""What is missing is told at once, in one message, before anything is built."""

from pathlib import Path
from typing import Any

import pytest

from rc3mm.utils import requirements
from rc3mm.utils.requirements import check_required_files, find_missing, format_missing


def entry(path: Any, **more: Any) -> dict[str, Any]:
    return {
        'path': path if isinstance(path, list) else str(path),
        'what': 'a thing',
        'get': 'a place',
        **more,
    }


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError('no network')

    monkeypatch.setattr(requirements, 'get_hf_file_metadata', fail)
    monkeypatch.setattr(requirements, 'try_to_load_from_cache', lambda *_: None)


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('x')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'x').write_text('x')
    names = ['file', 'empty', 'full', 'nothing']
    missing = find_missing([entry(tmp_path / name) for name in names])
    assert [Path(path).name for requirement in missing for path in requirement.paths] == ['empty', 'nothing']
    several = find_missing([entry([str(tmp_path / name) for name in names])])
    assert [Path(path).name for path in several[0].paths] == ['empty', 'nothing']


def test_phases() -> None:
    entries = [entry('a', phases=['train']), entry('b'), entry('c', phases=['test'])]
    assert [m.paths for m in find_missing(entries, 'train')] == [['a'], ['b']]
    assert [m.paths for m in find_missing(entries, 'test')] == [['b'], ['c']]


def test_hub(monkeypatch: pytest.MonkeyPatch, no_hub: None) -> None:
    entries = [entry('weights/x', hub='some/model:config.json')]
    assert len(find_missing(entries)) == 1
    asked = []
    monkeypatch.setattr(requirements, 'get_hf_file_metadata', lambda url, timeout: asked.append(url))
    assert find_missing(entries) == []
    assert len(asked) == 1 and asked[0].endswith('/some/model/resolve/main/config.json')
    monkeypatch.setattr(requirements, 'try_to_load_from_cache', lambda *_: '/cache/config.json')
    assert find_missing(entries) == [] and len(asked) == 1


def test_one_message_and_exit_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = {'required_files': [entry(['a/1', 'a/2']), entry('b', what='another', layout='one\ntwo')]}
    with pytest.raises(SystemExit) as stop:
        check_required_files(cfg)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == '' and '(3 missing)' in err and 'RC3MM_DATA=' in err
    for line in (
        '  a/1',
        '  a/2',
        '    what:   another',
        '    get:    a place',
        '    layout: one',
        '            two',
    ):
        assert line in err.splitlines()
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(SystemExit):
        check_required_files(cfg)
    assert capsys.readouterr().err == ''


def test_nothing_missing(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('x')
    check_required_files({})
    check_required_files({'required_files': None})
    check_required_files({'required_files': [entry(tmp_path / 'file')]})


@pytest.mark.parametrize('change', [{'pathh': 'x'}, {'phases': ['training']}])
def test_wrong_entries(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'required_files\[1\] needs get, path, what and may have'):
        find_missing([entry('a'), entry('b', **change)])
    with pytest.raises(ValueError, match=r'required_files\[0\]'):
        find_missing([{'path': 'a'}])


def test_message_without_layout() -> None:
    assert 'layout' not in format_missing(find_missing([entry('a')]))
