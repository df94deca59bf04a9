"""The regions that a network crosses on the way from one input to another, exactly.

The network runs once, layer by layer, on the points of the segment at which it bends. Between two
of them it is affine, so where a pre-activation changes its sign a point is put, and every value
that is still needed is interpolated there.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from ..codes.regioncodes import RegionCodes
from ..errors import NotPiecewiseAffine
from ..network.graph import Graph
from ..network.layers import layers_of
from ..network.modes import check_weights
from ..network.outputs import as_rows
from ..network.replica import replica
from ..network.surroundings import undisturbed
from ..network.trace import record
from .bending import Run
from .limits import MAX_REGIONS
from .propagation import check_precision, row_by_row


@dataclass
class Segment:
    """The regions of a network on a straight way through input space.

    Attributes
    ----------
    breakpoints : ndarray of float64, shape (K + 1,)
        Shares of the way, from 0 to 1, at which a region ends or begins; both ends are among them.
    outputs : ndarray of float64, shape (K + 1, C)
        The network's output there; in between it is affine.
    codes : RegionCodes
        One row for each of the K regions, in order.
    source : ndarray of int, shape (K - 1, 2)
        Index of the spline layer and of the unit (flat, of max-pooling the window) that bends at
        each inner breakpoint; where several do, one of the first layer.
    layers : list of str
        Names of the spline layers, for `source`.
    start, end : Tensor of float64, shape of one input
    """

    breakpoints: np.ndarray
    outputs: np.ndarray
    codes: RegionCodes
    source: np.ndarray
    layers: list[str]
    start: Tensor
    end: Tensor

    def __len__(self) -> int:
        return len(self.breakpoints) - 1

    def __repr__(self) -> str:
        return f"Segment({len(self)} regions on a way of length {self.length:.6g})"

    def __call__(self, shares) -> Tensor:
        """Inputs at shares of the way, float64, shape (N, *input_shape)."""
        shares = torch.as_tensor(np.asarray(shares, np.float64))
        shares = shares.reshape(-1, *[1] * self.start.dim())
        return self.start + shares * (self.end - self.start)

    @cached_property
    def length(self) -> float:
        """Distance of the two ends in input space."""
        return float((self.end - self.start).norm())

    @cached_property
    def decisions(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the largest output changes, and which it is.

        Of a network of one output: where it changes its sign.

        Returns
        -------
        shares : ndarray of float64, shape (D,)
            Shares of the way, increasing.
        classes : ndarray of int, shape (D + 1,)
            The largest output before the first change, between two, and after the last; of one
            output 1 where it is positive, else 0.
        """
        values = self.outputs
        if values.shape[1] == 1:
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        changes, found = [], []
        for piece in range(len(self)):
            for at, top in _upper_envelope(values[piece], values[piece + 1]):
                if not found or top != found[-1]:
                    low, high = self.breakpoints[piece : piece + 2]
                    changes.append(low + at * (high - low))
                    found.append(top)
        return np.array(changes[1:], np.float64), np.array(found)

    @property
    def boundary_distance(self) -> float:
        """Distance from the start to the first change of decision, infinite if there is none."""
        shares, _ = self.decisions
        return float(shares[0]) * self.length if len(shares) else float("inf")


def _upper_envelope(start: np.ndarray, end: np.ndarray) -> list[tuple[float, int]]:
    """The largest of some affine functions on [0, 1]: where each begins to be, and which."""
    rise, at = end - start, 0.0
    top = int(np.lexsort((rise, start))[-1])  # the steepest of those that are largest at 0
    found = [(0.0, top)]
    while True:
        gap, faster = start[top] - start, rise - rise[top]
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = np.where(faster > 0, gap / faster, np.inf)
        meet[top] = np.inf
        after = np.where(meet >= at, meet, np.inf)
        if not after.min() < 1:
            return found
        at = float(after.min())
        ties = np.flatnonzero(after == at)
        top = int(ties[rise[ties].argmax()])
        found.append((at, top))


