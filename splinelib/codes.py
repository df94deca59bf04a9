"""Region codes: which side of every hyperplane an input lies on, one bit per unit."""

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from .errors import DamagedFile
from .files import replacing
from .layers import layers_of
from .trace import Interceptor, check_weights, evaluating, record

_VERSION = 1
_WORD = 8  # rows are padded to whole 64-bit words, for popcount


class RegionCodes:
    """Packed codes of N inputs, one row of bits per layer and input.

    Two inputs have the same code exactly if they lie in the same region of the partition.
    A bit is True where the unit's pre-activation is > 0.

    Attributes
    ----------
    layers : dict of str to tuple of int
        Shape of one input's code in each spline layer, in order of execution.
    """

    def __init__(
        self, layers: dict[str, tuple[int, ...]], packed: dict[str, np.ndarray], inputs=""
    ):
        self.layers = {name: tuple(shape) for name, shape in layers.items()}
        self._packed = packed
        self._inputs = inputs  # digest of what was coded, "" where unknown

    @classmethod
    def from_bool(cls, bits: dict[str, Tensor | np.ndarray]) -> "RegionCodes":
        """Pack boolean arrays of shape (N, *unit_shape), one per layer."""
        arrays = {name: np.asarray(b, dtype=bool) for name, b in bits.items()}
        if len({len(a) for a in arrays.values()}) > 1:
            raise ValueError("every layer must have a row for every input")
        return cls(
            {n: a.shape[1:] for n, a in arrays.items()}, {n: _pack(a) for n, a in arrays.items()}
        )

    def __len__(self) -> int:
        return len(next(iter(self._packed.values()))) if self._packed else 0

    def __repr__(self) -> str:
        units = sum(math.prod(s) for s in self.layers.values())
        return f"RegionCodes({len(self)} inputs, {len(self.layers)} layers, {units} bits each)"

    def __getitem__(self, rows) -> "RegionCodes":
        """The codes of some rows: a slice, an index array or a boolean mask."""
        rows = np.asarray(rows) if not isinstance(rows, slice) else rows
        rows = rows[None] if not isinstance(rows, slice) and rows.ndim == 0 else rows
        return RegionCodes(self.layers, {n: p[rows] for n, p in self._packed.items()})

    @property
    def nbytes(self) -> int:
        """Bytes of all packed codes."""
        return sum(p.nbytes for p in self._packed.values())

    def unpack(self, name: str) -> Tensor:
        """Codes of one layer, bool, shape (N, *unit_shape)."""
        if name not in self.layers:
            raise KeyError(f"no spline layer {name!r}; there are {', '.join(self.layers)}")
        shape = self.layers[name]
        raw = self._packed[name].view(np.uint8)
        bits = np.unpackbits(raw, axis=1, count=math.prod(shape), bitorder="little")
        return torch.from_numpy(bits.view(bool).reshape(len(raw), *shape))

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
        for name, mine in self._packed.items():
            differing = int(np.bitwise_count(mine ^ other._packed[name]).sum(dtype=np.int64))
            distances[name] = differing / (len(self) * math.prod(self.layers[name]))
        return distances if per_layer else float(np.mean(list(distances.values())))

    def pairwise(self, name: str | None = None) -> np.ndarray:
        """Normalised Hamming distance of every two inputs, float64, shape (N, N).

        For one layer, or the plain mean over layers.
        """
        names = list(self.layers) if name is None else [name]
        total = np.zeros((len(self), len(self)))
        for layer in names:
            words, bits = self._packed[layer], math.prod(self.layers[layer])
            for row in range(len(self)):
                total[row] += np.bitwise_count(words[row] ^ words).sum(1, dtype=np.int64) / bits
        return total / len(names)

    def labels(self) -> np.ndarray:
        """Number of the region of each input, int64, shape (N,): equal exactly for equal codes."""
        labels = np.zeros(len(self), np.int64)
        for words in self._packed.values():
            rows = np.ascontiguousarray(words).view(np.dtype((np.void, words.shape[1] * _WORD)))
            _, layer = np.unique(rows.ravel(), return_inverse=True)
            _, labels = np.unique(labels * (layer.max(initial=0) + 1) + layer, return_inverse=True)
        return labels

    def count_regions(self) -> int:
        """How many different regions the inputs lie in."""
        return int(self.labels().max(initial=-1)) + 1

    def save(self, path: str | os.PathLike) -> None:
        """Write the codes to an ``.npz`` file, atomically."""
        header = {"version": _VERSION, "layers": [[n, list(s)] for n, s in self.layers.items()]}
        header["inputs"] = self._inputs
        arrays = {f"layer_{i}": words for i, words in enumerate(self._packed.values())}
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
            If it is truncated, of another version, or not a file of region codes.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header["version"] != _VERSION:
                    raise DamagedFile(
                        f"{path}: version {header['version']} of region codes, but this library "
                        f"reads version {_VERSION}; extract the codes again"
                    )
                packed = {n: file[f"layer_{i}"] for i, (n, _) in enumerate(header["layers"])}
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, DamagedFile):
                raise
            raise DamagedFile(
                f"{path}: not a whole file of region codes ({error}); extract them again"
            ) from error
        layers = {n: tuple(s) for n, s in header["layers"]}
        for name, words in packed.items():
            if words.dtype != np.uint64 or words.shape[1] != _words(layers[name]):
                raise DamagedFile(f"{path}: layer {name!r} does not fit its shape {layers[name]}")
        return cls(layers, packed, header["inputs"])

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
        if self._inputs and other._inputs and self._inputs != other._inputs:
            raise ValueError(
                "these codes come from different inputs: a distance needs the same inputs, in "
                "the same order"
            )


