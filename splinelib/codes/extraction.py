"""Run a model on any number of inputs and pack each activation's signs as they are computed."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import NotPiecewiseAffine
from ..network.frozen import check_smooth
from ..network.layers import layers_of
from ..network.modes import check_weights, evaluating
from ..network.overflow import holds_nan, overflow
from ..network.surroundings import undisturbed
from ..network.trace import Interceptor, record
from .digests import digests as row_digests
from .packing import pack_activation, pool_and_pack
from .regioncodes import RegionCodes


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
    collected = _Collected(len(inputs) if isinstance(inputs, Tensor | np.ndarray) else None)
    with torch.no_grad(), evaluating(model):
        for batch in batches(inputs, batch_size):
            if not len(batch):
                continue
            batch = batch.to(device, non_blocking=True)
            unsound = _check_finite(batch, unsound)
            if run is None:
                run = _Run(model, batch, smooth, autocast)
            collected.add([row_digests(batch).view(torch.uint8), *run(batch)], len(batch))
    if run is None:
        raise ValueError("there are no inputs to code: give at least one")
    if unsound is not None and unsound.item():
        raise ValueError(_NOT_FINITE)
    run.check_numbers()
    digests, *packed = collected.finish()
    return run.layers, dict(zip(run.layers, packed, strict=True)), digests.view(np.int64).ravel()


class _Run:
    """A model that gives the packed codes of a batch, one (N, bytes) tensor per layer."""

    def __init__(self, model: nn.Module, example: Tensor, smooth: str, autocast):
        graph = record(model, example, smooth)
        check_smooth(graph, smooth)
        layers = layers_of(graph)
        if not layers:
            raise ValueError(
                "the model has no spline unit (ReLU, max-pooling, ...): "
                "its partition is a single region"
            )
        self.layers = {layer.name: layer.unit_shape for layer in layers}
        self._model, self._smooth = model, smooth
        self._nan: Tensor | None = None  # on a GPU, whether an output was: read at the end
        self._changes_input, self._repeats = graph.changes_input, False
        self._autocast: Callable = contextlib.nullcontext
        if autocast is not None:
            self._autocast = lambda: torch.autocast(example.device.type, autocast)
        # Of each activation call of a run: whether it is a layer, and a pooling that gives
        # its value alone, so that value and winners can come from one pass.
        nodes = [None if c is None else graph.nodes[c] for c in graph.calls]
        self._calls = [n is not None for n in nodes]
        # Activations that were written by hand are seen in the recorded run alone.
        self._graph = graph if any(node.composed for node in graph.nodes) else None
        # How many rows of what an activation gives belong to each input: windows of an image, say.
        leading = [graph.shapes[node.outputs[0]][:1] or (0,) for node in graph.activations()]
        self._rows = [rows / graph.rows for (rows,) in leading]
        # what was left out may look at other inputs, and low precision rounds a batch otherwise
        low = autocast is not None or example.dtype in {torch.float16, torch.bfloat16}
        self._checked = smooth in {"sign", "ignore"} or low
        self._pools = [
            n is not None and n.activation.pool is not None and not n.several for n in nodes
        ]

    def __call__(self, batch: Tensor) -> list[Tensor]:
        packed = self._packed(batch)
        if not self._checked and len(batch) > 1:
            self._checked, few = True, min(4, len(batch) // 2)
            _check_alone(self.layers, packed, self._packed(batch[-few:]), len(batch), few)
        return packed

    def _packed(self, batch: Tensor) -> list[Tensor]:
        batch = batch.clone() if self._changes_input else batch
        packed = self._run(batch) if self._graph is None else self._replayed(batch)
        for name, codes, rows in zip(self.layers, packed, self._rows, strict=True):
            if len(codes) != rows * len(batch):
                raise ValueError(
                    f"layer {name!r}: what its activation reads has no row for each input, or not "
                    "in the first dimension, so its code cannot be told apart by inputs. Keep the "
                    "inputs in the first dimension (batch_first=True; movedim only behind the "
                    "activation)"
                )
        return packed

    def _run(self, batch: Tensor) -> list[Tensor]:
        packed, seen = [], 0

        def handle(activation, operands):
            nonlocal seen
            if seen >= len(self._calls):
                raise ValueError(_PATH)
            value = None
            if self._pools[seen]:
                value, code = pool_and_pack(activation, operands[0].detach())
                packed.append(code)
            elif self._calls[seen]:
                operands = tuple(operand.detach() for operand in operands)
                packed.append(pack_activation(activation, operands))
            seen += 1
            return value

        with self._autocast(), Interceptor(handle, self._smooth):
            output = self._model(batch)
        self._note_numbers(output, batch)
        if seen != len(self._calls):
            raise ValueError(_PATH)
        return packed

    def _note_numbers(self, output, batch: Tensor) -> None:
        """Refuse outputs that are NaN, at once on a CPU; elsewhere asking would stop the queue."""
        nan = holds_nan(output)
        if nan.device.type != "cpu":
            self._nan = nan if self._nan is None else self._nan | nan
        elif nan:
            with self._autocast():
                raise ValueError(overflow(self._model, batch))

    def check_numbers(self) -> None:
        """Refuse outputs of any batch that were NaN."""
        if self._nan is not None and self._nan.item():
            raise ValueError(
                "the network's outputs are NaN for some inputs, though inputs and weights are "
                "finite: values inside it are too large for their precision. Code the inputs on "
                "the CPU to learn which module it is"
            )

    def _same(self, output: Tensor, batch: Tensor) -> bool:
        expected = self._model(batch)
        return expected.shape == output.shape and torch.allclose(output, expected, 1e-2, 1e-3)

    def _replayed(self, batch: Tensor) -> list[Tensor]:
        """The same by running the recorded run again, whose output must be the model's."""
        packed: list[Tensor] = []

        def handle(activation, operands):
            packed.append(pack_activation(activation, tuple(o.detach() for o in operands)))

        with self._autocast():
            try:
                output = self._graph.replay(batch, handle)
                # asked of the first batch only: it runs the model once more
                self._repeats = self._repeats or output is None or self._same(output, batch)
            except (RuntimeError, IndexError, TypeError, ValueError):
                self._repeats = False
        if not self._repeats:
            raise NotPiecewiseAffine(_NOT_REPEATED)
        return packed


