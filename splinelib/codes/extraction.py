"""The region codes of any number of inputs: batches in, packed codes out."""

from collections import deque
from collections.abc import Iterable, Mapping
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from ..network.modes import check_weights, evaluating
from ..network.surroundings import undisturbed
from .digests import digests as row_digests
from .regioncodes import RegionCodes
from .running import Run


def batches(inputs, batch_size: int) -> Iterable[Tensor]:
    """Cut a tensor, an array (memory-mapped too) or an iterable of batches into tensors.

    Raises
    ------
    TypeError
        For a dict, or batches that are dicts: codes are of one input tensor.
    """
    _check_no_dict(inputs)
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
            _check_no_dict(batch)
            yield torch.as_tensor(batch)


def _check_no_dict(inputs) -> None:
    if isinstance(inputs, Mapping | str) or not isinstance(inputs, Tensor | np.ndarray | Iterable):
        raise TypeError(
            f"inputs should be a tensor, an array or an iterable of batches, not a "
            f"{type(inputs).__name__}. For a model that takes a dict or several tensors, wrap it "
            "in a module whose forward takes one tensor and makes the others, or the dict, of it"
        )
    if isinstance(inputs, Tensor) and inputs.is_meta:
        raise ValueError("the inputs are on the meta device, where tensors hold no numbers")


def extract(
    model: nn.Module, inputs, batch_size: int, smooth: str, autocast: torch.dtype | None
) -> tuple[dict[str, tuple[int, ...]], dict[str, np.ndarray], np.ndarray]:
    """The work of `splinelib.region_codes`, whose arguments and errors these are.

    Returns
    -------
    layers : dict of layer name to shape of one input's code, in order of execution
    packed : dict of layer name to ndarray of uint64, shape (N, words)
    digests : ndarray of int64, shape (N,)
        A number for each input that says what was coded.
    """
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive whole number, not {batch_size!r}")
    if autocast is not None and not getattr(autocast, "is_floating_point", False):
        raise TypeError(
            f"autocast is a floating point type such as torch.bfloat16, not {autocast!r}"
        )
    if isinstance(inputs, (Tensor, np.ndarray)) and len(inputs) == 0:
        raise ValueError("there are no inputs to code: give at least one")
    check_weights(model)
    device = next(model.parameters(), torch.zeros(())).device
    run, unsound = None, None
    collected = Collected(len(inputs) if isinstance(inputs, Tensor | np.ndarray) else None)
    with torch.no_grad(), evaluating(model):
        for batch in batches(inputs, batch_size):
            if not len(batch):
                continue
            batch = batch.to(device, non_blocking=True)
            unsound = _check_finite(batch, unsound)
            if run is None:
                run = Run(model, batch, smooth, autocast)
            collected.add([row_digests(batch).view(torch.uint8), *run(batch)], len(batch))
    if run is None:
        raise ValueError("there are no inputs to code: give at least one")
    if unsound is not None and unsound.item():
        raise ValueError(_NOT_FINITE)
    run.check_numbers()
    digests, *packed = collected.finish()
    return run.layers, dict(zip(run.layers, packed, strict=True)), digests.view(np.int64).ravel()