def _words(shape: tuple[int, ...]) -> int:
    return -(-math.prod(shape) // (8 * _WORD))


def _pack(bits: np.ndarray) -> np.ndarray:
    """Bool (N, ...) to uint64 (N, words), first unit in the lowest bit."""
    flat = np.ascontiguousarray(bits).reshape(len(bits), math.prod(bits.shape[1:]))
    packed = np.zeros((len(flat), _words(bits.shape[1:]) * _WORD), np.uint8)
    packed[:, : -(-flat.shape[1] // 8)] = np.packbits(flat, axis=1, bitorder="little")
    return packed.view(np.uint64)


def _pack_tensor(bits: Tensor) -> np.ndarray:
    """`_pack`, on the device that the bits are on, so that only packed bytes travel."""
    if bits.device.type == "cpu":
        return _pack(bits.numpy())
    flat = bits.reshape(len(bits), -1)
    width = _words(tuple(bits.shape[1:])) * _WORD
    flat = torch.nn.functional.pad(flat.to(torch.uint8), (0, width * 8 - flat.shape[1]))
    weights = 2 ** torch.arange(8, device=bits.device, dtype=torch.uint8)
    packed = (flat.reshape(len(flat), width, 8) * weights).sum(-1, dtype=torch.uint8)
    return packed.cpu().numpy().view(np.uint64)


def batches(inputs, batch_size: int) -> Iterable[Tensor]:
    """Cut a tensor, an array (memory-mapped too) or an iterable of batches into tensors."""
    if isinstance(inputs, (Tensor, np.ndarray)):
        for start in range(0, len(inputs), batch_size):
            yield (
                torch.as_tensor(np.array(inputs[start : start + batch_size]))
                if isinstance(inputs, np.ndarray)
                else inputs[start : start + batch_size]
            )
    else:
        for batch in inputs:
            batch = batch[0] if isinstance(batch, (tuple, list)) else batch
            yield torch.as_tensor(batch)


def region_codes(
    model: nn.Module,
    inputs,
    batch_size: int = 256,
    smooth: str = "raise",
) -> RegionCodes:
    """Extract the region codes of any number of inputs in one pass.

    Each activation's sign is packed to one bit as the model runs and the activation itself
    is let go, so memory is one batch of the model plus one bit per unit and input.

    Parameters
    ----------
    model : torch.nn.Module
        Taken as it is; run in evaluation mode, and given back in the mode it was in.
    inputs : Tensor or ndarray of shape (N, ...), or an iterable of batches
        Arrays may be memory-mapped, iterables of any length (a DataLoader); batches are
        moved to the model's device.
    batch_size : int
        Inputs per forward pass.
    smooth : {"raise", "sign", "ignore"}
        As in `spline_layers`.

    Returns
    -------
    RegionCodes of N rows, on the CPU

    Raises
    ------
    NotPiecewiseAffine
        If the model is not piecewise affine and ``smooth="raise"``.
    ValueError
        For empty inputs, NaN or infinite inputs or weights, a model without any spline
        unit, or one whose path through the code depends on the input.

    Notes
    -----
    Codes computed in another precision can differ where a pre-activation is close to zero.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive whole number, not {batch_size!r}")
    if isinstance(inputs, (Tensor, np.ndarray)) and len(inputs) == 0:
        raise ValueError("there are no inputs to code: give at least one")
    check_weights(model)
    parameter = next(model.parameters(), torch.zeros(()))
    collected: dict[str, list[np.ndarray]] = {}
    digest = hashlib.blake2b(digest_size=16)
    layers, calls, named = None, None, []

    def handle(activation, operands):
        position = len(seen)
        seen.append(None)
        if position >= len(calls):
            raise ValueError(_PATH)
        layer = named[position]
        if layer is not None:
            collected[layer].append(_pack_tensor(activation.code(*(t.detach() for t in operands))))

    with torch.no_grad(), evaluating(model):
        for batch in batches(inputs, batch_size):
            batch = batch.to(parameter.device)
            if batch.is_floating_point() and not torch.isfinite(batch).all():
                raise ValueError("the inputs hold NaN or infinite values")
            if layers is None:
                graph = record(model, batch, smooth)
                if smooth == "raise":
                    graph.check_piecewise_affine()
                layers, calls = layers_of(graph), graph.calls
                if not layers:
                    raise ValueError(
                        "the model has no spline unit (ReLU, max-pooling, ...): "
                        "its partition is a single region"
                    )
                names = {id(layer.node): layer.name for layer in layers}
                named = [None if c is None else names[id(graph.nodes[c])] for c in calls]
                collected = {layer.name: [] for layer in layers}
            seen: list[None] = []
            with Interceptor(handle, smooth):
                model(batch)
            if len(seen) != len(calls):
                raise ValueError(_PATH)
            raw = batch.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy())
    if layers is None:
        raise ValueError("there are no inputs to code: give at least one")
    packed = {name: np.concatenate(parts) for name, parts in collected.items()}
    return RegionCodes({la.name: la.unit_shape for la in layers}, packed, digest.hexdigest())


_PATH = (
    "the model called other activations for this batch than for the first one: its path "
    "depends on the input, so its units have no fixed code"
)
