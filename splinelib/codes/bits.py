"""Rows of bits in 64-bit words, as NumPy arrays: pack, unpack, and count where they differ.

One layout everywhere: a row of bits per input, the first unit in the lowest bit of the first
byte, padded with zeros to whole words.
"""

import math

import numpy as np

WORD = 8  # bytes
_AT_ONCE = 1 << 22  # numbers of an intermediate result


def words(shape: tuple[int, ...]) -> int:
    """64-bit words that one input's code of this shape takes."""
    return -(-math.prod(shape) // (8 * WORD))


def pack_array(bits: np.ndarray) -> np.ndarray:
    """Pack bool (N, ...) to uint64 (N, words)."""
    flat = np.ascontiguousarray(bits).reshape(len(bits), math.prod(bits.shape[1:]))
    packed = np.packbits(flat, axis=1, bitorder="little")
    room = words(bits.shape[1:]) * WORD - packed.shape[1]
    if room:
        packed = np.pad(packed, ((0, 0), (0, room)))
    return packed.view(np.uint64)


def unpack_array(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo `pack_array`: bool, shape (N, *shape)."""
    raw = packed.view(np.uint8)
    bits = np.unpackbits(raw, axis=1, count=math.prod(shape), bitorder="little")
    return bits.view(bool).reshape(len(raw), *shape)


def padded(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The bits of (N, words) that no unit has, which `pack_array` leaves 0: bool, (N, rest)."""
    raw = packed[:, math.prod(shape) // (8 * WORD) :].view(np.uint8)
    return np.unpackbits(raw, axis=1, bitorder="little")[:, math.prod(shape) % (8 * WORD) :]


def differing(a: np.ndarray, b: np.ndarray) -> int:
    """How many bits differ between packed codes of one shape (N, words), by popcount."""
    total, step = 0, max(1, _AT_ONCE // 8 // max(1, a.shape[1]))
    for start in range(0, len(a), step):  # blocks that stay in the cache
        rows = slice(start, start + step)
        total += int(np.bitwise_count(a[rows] ^ b[rows]).sum(dtype=np.int64))
    return total


def differing_pairs(a: np.ndarray) -> np.ndarray:
    """How many bits differ between every two rows of (N, words): int64, shape (N, N)."""
    count = np.zeros((len(a), len(a)), np.int64)
    step = max(1, _AT_ONCE // 64 // max(1, len(a)))
    for start in range(0, a.shape[1], step):  # columns whose rows all stay in the cache
        block = np.ascontiguousarray(a[:, start : start + step])
        for row in range(len(a) - 1):
            count[row, row + 1 :] += np.bitwise_count(block[row] ^ block[row + 1 :]).sum(
                1, dtype=np.int64
            )
    return count + count.T
