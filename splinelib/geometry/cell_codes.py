"""Codes of all cells of a mesh, without the bits that are the same on every cell.

On a plane most units of a convolutional network never change sign: their bits are kept once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .limits import BLOCK
from .signs import pack_bits


@dataclass
class LayerCode:
    """The code of one layer on every cell.

    Attributes
    ----------
    words : ndarray of uint64, shape (R, words)
        The bits that are not the same on all cells, packed.
    bits : ndarray of int, shape (K,)
        Which those are, increasing.
    constant : ndarray of bool, shape (U,)
        All bits; those at `bits` mean nothing.
    """

    words: np.ndarray
    bits: np.ndarray
    constant: np.ndarray

    def varying(self) -> np.ndarray:
        """The bits that vary, bool, shape (R, K)."""
        raw = np.ascontiguousarray(self.words).view(np.uint8)
        return np.unpackbits(raw, axis=1, count=len(self.bits), bitorder="little").view(bool)

    def packed(self) -> np.ndarray:
        """All bits, uint64, shape (R, ceil(U / 64))."""
        if len(self.bits) == len(self.constant):
            return self.words
        constant = self.constant.copy()
        constant[self.bits] = False
        out = np.repeat(pack_bits(constant[None]), len(self.words), axis=0)
        if len(self.bits):
            at, place = np.unique(self.bits >> 6, return_inverse=True)
            block = max(1, 8 * BLOCK // (64 * len(at)))
            for start in range(0, len(out), block):
                some = LayerCode(self.words[start : start + block], self.bits, constant).varying()
                flags = np.zeros((len(some), 64 * len(at)), bool)
                flags[:, 64 * place + (self.bits & 63)] = some
                out[start : start + block, at] |= pack_bits(flags)
        return out


class CellCodes(Mapping):
    """Packed codes by name of the layer, each written out in full when it is asked for.

    Attributes
    ----------
    layers : dict of str to LayerCode
    """

    def __init__(self, layers: dict[str, LayerCode]):
        self.layers = layers

    def __getitem__(self, name: str) -> np.ndarray:
        return self.layers[name].packed()

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)
