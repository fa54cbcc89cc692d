"""loads_plain reads what NumPy and Python write, and executes nothing that others write."""

import codecs
import itertools
import os
import pickle
import pickletools
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rc3mm.utils.safe_pickle import UnsafePickleError, loads_plain

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DTYPES = ['<f2', '<f4', '>f4', '<f8', '<i8', '>i2', '|u1', '|b1', '<c8', '<U5', '|S3']


class Calls:
    """Pickles to the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return type(one) is type(other) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda item: st.lists(item, max_size=3) | st.dictionaries(st.text(), item, max_size=3) | st.tuples(item, item),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(value=PLAIN, protocol=st.sampled_from(PROTOCOLS))
def test_plain_values_come_back(value: Any, protocol: int) -> None:
    assert same(loads_plain(pickle.dumps(value, protocol), 'here'), value)


@settings(max_examples=60, deadline=None)
@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda code: npst.arrays(
            np.dtype(code),
            npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            elements=None if np.dtype(code).kind in 'SUbiu' else dict(allow_nan=False),
        )
    ),
    protocol=st.sampled_from(PROTOCOLS),
    fortran=st.booleans(),
)
def test_arrays_come_back(array: np.ndarray, protocol: int, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    found = loads_plain(pickle.dumps({'a': array, 'b': [array]}, protocol), 'here')
    assert same(found, {'a': array, 'b': [array]})


@pytest.mark.parametrize('axes', list(itertools.permutations(range(3))))
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_transposed_arrays_come_back(protocol: int, axes: tuple[int, ...]) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(axes)
    assert same(loads_plain(pickle.dumps([array, array[..., :1]], protocol), 'here'), [array, array[..., :1]])


def test_array_with_the_order_of_its_axes() -> None:
    # as NumPy 2.4 writes arrays that lie in memory in neither order; earlier versions never write it
    array = np.arange(24, dtype='<f4').reshape(2, 3, 4)
    function = np._core.numeric._frombuffer  # type: ignore[attr-defined]
    data = pickle.dumps(Calls(function, bytearray(array.tobytes()), array.dtype, (2, 3, 4), 'K', (1, 2, 0)), 5)
    assert same(loads_plain(data, 'here'), array.transpose(1, 2, 0))


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_scalars_sets_and_old_names(protocol: int) -> None:
    value = OrderedDict(a=np.float32(1.5), b=np.int64(3), c=bytearray(b'xy'), d={1, 2}, e=complex(1, 2))
    data = pickle.dumps(value, protocol)
    assert same(loads_plain(data, 'here'), value)
    array = np.arange(6.0).reshape(2, 3)
    # NumPy 1 calls its modules numpy.core; in old protocols names have no length in front of them
    if protocol < 4:
        old = pickle.dumps(array, protocol).replace(b'numpy._core', b'numpy.core')
        assert same(loads_plain(old, 'here'), array)


def test_array_of_python_2() -> None:
    data = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\n"
        b"I1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@'\ntb."
    )
    assert loads_plain(data, 'here').tolist() == [1.0, 2.0]


def hostile(place: str) -> dict[str, Any]:
    """Objects whose pickles would make the file `place` if they were read by `pickle.loads`."""
    make = f'open({place!r}, "w").close()'
    return {
        'os.system': Calls(os.system, f'touch {place}'),
        'subprocess': Calls(subprocess.check_call, ['touch', place]),
        'builtins.exec': Calls(exec, make),
        'builtins.eval': Calls(eval, make),
        'nested': {'features': [np.zeros(2), {'boxes': Calls(os.system, f'touch {place}')}]},
        'numpy': Calls(np.testing._private.utils.runstring, make, {}),
        'memmap': Calls(np.memmap, place, 'u1', 'w+', 0, (4,)),
        'within an array': np.array([Calls(os.system, f'touch {place}')], dtype=object),
    }


@pytest.mark.parametrize('kind', hostile(''))
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_hostile_pickles_are_not_executed(tmp_path: Path, kind: str, protocol: int) -> None:
    place = tmp_path / 'made'
    data = pickle.dumps(hostile(str(place))[kind], protocol)
    with pytest.raises(UnsafePickleError, match=r'train\.lmdb, key 7 was refused: its pickle holds .*execute code'):
        loads_plain(data, 'train.lmdb, key 7')
    assert not place.exists()
    pickle.loads(data)  # the same bytes are dangerous indeed
    assert place.exists()


def test_error_names_what_was_asked_for() -> None:
    with pytest.raises(UnsafePickleError, match=f'the object {os.system.__module__}.system'):
        loads_plain(pickle.dumps(os.system), 'here')


GADGETS = {
    'dotted name': b'\x80\x04\x8c\x05numpy\x8c\x11testing.os.system\x93.',
    'class itself': b'cnumpy\nndarray\n.',
    'call of ndarray': b'cnumpy\nndarray\n((I4\nttR.',
    'dtype of objects': b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR.",
    'dtype by fields': b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'|'\nN(S'a'\nt}NI-1\nI-1\nI0\ntb.",
    'altered function': b"c_codecs\nencode\n(N}S'_function'\nNstb.",
    'other codec': b"c_codecs\nencode\n(S'cbyr'\nS'rot13'\ntR.",
    'persistent id': b'Pname\n.',
    'extension': b'\x80\x02\x82\x01.',
}


@pytest.mark.parametrize('kind', GADGETS)
def test_gadgets_are_refused(kind: str) -> None:
    with pytest.raises(UnsafePickleError if kind != 'extension' else ValueError, match=r'^here '):
        loads_plain(GADGETS[kind], 'here')


def doubled(kind: Callable[[list[Any]], Any], times: int) -> Any:
    """A container that holds another twice, which holds another twice, and so on."""
    value = kind([])
    for _ in range(times):
        value = kind([value, value])
    return value


@pytest.mark.parametrize('kind', [list, tuple, lambda items: dict(enumerate(items))])
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_containers_that_hold_each_other_again_and_again(protocol: int, kind: Callable[[list[Any]], Any]) -> None:
    assert same(loads_plain(pickle.dumps(doubled(kind, 8), protocol), 'here'), doubled(kind, 8))
    data = pickle.dumps(doubled(kind, 40), protocol)
    assert len(data) < 1500
    with pytest.raises(ValueError, match=r'here cannot be read .*hold each other so often .*more than 262,144 values'):
        loads_plain(data, 'here')


@pytest.mark.parametrize('function', [np.dtype, codecs.encode])
def test_endless_containers_are_not_shown(function: Callable[..., Any]) -> None:
    data = pickle.dumps(Calls(function, doubled(tuple, 40), doubled(tuple, 40)))
    with pytest.raises(UnsafePickleError, match=r'holds (the data type|a call of _codecs.encode with) tuple'):
        loads_plain(data, 'here')


def test_container_that_holds_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match='nested more than 50 deep'):
        loads_plain(pickle.dumps(value), 'here')


def test_many_values_in_a_long_pickle() -> None:
    value = [0] * 400_000
    assert loads_plain(pickle.dumps(value), 'here') == value


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_pickles_raise_value_errors(data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps({'a': np.arange(5.0), 'b': 'text'}, data.draw(st.sampled_from(PROTOCOLS))))
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
        with pytest.raises(ValueError, match='here cannot be read as a pickle'):
            loads_plain(bytes(whole), 'here')
        return
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    if any(op.name == 'LONG_BINPUT' for op in _operations(bytes(whole))):
        return  # a memo of billions of entries: slow, not unsafe
    try:
        loads_plain(bytes(whole), 'here')
    except ValueError as error:
        assert str(error).startswith('here ')


def _operations(data: bytes) -> list[Any]:
    try:
        return [operation for operation, _, _ in pickletools.genops(data)]
    except Exception:
        return []