@undisturbed("model")
def segment(model: nn.Module, start: Tensor, end: Tensor, max_regions: int = MAX_REGIONS):
    """The regions that a network crosses on the straight way from one input to another.

    Parameters
    ----------
    model : torch.nn.Module
        Piecewise affine, as for `partition`. A float64 copy in evaluation mode is used.
    start, end : Tensor, shape of one input, without a batch dimension
    max_regions : int
        Refuse to cross more.

    Returns
    -------
    Segment

    Raises
    ------
    NotPiecewiseAffine
        Names the module that is not, or that looks at several inputs at once.
    TypeError
        If the model returns something else than one tensor.
    UndecidablePartition
        Where float64 cannot tell whether units bend at one point; the message names the place.
    RegionLimitExceeded
    ValueError
        If the ends are the same, differ in shape or are not finite, or the model does not take
        such inputs; for NaN weights and models in half precision.

    Notes
    -----
    What counts as zero, and as one point, is as for `partition`. Memory grows with the regions
    times the values of the widest layers; a way that would take more than half of the machine's
    is refused.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> layer = torch.nn.Linear(1, 2)
    >>> layer.weight.data[:], layer.bias.data[:] = 1.0, torch.tensor([-0.25, -0.5])
    >>> net = torch.nn.Sequential(layer, torch.nn.ReLU())
    >>> sl.segment(net, torch.zeros(1), torch.ones(1)).breakpoints.tolist()
    [0.0, 0.25, 0.5, 1.0]
    """
    ends = [torch.as_tensor(x).detach().double().cpu() for x in (start, end)]
    if ends[0].shape != ends[1].shape:
        shapes = " and ".join(str(tuple(x.shape)) for x in ends)
        raise ValueError(f"start and end must have one shape, not {shapes}")
    if not all(torch.isfinite(x).all() for x in ends):
        raise ValueError("start and end must be finite")
    if torch.equal(*ends):
        raise ValueError("start and end are the same input: there is no way between them")
    check_weights(model)
    check_precision(model)
    exact = replica(model, _in_float64).eval()
    graph = record(exact, torch.stack(ends))
    graph.check_output()
    layers = layers_of(graph)
    with torch.no_grad():
        run = Run(torch.stack(ends), max_regions)
        outputs = _propagate(graph, run)
        _check_outputs(exact, run, outputs, ends)
    pieces = run.codes()
    codes = {
        layer.name: bits.reshape(len(bits), *layer.unit_shape)
        for layer, bits in zip(layers, pieces, strict=True)
    }
    names = [layer.name for layer in layers]
    return Segment(
        run.shares, outputs, RegionCodes.from_bool(codes), run.source[1:-1], names, *ends
    )


def _in_float64(tensor: Tensor) -> Tensor:
    dtype = torch.float64 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True)


def _propagate(graph: Graph, run: Run) -> np.ndarray:
    """Run the network, with a point wherever it bends; its outputs at all points, (K + 1, C)."""
    last_use = graph.last_use()
    for position, (node, needed) in enumerate(zip(graph.nodes, graph.needed(), strict=True)):
        if needed:
            with row_by_row(node):
                run.apply(node)
        for index in [i for i in run.values if last_use.get(i, -1) <= position]:
            del run.values[index], run.sizes[index]
    return as_rows(run.values[graph.output]).numpy().copy()


def _check_outputs(model: nn.Module, run: Run, outputs: np.ndarray, ends: list[Tensor]) -> None:
    """Refuse outputs that are not the network's, at some points."""
    some = np.unique(np.linspace(0, len(run.shares) - 1, 16).astype(int))
    shares = torch.from_numpy(run.shares[some]).reshape(-1, *[1] * ends[0].dim())
    truth = as_rows(model(ends[0] + shares * (ends[1] - ends[0]))).numpy()
    size = np.abs(truth).max(initial=0)
    if truth.shape != outputs[some].shape or not np.allclose(
        truth, outputs[some], rtol=1e-6, atol=1e-6 * size + 1e-12
    ):
        raise NotPiecewiseAffine(
            "the network, run again function by function, gives other outputs: it is random in "
            "evaluation mode, keeps a state, or mixes the rows of a batch. Make its forward a "
            "function of the input alone"
        )
