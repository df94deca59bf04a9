"""Signs of many functions at many vertices, two bits each, and the bit masks they are kept in.

A mask has one bit for each function, packed into 64-bit words: function u is bit ``u % 64`` of
word ``u // 64``.
"""

from dataclasses import dataclass

import numpy as np

from .indexing import offsets

_ONE = np.uint64(1)


def pack_bits(flags: np.ndarray) -> np.ndarray:
    """Masks uint64 (N, ceil(U / 64)) of flags bool (N, U)."""
    rows, units = flags.shape
    packed = np.zeros((rows, -(-units // 64) * 8), np.uint8)
    packed[:, : -(-units // 8)] = np.packbits(flags, axis=1, bitorder="little")
    return packed.view(np.uint64)


def find_bits(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column, int64, of every bit that is set in masks (N, words), row by row."""
    flat = words.ravel()
    at = np.flatnonzero(flat)
    left = flat[at]
    counts = np.bitwise_count(left).astype(np.int64)
    place = offsets(counts)
    where, bit = np.repeat(at, counts), np.empty(place[-1], np.int64)
    place = place[:-1]
    while len(left):  # the lowest bit of every word that has any left
        rest = left & (left - _ONE)
        bit[place] = np.bitwise_count((left ^ rest) - _ONE)
        more = rest != 0
        left, place = rest[more], place[more] + 1
    if words.shape[1] == 1:
        return where, bit
    row, word = np.divmod(where, words.shape[1]) if where.size else (where, where)
    return row, 64 * word + bit


def one_hot(bits: np.ndarray, words: int) -> np.ndarray:
    """Masks with a single bit set, uint64 (N, words)."""
    masks = np.zeros((len(bits), words), np.uint64)
    masks[np.arange(len(bits)), bits >> 6] = _ONE << (bits & 63).astype(np.uint64)
    return masks


def has_bit(words: np.ndarray, row: np.ndarray, bit: np.ndarray) -> np.ndarray:
    """Whether some bits are set in some rows of masks, bool, shape of row and bit."""
    return (words[row, bit >> 6] >> (bit & 63).astype(np.uint64)) & _ONE == _ONE


def reduce_or(words: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """Bitwise or of the rows ``ptr[i]:ptr[i + 1]``, for every i; none of these may be empty."""
    if words.shape[1] == 1:  # a flat array reduces several times faster
        return np.bitwise_or.reduceat(words[:, 0], ptr[:-1])[:, None]
    return np.bitwise_or.reduceat(words, ptr[:-1], axis=0)


@dataclass
class Signs:
    """Signs of all functions at all vertices.

    Attributes
    ----------
    pos, neg : ndarray of uint64, shape (V, words)
        Where the function is positive, where negative; neither where it is zero.
    """

    pos: np.ndarray
    neg: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, tolerance: np.ndarray) -> "Signs":
        """Signs of values (V, U), zero where within the tolerance (U,)."""
        return cls(pack_bits(values > tolerance), pack_bits(values < -tolerance))

    def append(self, pos: np.ndarray, neg: np.ndarray) -> None:
        """Add the signs at new vertices."""
        self.pos, self.neg = np.concatenate([self.pos, pos]), np.concatenate([self.neg, neg])

    def opposite(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Functions whose signs at vertices a and b are opposite, masks (N, words)."""
        pos_a, neg_a, pos_b, neg_b = self.pos[a], self.neg[a], self.pos[b], self.neg[b]
        return (pos_a & neg_b) | (neg_a & pos_b)
