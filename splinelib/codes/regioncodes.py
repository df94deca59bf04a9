"""The region codes of many inputs: packed, compared, counted, saved."""

import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..archives import read_arrays
from ..errors import DamagedFile
from ..files import replacing
from ..schemas import COUNT, mismatches
from . import bits
from .bits import WORD, words

_VERSION = 2
_REMEDY = "Extract the codes again."
_READS = {1, 2}  # version 1 named its inputs by one digest for all rows, which is not read


class RegionCodes:
    """Packed codes of N inputs, one row of bits per layer and input.

    Two inputs have the same code exactly if they lie in the same region of the partition.
    A bit is True where the unit's pre-activation is > 0.

    Attributes
    ----------
    layers : dict of str to tuple of int
        Shape of one input's code in each spline layer, in order of execution.
    packed : mapping of str to ndarray of uint64, shape (N, words)
        The bits of each layer; see `bits`.
    inputs : ndarray of int64, shape (N,), or None
        A number for each row that says what was coded, if that is known; see `digests`.
    """

    def __init__(
        self,
        layers: dict[str, tuple[int, ...]],
        packed: dict[str, np.ndarray],
        inputs: np.ndarray | None = None,
    ):
        self.layers = {name: tuple(shape) for name, shape in layers.items()}
        self.packed = packed
        self.inputs = inputs

    @classmethod
    def from_bool(cls, codes: dict[str, Tensor | np.ndarray]) -> "RegionCodes":
        """Pack boolean arrays of shape (N, *unit_shape), one per layer."""
        arrays = {name: np.asarray(b, dtype=bool) for name, b in codes.items()}
        if len({len(a) for a in arrays.values()}) > 1:
            raise ValueError("every layer must have a row for every input")
        return cls(
            {n: a.shape[1:] for n, a in arrays.items()},
            {n: bits.pack_array(a) for n, a in arrays.items()},
        )

    def __setstate__(self, state: dict) -> None:
        """Unpickle, also what was pickled when the two arrays were private."""
        self.__dict__.update({name.removeprefix("_"): value for name, value in state.items()})

    def __len__(self) -> int:
        return len(next(iter(self.packed.values()))) if self.packed else 0

    def __repr__(self) -> str:
        units = sum(math.prod(s) for s in self.layers.values())
        return f"RegionCodes({len(self)} inputs, {len(self.layers)} layers, {units} bits each)"

    def __getitem__(self, rows) -> "RegionCodes":
        """The codes of some rows: a slice, an index array or a boolean mask."""
        rows = np.asarray(rows) if not isinstance(rows, slice) else rows
        rows = rows[None] if not isinstance(rows, slice) and rows.ndim == 0 else rows
        inputs = None if self.inputs is None else self.inputs[rows]
        return RegionCodes(self.layers, {n: p[rows] for n, p in self.packed.items()}, inputs)

    @property
    def nbytes(self) -> int:
        """Bytes of all packed codes."""
        return sum(p.nbytes for p in self.packed.values())

    def unpack(self, name: str) -> Tensor:
        """Codes of one layer, bool, shape (N, *unit_shape)."""
        packed = self.packed[self._known(name)]
        return torch.from_numpy(bits.unpack_array(packed, self.layers[name]))

    def _known(self, name: str) -> str:
        if name not in self.layers:
            raise KeyError(f"no spline layer {name!r}; there are {', '.join(self.layers)}")
        return name

    def _width(self, name: str) -> int:
        """Bits of a layer; 1 for one without units, in which nothing differs."""
        return max(1, math.prod(self.layers[name]))

    def distance(self, other: "RegionCodes", per_layer: bool = False) -> float | dict[str, float]:
        """Normalised Hamming distance to the codes of the same inputs at another time.

        For each layer the share of bits that differ, over all inputs and units; then the
        plain mean over layers, as in the code released with the paper (Spline-EB).

        Parameters
        ----------
        other : RegionCodes
            Codes of the same inputs by a model of the same architecture.
        per_layer : bool
            Return the distance of each layer instead of their mean.

        Returns
        -------
        float in [0, 1], or dict of layer name to float

        Raises
        ------
        ValueError
            If layers, inputs or their number differ.
        """
        self._check_comparable(other)
        distances = {}
        for name, mine in self.packed.items():
            count = bits.differing(mine, other.packed[name])
            distances[name] = count / (len(self) * self._width(name))
        return distances if per_layer else float(np.mean(list(distances.values())))

    def pairwise(self, name: str | None = None) -> np.ndarray:
        """Normalised Hamming distance of every two inputs, float64, shape (N, N).

        For one layer, or the plain mean over layers.
        """
        names = list(self.layers) if name is None else [self._known(name)]
        total = np.zeros((len(self), len(self)))
        for layer in names:
            total += bits.differing_pairs(self.packed[layer]) / self._width(layer)
        return total / len(names)

    def agreement(self, name: str, axis: int | None = None) -> np.ndarray:
        """How often every two units of a layer have the same bit.

        A channel of a convolution has a bit at each position: two channels are compared
        position by position, over all of them and all inputs. Where a unit has several bits
        (two thresholds, the index of a pooling) so are these. Two units that always agree draw
        the same boundary as far as these inputs can tell; two that never agree draw it with the
        sides exchanged; by chance alone two units that are on half of the time agree at 0.5.

        Parameters
        ----------
        name : str
            A layer of `layers`.
        axis : int, optional
            Of its shape there, along which its units lie. A linear layer's features ``(F,)`` are
            found, and an image's channels, ``(C, H, W)`` and ``(bits, C, H, W)``. Other codes have
            these shapes too: of a 3-d convolution the channels are axis 0, of a 1-d convolution
            with several bits axis 1. Features of tokens, ``(L, F)`` or ``(bits, L, F)``, are -1.

        Returns
        -------
        ndarray of float64, shape (U, U)
            In [0, 1], symmetric, 1 on the diagonal. U is the number of channels of a
            convolution, of features of a linear layer.

        Raises
        ------
        KeyError
            If there is no such layer.
        ValueError
            If there are no inputs; if the shape has no such axis, or does not tell which it is,
            as ``(2, F)`` of two thresholds, ``(C, L)`` and ``(L, F)`` do not.

        Examples
        --------
        >>> bits = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]], bool)
        >>> RegionCodes.from_bool({"a": bits}).agreement("a")[0]
        array([1.  , 0.75, 0.5 ])
        """
        packed, shape = self.packed[self._known(name)], self.layers[name]
        if len(self) == 0:
            raise ValueError("agreement needs the codes of at least one input")
        axis = {1: 0, 3: 0, 4: 1}.get(len(shape)) if axis is None else axis
        if axis is None or not -len(shape) <= axis < len(shape):
            raise ValueError(
                f"say along which axis of {shape} the units of layer {name!r} lie, agreement(name, "
                "axis=...): -1 for features of a linear layer, else the axis of the channels"
            )
        axis = 1 + axis % len(shape)
        units, rows = shape[axis - 1], max(1, (1 << 22) // self._width(name))
        both = np.zeros((units, units))
        for start in range(0, len(self), rows):
            unpacked = bits.unpack_array(packed[start : start + rows], shape)
            signs = np.moveaxis(unpacked, axis, 0).reshape(units, -1).astype(np.float32) * 2 - 1
            both += signs @ signs.T  # whole numbers below 2^24, so exact in float32
        return (both / (len(self) * math.prod(shape) // units) + 1) / 2

    def labels(self, names: Iterable[str] | None = None) -> np.ndarray:
        """Number of the region of each input, int64, shape (N,): equal exactly for equal codes.

        Parameters
        ----------
        names : iterable of str, optional
            Look at these layers only: the regions of the partition that they make by
            themselves.
        """
        names = list(self.layers) if names is None else [self._known(name) for name in names]
        labels = np.zeros(len(self), np.int64)
        for name in names:
            packed = np.ascontiguousarray(self.packed[name])
            if not packed.shape[1]:  # no unit tells any two inputs apart
                continue
            rows = packed.view(np.dtype((np.void, packed.shape[1] * WORD)))
            _, layer = np.unique(rows.ravel(), return_inverse=True)
            _, labels = np.unique(labels * (layer.max(initial=0) + 1) + layer, return_inverse=True)
        return labels

    def count_regions(self, names: Iterable[str] | None = None) -> int:
        """How many different regions the inputs lie in; of some layers, as in `labels`.

        At most as many as there are inputs: a count that equals their number says no more than
        that no two of them share a region. `partition` counts the regions themselves.
        """
        return int(self.labels(names).max(initial=-1)) + 1

    def save(self, path: str | os.PathLike) -> None:
        """Write the codes to an ``.npz`` file, atomically."""
        header = {"version": _VERSION, "layers": [[n, list(s)] for n, s in self.layers.items()]}
        arrays = {f"layer_{i}": packed for i, packed in enumerate(self.packed.values())}
        if self.inputs is not None:
            arrays["inputs"] = self.inputs
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "RegionCodes":
        """Read codes written by `save`; nothing in the file is ever executed.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DamagedFile
            If it is truncated, damaged, of another version, or not a file of region codes.
        OSError, MemoryError
            If it cannot be opened or read; it may be sound.
        """
        arrays = read_arrays(path, "file of region codes", _REMEDY)
        try:
            header = json.loads(str(arrays["header"]))
            if header["version"] not in _READS:
                raise DamagedFile(
                    f"{path}: version {header['version']} of region codes, but this library "
                    f"reads version {_VERSION}. {_REMEDY}"
                )
            packed = [arrays[f"layer_{i}"] for i, _ in enumerate(header["layers"])]
            return cls._checked(header["layers"], packed, arrays.get("inputs"))
        except DamagedFile:
            raise
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise DamagedFile(f"{path} cannot be region codes: {error}. {_REMEDY}") from error

    @classmethod
    def _checked(
        cls, layers: list, packed: list[np.ndarray], inputs: np.ndarray | None
    ) -> "RegionCodes":
        if wrong := list(mismatches(dict(layers), {str: [COUNT]}, "layers")):
            raise ValueError("; ".join(wrong[:5]))
        shapes = {name: tuple(shape) for name, shape in layers}
        if len(shapes) < len(layers):
            raise ValueError("two layers have one name")
        for (name, shape), p in zip(shapes.items(), packed, strict=True):
            if p.dtype != np.uint64 or p.ndim != 2 or p.shape[1] != words(shape):
                raise ValueError(f"layer {name!r} does not fit its shape {shape}")
            if bits.padded(p, shape).any():
                raise ValueError(f"layer {name!r} has bits behind those of its units")
        if inputs is not None and (inputs.dtype != np.int64 or inputs.ndim != 1):
            raise ValueError("inputs should be one number for each row")
        rows = {len(p) for p in packed} | ({len(inputs)} if inputs is not None else set())
        if len(rows) > 1:
            raise ValueError(f"layers have different numbers of rows: {sorted(rows)}")
        return cls(shapes, dict(zip(shapes, packed, strict=True)), inputs)

    def state_dict(self) -> dict:
        """The codes as plain values and tensors, for a checkpoint; nothing is copied.

        `torch.load` reads it back with ``weights_only=True``.
        """
        return {
            "version": _VERSION,
            "layers": [[name, list(shape)] for name, shape in self.layers.items()],
            "packed": [torch.from_numpy(p.view(np.int64)) for p in self.packed.values()],
            "inputs": None if self.inputs is None else torch.from_numpy(self.inputs),
        }

    @classmethod
    def from_state_dict(cls, state: dict) -> "RegionCodes":
        """Undo `state_dict`.

        Raises
        ------
        DamagedFile
            If the state is not one of region codes, or of another version.
        """
        try:
            if state["version"] not in _READS:
                raise ValueError(f"version {state['version']}, and this library reads {_VERSION}")
            packed = [p.numpy().view(np.uint64) for p in state["packed"]]
            inputs = None if state["inputs"] is None else state["inputs"].numpy()
            return cls._checked(state["layers"], packed, inputs)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DamagedFile(f"not the state of region codes: {error}") from error

    def _check_comparable(self, other: "RegionCodes") -> None:
        if not isinstance(other, RegionCodes):
            raise TypeError(f"expected RegionCodes, got {type(other).__name__}")
        if self.layers != other.layers:
            differing = dict(set(self.layers.items()) ^ set(other.layers.items()))
            raise ValueError(
                "these codes come from different architectures; layers that differ: "
                + ", ".join(differing or ["their order"])
            )
        if len(self) != len(other) or len(self) == 0:
            raise ValueError(
                f"codes of {len(self)} inputs cannot be compared with codes of {len(other)}: "
                "extract both from the same inputs, at least one"
            )
        known = self.inputs is not None and other.inputs is not None
        if known and not np.array_equal(self.inputs, other.inputs):
            raise ValueError(
                "these codes come from different inputs: a distance needs the same inputs, in "
                "the same order"
            )


def distance_matrix(
    codes: Sequence[RegionCodes], per_layer: bool = False
) -> np.ndarray | dict[str, np.ndarray]:
    """Distance of every two of several codes of the same inputs: all pairs of epochs at once.

    Parameters
    ----------
    codes : sequence of RegionCodes
        Of the same inputs by models of one architecture, such as one per epoch.
    per_layer : bool
        Give a matrix for each layer instead of their mean.

    Returns
    -------
    ndarray of float64, shape (T, T), or dict of layer name to such a matrix
        Entry (s, t) is ``codes[s].distance(codes[t])``.

    Raises
    ------
    ValueError
        If there are none, or they cannot be compared (as `RegionCodes.distance`).

    Examples
    --------
    >>> bits = [np.array([[True, False]]), np.array([[True, True]])]
    >>> distance_matrix([RegionCodes.from_bool({"a": b}) for b in bits])
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    codes = list(codes)
    if not codes:
        raise ValueError("there are no codes to compare: give those of at least one epoch")
    codes[0]._check_comparable(codes[0])
    matrices = {name: np.zeros((len(codes), len(codes))) for name in codes[0].layers}
    for s, t in itertools.combinations(range(len(codes)), 2):
        for name, distance in codes[s].distance(codes[t], per_layer=True).items():
            matrices[name][s, t] = matrices[name][t, s] = distance
    return matrices if per_layer else np.mean(list(matrices.values()), axis=0)
