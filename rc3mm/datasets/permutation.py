"""A keyed permutation of range(n) in constant memory.

A Feistel network over Z_a x Z_b with a * b slightly above n; values that leave range(n) are sent through
again (cycle walking; Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). Meant for
shuffling, not for secrecy.
"""

import math

import numpy as np

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MUL_1 = 0xBF58476D1CE4E5B9
_MUL_2 = 0x94D049BB133111EB


def _mix(value: int) -> int:
    """SplitMix64's finaliser: 64 well-mixed bits of an integer."""
    value = (value ^ (value >> 30)) * _MUL_1 & _MASK
    value = (value ^ (value >> 27)) * _MUL_2 & _MASK
    return value ^ (value >> 31)


def _mix_array(value: np.ndarray) -> np.ndarray:
    """:func:`_mix` for a uint64 array; wraps around as that does."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_MUL_1)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_MUL_2)
    return value ^ (value >> np.uint64(31))


class FeistelPermutation:
    """A bijection of range(n) chosen by a key, with random access and an inverse.

    Args:
        n: Size of the range, at least 1; Python integers of any size.
        key: Integers that choose the permutation.
        rounds: Feistel rounds, even.

    Raises:
        ValueError: If ``n`` is below 1 or ``rounds`` is odd.

    Example:
        >>> permutation = FeistelPermutation(5, (7,))
        >>> sorted(permutation(i) for i in range(5))
        [0, 1, 2, 3, 4]
        >>> permutation.inverse(permutation(3))
        3
    """

    def __init__(self, n: int, key: tuple[int, ...] = (0,), rounds: int = 6) -> None:
        if n < 1 or rounds % 2:
            raise ValueError(f'a permutation needs n >= 1 and an even number of rounds, not {n} and {rounds}')
        self.n = n
        self.left = math.isqrt(n - 1) + 1
        self.right = -(-n // self.left)
        state = 0
        for part in key:
            state = _mix(((state ^ part) + _GOLDEN) & _MASK)
        self.keys = tuple(_mix(state + (i + 1) * _GOLDEN & _MASK) for i in range(rounds))

    def __call__(self, index: int) -> int:
        """Image of one index.

        Raises:
            IndexError: If the index is outside range(n).
        """
        value = self._check(index)
        while True:
            value = self._forward(value)
            if value < self.n:
                return value

    def inverse(self, value: int) -> int:
        """Index whose image is ``value``.

        Raises:
            IndexError: If the value is outside range(n).
        """
        index = self._check(value)
        while True:
            index = self._backward(index)
            if index < self.n:
                return index

    def apply(self, indices_N: np.ndarray) -> np.ndarray:
        """Images of many indices.

        Args:
            indices_N: Integers of any shape within range(n).

        Returns:
            int64 array of the same shape.

        Raises:
            ValueError: If n is above 2**62.
            IndexError: If an index is outside range(n).
        """
        if self.n > 1 << 62:
            raise ValueError('ranges above 2**62 are for single indices only')
        indices = np.asarray(indices_N, np.int64)
        if indices.size and (indices.min() < 0 or indices.max() >= self.n):
            raise IndexError(f'an index is outside range({self.n})')
        values = self._forward_array(indices.astype(np.uint64))
        while (outside := values >= self.n).any():
            values[outside] = self._forward_array(values[outside])
        return values.astype(np.int64)

    def _check(self, index: int) -> int:
        if not 0 <= index < self.n:
            raise IndexError(f'{index} is outside range({self.n})')
        return int(index)

    def _forward(self, value: int) -> int:
        x, y = divmod(value, self.right)
        for even, odd in zip(self.keys[::2], self.keys[1::2], strict=True):
            x = (x + _mix((y + even) & _MASK)) % self.left
            y = (y + _mix((x + odd) & _MASK)) % self.right
        return x * self.right + y

    def _backward(self, value: int) -> int:
        x, y = divmod(value, self.right)
        for even, odd in zip(self.keys[-2::-2], self.keys[::-2], strict=True):
            y = (y - _mix((x + odd) & _MASK)) % self.right
            x = (x - _mix((y + even) & _MASK)) % self.left
        return x * self.right + y

    def _forward_array(self, value: np.ndarray) -> np.ndarray:
        left, right = np.uint64(self.left), np.uint64(self.right)
        x: np.ndarray = value // right
        y: np.ndarray = value % right
        for even, odd in zip(self.keys[::2], self.keys[1::2], strict=True):
            x = (x + _mix_array(y + np.uint64(even)) % left) % left
            y = (y + _mix_array(x + np.uint64(odd)) % right) % right
        return x * right + y