def _check_alone(
    layers: Iterable[str], batch: list[Tensor], alone: list[Tensor], rows: int, few: int
) -> None:
    """Refuse codes of which the last few rows are others without the rest of their batch.

    Kernels for another number of rows round otherwise, which carries some bits in a million across
    on a CPU, and more where they multiply in TF32.
    """
    share = 0.01 if batch[0].device.type == "cpu" else 0.1
    for name, together, apart in zip(layers, batch, alone, strict=True):
        last = together.reshape(rows, -1)[-few:].cpu().numpy()
        differing = int(np.unpackbits(last ^ apart.reshape(few, -1).cpu().numpy()).sum())
        if differing > max(2, share * 8 * apart.numel()):
            raise NotPiecewiseAffine(
                f"layer {name!r}: the code of an input depends on the other inputs of its batch "
                "(a mean over the batch, a comparison with another row), so it is not a function "
                "of the input. Keep the inputs apart, or pass smooth='ignore' and batch_size=1"
            )


class _Collected:
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
_NOT_REPEATED = (
    "an activation of this model is written by hand, as a comparison and a product or torch.where, "
    "and its run cannot be repeated function by function for a batch of another size. Write the "
    "activation as F.relu, F.leaky_relu or torch.clamp"
)
_PATH = (
    "the model called other activations for this batch than for the first one: its path "
    "depends on the input, so its units have no fixed code"
)


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