class Collected:
    """Packed rows on their way to the host, which waits for none of them but the oldest.

    There they are written into arrays that are made once, or grow where nobody knows how many
    inputs there are: rows that are kept one by one, between activations that are let go, would
    hold on to the memory of these.
    """

    def __init__(self, inputs: int | None):
        self._expected, self._rows = inputs, 0
        self._whole: list[np.ndarray] = []
        self._travelling: deque = deque()

    def add(self, packed: list[Tensor], rows: int) -> None:
        widths = [p.numel() // rows for p in packed]
        if packed[0].device.type == "cpu":
            self._store([p.reshape(rows, -1).numpy() for p in packed])
            return
        together = torch.cat([p.reshape(rows, -1) for p in packed], dim=1)
        host = together.to("cpu", non_blocking=True)  # to pinned memory
        arrived = torch.cuda.Event() if together.is_cuda else None
        if arrived is not None:
            arrived.record()
        self._travelling.append((host, arrived, widths))
        if len(self._travelling) > 2:
            self._arrive()

    def _arrive(self) -> None:
        host, arrived, widths = self._travelling.popleft()
        if arrived is not None:
            arrived.synchronize()
        self._store(np.split(host.numpy(), np.cumsum(widths)[:-1], axis=1))

    def _store(self, arrays: list[np.ndarray]) -> None:
        start, end = self._rows, self._rows + len(arrays[0])
        if not self._whole:
            rows = self._expected or 4 * end
            self._whole = [np.empty((rows, array.shape[1]), np.uint8) for array in arrays]
        for at, array in enumerate(arrays):
            if end > len(self._whole[at]):  # one after another; what is not written takes no memory
                written = self._whole[at][:start]
                self._whole[at] = np.empty((2 * end, written.shape[1]), np.uint8)
                self._whole[at][:start] = written
            self._whole[at][start:end] = array
        self._rows = end

    def finish(self) -> list[np.ndarray]:
        """All rows of each part, uint64."""
        while self._travelling:
            self._arrive()
        for whole in self._whole:  # in place, without a second copy; nobody else has them yet
            whole.resize((self._rows, whole.shape[1]), refcheck=False)
        return [whole.view(np.uint64) for whole in self._whole]


def _check_finite(batch: Tensor, unsound: Tensor | None) -> Tensor | None:
    """Refuse NaN at once on a CPU; elsewhere note it, since asking would stop the queue."""
    if not batch.is_floating_point():
        return unsound
    bad = ~torch.isfinite(batch).all()
    if batch.device.type == "cpu":
        if bad:
            raise ValueError(_NOT_FINITE)
        return None
    return bad if unsound is None else unsound | bad


_NOT_FINITE = "the inputs hold NaN or infinite values"


@undisturbed("model")
def region_codes(
    model: nn.Module,
    inputs,
    batch_size: int = 256,
    smooth: str = "raise",
    autocast: torch.dtype | None = None,
) -> RegionCodes:
    """Extract the region codes of any number of inputs in one pass.

    Each activation's sign is packed to one bit as the model runs and the activation itself
    is let go, so memory is one batch of the model plus one bit per unit and input; one
    layer's bits twice while an iterable is coded, whose length nobody knows.

    Parameters
    ----------
    model : torch.nn.Module
        Taken as it is; run in evaluation mode, and given back in the mode it was in. It may
        return anything that holds a tensor: a tuple, a dict, a dataclass.
    inputs : Tensor or ndarray of shape (N, ...), or an iterable of batches
        Arrays may be memory-mapped, iterables of any length (a DataLoader); batches are
        moved to the model's device.
    batch_size : int
        Inputs per forward pass.
    smooth : {"raise", "freeze", "sign", "ignore"}
        As in `spline_layers`. With ``"freeze"`` a code names a region of the map that the network
        is when attention, norms and gates are held where that input puts them: two inputs of one
        code may still have other weights of attention, and so other maps.
    autocast : torch.dtype, optional
        Run the model in this precision, ``torch.bfloat16`` say; its weights stay as they are.

    Returns
    -------
    RegionCodes of N rows, on the CPU

    Raises
    ------
    NotPiecewiseAffine
        If the model is not piecewise affine, in a way that `smooth` allows, or may not be: a number
        leaves torch, a branch or a mask depends on the input, inputs of a batch look at each
        other. The message names module, operation and remedy.
    TypeError
        If `autocast` is not a floating point type, for inputs that are a dict, and for models
        whose operations cannot be seen (TorchScript, torch.export).
    ValueError
        For empty inputs, NaN or infinite inputs or weights, values that overflow to NaN inside the
        model (its module is named), inputs that the model does not take, a model without any
        spline unit, or one whose path through the code depends on the input.

    Notes
    -----
    A unit's bit differs between bfloat16 and float32 where its pre-activation is so close to
    zero that rounding (8 bits of mantissa, in every layer before it) carries it across. In
    trained networks that is of the order of 1 bit in 100, fewer in the first layers, more in
    the last ones. The Hamming distance is a metric, so the distance of two epochs changes by
    at most the sum of the two shares that flipped, and compare codes of one precision.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> codes = region_codes(net, torch.randn(100, 2))
    >>> len(codes), codes.layers
    (100, {'0': (8,)})
    """
    return RegionCodes(*extract(model, inputs, batch_size, smooth, autocast))
