"""Run a model on a batch and pack each activation's signs as they are computed."""

import contextlib
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import NotPiecewiseAffine
from ..network.frozen import check_smooth
from ..network.layers import layers_of
from ..network.overflow import holds_nan, overflow
from ..network.trace import Interceptor, record
from .packing import pack_activation, pool_and_pack


class Run:
    """A model that gives the packed codes of a batch, one (N, bytes) tensor per layer.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode; run once, to see what it calls.
    example : Tensor, shape (N, ...)
    smooth, autocast
        As for `splinelib.region_codes`, whose errors these are.
    asks : bool
        Whether outputs that are NaN are refused at once on a CPU, rather than by `check_numbers`.

    Attributes
    ----------
    layers : dict of layer name to shape of one input's code, in order of execution
    composed : bool
        Whether activations are written by hand. Then a recorded run is repeated, which holds what
        followed from the weights alone as it was.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        smooth: str,
        autocast: torch.dtype | None,
        asks: bool = True,
    ):
        graph = record(model, example, smooth)
        check_smooth(graph, smooth)
        layers = layers_of(graph)
        if not layers:
            raise ValueError(
                "the model has no spline unit (ReLU, max-pooling, ...): "
                "its partition is a single region"
            )
        self.layers = {layer.name: layer.unit_shape for layer in layers}
        self._model, self._smooth, self._asks = model, smooth, asks
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
        self.composed = any(node.composed for node in graph.nodes)
        self._graph = graph if self.composed else None
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
        packed = self.packed(batch)
        if not self._checked and len(batch) > 1:
            self._checked, few = True, min(4, len(batch) // 2)
            _check_alone(self.layers, packed, self.packed(batch[-few:]), len(batch), few)
        return packed

    def packed(self, batch: Tensor) -> list[Tensor]:
        """The codes, without asking whether those of an input depend on the others."""
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
        if nan.device.type != "cpu" or not self._asks:
            self._nan = nan if self._nan is None else self._nan | nan
        elif nan:
            with self._autocast():
                raise ValueError(overflow(self._model, batch))

    def forget_numbers(self) -> None:
        """Begin anew what `check_numbers` asks for."""
        self._nan = None

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


_NOT_REPEATED = (
    "an activation of this model is written by hand, as a comparison and a product or torch.where, "
    "and its run cannot be repeated function by function for a batch of another size. Write the "
    "activation as F.relu, F.leaky_relu or torch.clamp"
)
_PATH = (
    "the model called other activations for this batch than for the first one: its path "
    "depends on the input, so its units have no fixed code"
)
