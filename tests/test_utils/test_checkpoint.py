"""Checkpoints: whole or absent, read without executing anything, loaded with a complete report."""

import os
import pickle
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rc3mm.structures import VisualForm
from rc3mm.utils import checkpoint as module
from rc3mm.utils.checkpoint import (
    UnsafeCheckpointError,
    find_chosen_checkpoint,
    find_latest_checkpoint,
    load_state_dict,
    read_checkpoint,
    write_checkpoint,
)

Point = namedtuple('Point', 'x y')


def some_checkpoint() -> dict[str, Any]:
    weights = OrderedDict(a=torch.randn(4, 5), b=torch.arange(6), c=nn.Parameter(torch.ones(2)).half())
    optimizer = torch.optim.AdamW([nn.Parameter(torch.ones(3))]).state_dict()
    meta = {
        'iter': 3,
        'name': '雪',
        'list': [1, (2.5, None)],
        'flags': {True},
        'raw': b'x',
        'dtype': torch.bfloat16,
    }
    return {'state_dict': weights, 'optimizer': optimizer, 'meta': meta}


def assert_same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple:
        return os.system, (f'touch {self.touched}',)


def test_round_trip_in_a_new_folder(tmp_path: Path) -> None:
    checkpoint = some_checkpoint()
    path = tmp_path / 'new' / 'folder' / 'iter_1.pth'
    write_checkpoint(checkpoint, path)
    assert_same(read_checkpoint(path), checkpoint)
    assert os.listdir(path.parent) == ['iter_1.pth']
    assert path.stat().st_mode & 0o044 == 0o044, 'a group must be able to read what one of it trained'


@pytest.mark.parametrize('broken', ['torch.save', 'os.fsync', 'os.replace'])
@pytest.mark.parametrize('error', [OSError('disk full'), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, error: BaseException
) -> None:
    path = tmp_path / 'iter_1.pth'
    write_checkpoint({'state_dict': {'a': torch.ones(3)}}, path)
    before = path.read_bytes()

    def fail(*arguments: Any) -> None:
        if broken == 'torch.save':
            arguments[1].write(b'half of a checkp')
        raise error

    library, function = broken.split('.')
    monkeypatch.setattr(getattr(module, library), function, fail)
    with pytest.raises(type(error)):
        write_checkpoint({'state_dict': {'a': torch.zeros(3)}}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ['iter_1.pth']


@pytest.mark.parametrize('suffix', ['.pth', '.bin', '.safetensors'])
@pytest.mark.parametrize('container', [*(f'pickle {protocol}' for protocol in range(6)), 'zip', 'legacy'])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path, suffix: str, container: str) -> None:
    touched, path = tmp_path / 'touched', tmp_path / f'model{suffix}'
    checkpoint = {'state_dict': {'a': torch.ones(2)}, 'deep': [{'er': Malicious(touched)}]}
    if container.startswith('pickle'):
        checkpoint.pop('state_dict')
        path.write_bytes(pickle.dumps(checkpoint, protocol=int(container[-1])))
    else:
        torch.save(checkpoint, path.with_suffix('.tmp'), _use_new_zipfile_serialization=container == 'zip')
        path.with_suffix('.tmp').rename(path)
    with pytest.raises(UnsafeCheckpointError, match=f'model{suffix} was refused.*(convert it once|rename it)'):
        read_checkpoint(path)
    assert not touched.exists()
    # The trap is live: whoever reads the same bytes without care does run the command.
    if container == 'pickle 4':
        pickle.loads(path.read_bytes())
        assert touched.exists()


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'safetensors'])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_a_truncated_file_is_a_value_error_wherever_it_was_cut(tmp_path: Path, kind: str) -> None:
    weights = {'a': torch.randn(4, 5), 'b': torch.arange(6)}
    whole = tmp_path / 'whole'
    if kind == 'safetensors':
        save_file(weights, whole)
    else:
        torch.save({'state_dict': weights}, whole, _use_new_zipfile_serialization=kind == 'zip')
    data = whole.read_bytes()
    path = tmp_path / ('cut.safetensors' if kind == 'safetensors' else 'cut.pth')
    for length in {*range(30), *range(30, len(data), 17), len(data) - 1}:
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r'cut\.\w+ cannot be read as a checkpoint \(truncated or damaged'):
            read_checkpoint(path)
    path.write_bytes(data)
    assert_same(read_checkpoint(path)['state_dict'], weights)


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'<html>404</html>', b'hello world', b'\x80\x02}q'])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_something_else_is_a_value_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f'page{suffix}'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='page'):
        read_checkpoint(path)


def test_what_is_no_state_dict_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    torch.save({'weights': {'a': torch.ones(1)}}, path)
    with pytest.raises(ValueError, match=r"no 'state_dict'.*'?weights"):
        read_checkpoint(path)
    torch.save([torch.ones(1)], path)
    with pytest.raises(ValueError, match='holds a list'):
        read_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*none\.pth'):
        read_checkpoint(tmp_path / 'none.pth')


