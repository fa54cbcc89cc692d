"""A keyed permutation of range(n) in constant memory.

A Feistel network over Z_a x Z_b with a * b slightly above n; values that leave range(n) are sent through
again (cycle walking; Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). Meant for
shuffling, not for secrecy.
"""

import math

import numpy as np

from rc3mm.datasets.counter_random import GOLDEN, MASK, mix, mix_array

__all__ = ['FeistelPermutation']


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
            state = mix(((state ^ part) + GOLDEN) & MASK)
        self.keys = tuple(mix(state + (i + 1) * GOLDEN & MASK) for i in range(rounds))

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
            x = (x + mix((y + even) & MASK)) % self.left
            y = (y + mix((x + odd) & MASK)) % self.right
        return x * self.right + y

    def _backward(self, value: int) -> int:
        x, y = divmod(value, self.right)
        for even, odd in zip(self.keys[-2::-2], self.keys[::-2], strict=True):
            y = (y - mix((x + odd) & MASK)) % self.right
            x = (x - mix((y + even) & MASK)) % self.left
        return x * self.right + y

    def _forward_array(self, value: np.ndarray) -> np.ndarray:
        left, right = np.uint64(self.left), np.uint64(self.right)
        x: np.ndarray = value // right
        y: np.ndarray = value % right
        for even, odd in zip(self.keys[::2], self.keys[1::2], strict=True):
            x = (x + mix_array(y + np.uint64(even)) % left) % left
            y = (y + mix_array(x + np.uint64(odd)) % right) % right
        return x * right + y
