"""Pickles of NumPy arrays and plain containers, read without executing anything.

A pickle names functions and calls them with arguments of its choice. Here every name is looked up in a short table, and
what stands behind a name is a constructor of this module, never the object of that name; not even NumPy's own
constructors are called, since they take types of Python objects and flags about raw memory.
"""

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ['UnsafePickleError', 'loads_plain']

_DTYPE = re.compile(r'[<>=|]?(?:b1|[iu][1248]|f[248]|c(?:8|16)|[SU]\d{1,4})')
_DEEPEST = 50  # containers within containers
_FEW = 1 << 18  # values that any pickle may hold; a longer one may hold more


class UnsafePickleError(ValueError):
    """A pickle holds more than arrays and plain containers; reading it would execute code."""


def loads_plain(data: bytes | memoryview, where: str) -> Any:
    """Read a pickle of any protocol that holds plain values, plain containers and NumPy arrays of numbers or strings.

    Args:
        data: the pickle.
        where: file and key, for messages.

    Returns:
        The object. Arrays may be read-only views of the pickle's bytes. Byte strings of Python 2 come as `str`.

    Raises:
        UnsafePickleError: it asks for anything else, objects within arrays included.
        ValueError: it is cut short or damaged.
    """
    try:
        # latin1 turns the byte strings of Python 2 into text one by one, so array data can be turned back
        value = _Unpickler(io.BytesIO(data), encoding='latin1').load()
        # a value takes a byte at least, unless it is held by several containers
        return _Resolver(max(_FEW, 2 * len(data))).resolve(value)
    except _Refusal as error:
        raise UnsafePickleError(
            f'{where} was refused: its pickle holds {error}. Only NumPy arrays of numbers, plain values and plain '
            'containers are read, since anything else could execute code. If you trust its origin, convert it where '
            'it was made, or in a sandbox'
        ) from error
    except Exception as error:  # the unpickler raises nearly anything when a pickle is damaged
        raise ValueError(f'{where} cannot be read as a pickle (cut short or damaged?): {_told(error)}') from error


def _told(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'[:200]


def _shown(value: Any) -> str:
    return repr(value[:20]) if isinstance(value, str) else type(value).__name__  # containers may be without end


class _Refusal(Exception):
    """What a pickle holds and must not."""


class _DType:
    """Stands for a dtype while a pickle is read."""

    __slots__ = ('code', 'dtype')

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            kind = 'an array of Python objects' if code in ('O', 'O8', 'O4', '|O') else f'the data type {_shown(code)}'
            raise _Refusal(kind)
        self.code = code.lstrip('<>=|')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, order, subarray, names, fields, *_ = state
        if subarray is not None or names is not None or fields is not None:
            raise _Refusal('an array of records')
        if order not in ('<', '>', '=', '|'):
            raise ValueError('the byte order of an array makes no sense')
        self.dtype = np.dtype(f'{order}{self.code}')


class _Array:
    """Stands for an array while a pickle is read."""

    __slots__ = ('array',)

    def __init__(self, *_: Any) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, is_fortran, raw = state[-4:]  # in front of these stands a version, in some
        self.array = _from_buffer(raw, dtype, shape, 'F' if is_fortran else 'C')


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> np.ndarray:
    if isinstance(raw, list):
        raise _Refusal('an array of Python objects')
    if order not in ('C', 'F', 'K'):
        raise ValueError('the order of an array makes no sense')
    values, sides = np.frombuffer(_as_bytes(raw), _own_dtype(dtype)), tuple(int(side) for side in shape)
    if axis_order is None:
        return values.reshape(sides, order='F' if order == 'F' else 'C')
    # NumPy 2.4 and later, with the order K: the sides as they lie in memory, and what becomes of them
    return values.reshape(sides).transpose(tuple(int(axis) for axis in axis_order))


def _scalar(dtype: Any, raw: Any = b'') -> Any:
    kind = _own_dtype(dtype)
    return np.frombuffer(_as_bytes(raw), kind, count=1)[0]


def _own_dtype(dtype: Any) -> np.dtype:
    if not isinstance(dtype, _DType):
        raise ValueError('an array has no data type')
    return dtype.dtype


def _as_bytes(raw: Any) -> bytes | bytearray:
    if isinstance(raw, str):
        return raw.encode('latin1')
    if not isinstance(raw, bytes | bytearray):
        raise ValueError('the data of an array are no bytes')
    return raw


def _encode(text: Any, encoding: Any = 'latin1') -> bytes:
    """How protocols before 3 write bytes."""
    if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
        raise _Refusal(f'a call of _codecs.encode with {_shown(encoding)}')
    return text.encode('latin1')


def _bytearray(*arguments: Any) -> bytearray:
    return bytearray().join(_as_bytes(part) for part in arguments[:1])  # a number would ask for that much memory


def _bytes(*arguments: Any) -> bytes:
    return bytes(_bytearray(*arguments))


def _no_array_class(*_: Any) -> Any:
    raise _Refusal('a call of numpy.ndarray')


_NUMPY_CORES = ('numpy.core', 'numpy._core')  # NumPy 1 and 2
_TABLE: dict[tuple[str, str], Callable[..., Any]] = {
    ('_codecs', 'encode'): _encode,
    ('numpy', 'dtype'): _DType,
    ('numpy', 'ndarray'): _no_array_class,  # an argument of _reconstruct only
    ('collections', 'OrderedDict'): OrderedDict,
    **{(f'{core}.multiarray', '_reconstruct'): _Array for core in _NUMPY_CORES},
    **{(f'{core}.multiarray', 'scalar'): _scalar for core in _NUMPY_CORES},
    **{(f'{core}.numeric', '_frombuffer'): _from_buffer for core in _NUMPY_CORES},
    **{
        (module, kind.__name__): kind
        for module in ('builtins', '__builtin__')
        for kind in (set, frozenset, complex, list, tuple, dict)
    },
    **{(module, 'bytearray'): _bytearray for module in ('builtins', '__builtin__')},
    **{(module, 'bytes'): _bytes for module in ('builtins', '__builtin__')},
}


class _Call:
    """A constructor of the table, which a pickle can call but not alter."""

    __slots__ = ('_function',)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, '_function', function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise _Refusal(f'an attempt to set {name} of a function')


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _TABLE:
            raise _Refusal(f'the object {module}.{name}')
        return _Call(_TABLE[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise _Refusal('a reference to an object outside of it')


class _Resolver:
    """Puts real arrays in place of those that stand for them.

    A pickle can say in a few bytes that a container holds another twice, that one a third twice, and so on; whoever
    walks through that never comes to its end. So what is walked through is counted.

    Args:
        most: values that there may be, containers included.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """The value with real arrays."""
        self._count += 1
        if self._count > self._most:
            raise ValueError(f'containers hold each other so often that they have more than {self._most:,} values')
        if depth > _DEEPEST:
            raise ValueError(f'containers are nested more than {_DEEPEST} deep')
        if isinstance(value, _Array):
            if value.array is None:
                raise ValueError('an array without data')
            return value.array
        if isinstance(value, _DType):
            return value.dtype
        if isinstance(value, _Call):
            raise _Refusal('a function')
        if isinstance(value, dict):
            return type(value)((key, self.resolve(item, depth + 1)) for key, item in value.items())
        if isinstance(value, list | tuple):
            return type(value)(self.resolve(item, depth + 1) for item in value)
        return value