@pytest.mark.parametrize(
    ('value', 'where'),
    [
        (np.float64(1.5), r"checkpoint\['x'\]\['y'\]\[1\] is a numpy.float64"),
        (np.zeros(2), r"\['y'\]\[1\] is a numpy.ndarray"),
        (VisualForm.ROI, 'VisualForm'),
        (Point(1, 2), 'Point'),
        (Path('a'), 'Path'),
        (len, 'builtin'),
        ({np.int64(1): 2}, r'the key .*1.* is a numpy.int64'),
        ({Point(1, 2): 2}, 'Point'),
        (nn.Linear(1, 1), 'Linear'),
    ],
)
def test_what_could_not_be_read_again_is_refused_before_writing(tmp_path: Path, value: Any, where: str) -> None:
    path = tmp_path / 'iter_1.pth'
    with pytest.raises(UnsafeCheckpointError, match=f'{where}.*convert it before saving'):
        write_checkpoint({'state_dict': {}, 'x': {'y': [1, value]}}, path)
    assert os.listdir(tmp_path) == []
    # It is refused for a reason: torch writes it, and then cannot read it safely.
    torch.save({'state_dict': {}, 'x': {'y': [1, value]}}, path)
    with pytest.raises(UnsafeCheckpointError):
        read_checkpoint(path)


def test_safetensors_and_bare_state_dicts_are_wrapped(tmp_path: Path) -> None:
    weights = {'a': torch.randn(2, 3), 'b': torch.arange(4)}
    save_file(weights, tmp_path / 'a.safetensors')
    torch.save(weights, tmp_path / 'a.bin')
    for name in ('a.safetensors', 'a.bin'):
        assert_same(read_checkpoint(tmp_path / name), {'state_dict': weights})


def test_the_report_accounts_for_every_key() -> None:
    model = nn.ModuleDict({'a': nn.Linear(2, 3), 'b': nn.Linear(3, 1), 'c': nn.Linear(1, 1)})
    own = {key: value.clone() for key, value in model.state_dict().items()}
    incoming = {
        'module.a.weight': torch.full((3, 2), 7.0),
        'module.a.bias': torch.full((3,), 8.0),
        'module.b.weight': torch.zeros(5, 3),
        'module.b.bias': torch.full((1,), 9.0),
        'module.extra': torch.zeros(1),
    }
    with pytest.raises(ValueError, match=r'does not fit.*missing: c\.weight.*unexpected: extra.*b\.weight') as failure:
        load_state_dict(model, incoming, strict=True)
    assert '(5, 3) -> (1, 3)' in str(failure.value)
    assert_same(dict(model.state_dict()), own)  # strict changes nothing when it fails
    report = load_state_dict(model, incoming)
    assert report.loaded == ['a.bias', 'a.weight', 'b.bias']
    assert report.missing == ['c.weight', 'c.bias'] and report.unexpected == ['extra']
    assert report.reshaped == [('b.weight', (5, 3), (1, 3))]
    assert not report.clean and '3 tensors loaded' in str(report)
    for key, value in model.state_dict().items():
        expected = incoming[f'module.{key}'] if key in report.loaded else own[key]
        assert torch.equal(value, expected), key


def test_weights_of_another_model_are_refused_and_matching_ones_are_clean() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match='not one tensor'):
        load_state_dict(model, {'encoder.weight': torch.zeros(2, 2)})
    report = load_state_dict(model, nn.Linear(2, 2).state_dict(), strict=True)
    assert report.clean and str(report) == '2 tensors loaded'


def test_the_latest_checkpoint_is_found_by_number_and_only_if_whole(tmp_path: Path) -> None:
    assert find_latest_checkpoint(tmp_path) is None
    assert find_latest_checkpoint(tmp_path / 'missing') is None
    for name in ('iter_9', 'iter_100', 'iter_20', 'best_500', 'iter_x', 'iter_²'):
        write_checkpoint({'state_dict': {'a': torch.ones(1000)}}, tmp_path / f'{name}.pth')
    assert find_latest_checkpoint(tmp_path) == tmp_path / 'iter_100.pth'
    for name, share in (('iter_100', 0.9), ('iter_20', 0.0)):
        path = tmp_path / f'{name}.pth'
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert find_latest_checkpoint(tmp_path) == tmp_path / 'iter_9.pth'
    (tmp_path / 'iter_9.pth').unlink()
    assert find_latest_checkpoint(str(tmp_path)) is None


def test_the_chosen_checkpoint_is_the_best_one_or_else_the_last(tmp_path: Path) -> None:
    assert find_chosen_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/iter_9.pth')
    assert find_chosen_checkpoint(tmp_path) == tmp_path / 'iter_9.pth'
    (tmp_path / 'best_checkpoint').write_text('/where/it/was/best_a_iter_3.pth\n')
    assert find_chosen_checkpoint(str(tmp_path)) == tmp_path / 'best_a_iter_3.pth'
