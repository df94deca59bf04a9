"""By how much the outputs of two networks differ on a box, at most."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..network.surroundings import undisturbed
from .backwards import range_of
from .box import Box
from .forwards import ALL, walk
from .pair import CHANGE, FIRST, SECOND, Pair, mismatch
from .ranges import Range
from .recorded import recorded
from .state import State
from .units import UNITS, UnitBounds, of_state

METHODS = ("differences", "crown", "interval")
_BLOCK = 2**16  # units of the largest layer over all boxes that are bounded together


@dataclass(frozen=True)
class ChangeBound:
    """How far two networks can be apart on each of N boxes.

    Attributes
    ----------
    low, high : Tensor of float64, shape (N, K)
        ``low <= second - first <= high`` for each output, or each combination of them,
        everywhere in the box.
    before, after : Range
        The same for the outputs of the first network and of the second: `low` and `high`, (N, K).
    units_before, units_after : tuple of UnitBounds
        What is proven of the units of each layer of the first and of the second network.
    """

    low: Tensor = field(repr=False)
    high: Tensor = field(repr=False)
    before: Range = field(repr=False)
    after: Range = field(repr=False)
    units_before: tuple[UnitBounds, ...] = field(repr=False)
    units_after: tuple[UnitBounds, ...] = field(repr=False)

    @property
    def sizes(self) -> Tensor:
        """Largest absolute change of each output on each box, (N, K)."""
        return torch.maximum(self.low.abs(), self.high.abs())

    @property
    def largest(self) -> float:
        """Largest absolute change of any output on any box."""
        return float(self.sizes.max())

    def __repr__(self) -> str:
        proven = sum(int((u.on | u.off).sum()) for u in self.units_before)
        units = sum(u.low.numel() for u in self.units_before)
        return (
            f"ChangeBound(largest={self.largest:.6g} in {tuple(self.low.shape)} boxes and outputs, "
            f"{proven} of {units} units of the first network proven on or off)"
        )


@undisturbed("first", "second")
def change_bound(
    first: nn.Module,
    second: nn.Module,
    box: tuple[Tensor, Tensor],
    *,
    combinations: Tensor | None = None,
    units: int = UNITS,
    method: str = "differences",
) -> ChangeBound:
    """Bounds of the change of the outputs from one network to another on boxes of inputs.

    Both networks are bounded layer by layer, forwards by intervals and backwards by linear
    relaxations (CROWN, Zhang et al. 2018; DeepPoly, Singh et al. 2019), and with them their
    differences, so that what they share cancels. It is a bound of both networks in exact
    arithmetic, with the weights as they are stored: each step is charged with what rounding can do
    to it in float64. What a network rounds when it runs in float32 comes on top.

    Parameters
    ----------
    first, second : torch.nn.Module
        Piecewise affine, of one layout: a network and the same with other weights, or with fewer
        channels. Differences are followed where both have the same shapes. Float64 copies in
        evaluation mode are used, on the CPU; the models are left as they are.
    box : (Tensor, Tensor), shape (N, ...)
        Lowest and highest inputs, a row for each box; one dimension is one box.
    combinations : Tensor, shape (K, C) or (N, K, C), optional
        Bound these combinations of the C outputs, margins between classes for instance, in place
        of each output.
    units : int
        What an activation reads is bounded backwards where it has at most so many values, else by
        intervals alone, which is faster, needs less memory and is looser. The outputs are always
        bounded backwards.
    method : {"differences", "crown", "interval"}
        ``"crown"`` follows no differences: linear bounds of both networks, subtracted as functions
        of the input. ``"interval"`` subtracts the intervals of both.

    Returns
    -------
    ChangeBound
        With ``"differences"`` it is never looser than with the other two.

    Raises
    ------
    NotPiecewiseAffine
        If a network holds an operation that is not piecewise affine; it names the module.
    TypeError
        For a box that is not two tensors of floating point numbers, or outputs that are no tensor.
    ValueError
        For a box that is empty, infinite, NaN or upside down, or of a shape that the networks do
        not take; networks of other layouts; an unknown method; wrong combinations; values that
        overflow.

    Examples
    --------
    >>> import torch
    >>> net, other = (torch.nn.Linear(2, 1, bias=False) for _ in range(2))
    >>> net.weight.data[:], other.weight.data[:] = torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    >>> change_bound(net, other, (-torch.ones(2), torch.ones(2))).high.round(decimals=6)
    tensor([[2.]], dtype=torch.float64)
    """
    if method not in METHODS:
        raise ValueError(f"method should be one of {', '.join(METHODS)}, not {method!r}")
    box = Box.checked(box)
    graphs = recorded(first, box), recorded(second, box)
    why = mismatch(*graphs) or _other_outputs(*graphs)
    if why:
        raise ValueError(
            f"the networks are not of one layout: {why}. Only a network and its pruned version, or "
            "the same network with other weights, can be bounded together"
        )
    rows = checked_rows(combinations, graphs[0].shapes[graphs[0].output][1:], len(box))
    pair, parts = Pair(*graphs), []
    with torch.no_grad():
        step = max(1, _BLOCK // pair.terms)
        for start in range(0, len(box), step):
            some = box.part(start, start + step)
            parts.append(_bounded(pair, some, rows[start : start + step], units, method))
    return _joined(parts)


def _bounded(pair: Pair, box: Box, rows: Tensor, units: int, method: str) -> ChangeBound:
    kinds = ALL if method == "differences" else (FIRST, SECOND)
    state = walk(pair, box, 0 if method == "interval" else units, kinds)
    ways = [] if method == "interval" else [lambda r: {SECOND: r, FIRST: -r}]
    if method == "differences":
        ways.append(lambda r: {CHANGE: r})
    linear = method != "interval"
    before = _range(state, rows, FIRST, [lambda r: {FIRST: r}] * linear)
    after = _range(state, rows, SECOND, [lambda r: {SECOND: r}] * linear)
    change = after.minus(before)
    if method == "differences":
        change = change.within(_range(state, rows, CHANGE, []))
    change = _narrowed(state, rows, ways, change)
    found = of_state(state, FIRST), of_state(state, SECOND)
    return ChangeBound(change.low, change.high, before, after, *found)


def _range(state: State, rows: Tensor, kind: int, ways: list) -> Range:
    """Of combinations of the outputs of one kind, from the outputs' ranges and backwards."""
    known = state.ranges[kind][state.pair.graphs[0].output]
    centre, c = known.centre(), rows.reshape(*rows.shape[:2], -1)
    flat = (t.reshape(len(c), -1) for t in (centre, known.largest(), known.radius(centre)))
    middle, size, radius = (
        torch.einsum("brn,bn->br", a, t) for a, t in zip((c, c.abs(), c.abs()), flat, strict=True)
    )
    reach = radius + state.unit * size
    return _narrowed(state, rows, ways, Range(middle - reach, middle + reach))


def _narrowed(state: State, rows: Tensor, ways: list, known: Range) -> Range:
    output = state.pair.graphs[0].output
    for way in ways:
        known = range_of(state, output, way(rows)).within(known)
    return known


def _other_outputs(one, two) -> str:
    shapes = [g.shapes[g.output][1:] for g in (one, two)]
    return "" if shapes[0] == shapes[1] else f"their outputs are of shapes {shapes[0]}, {shapes[1]}"


def checked_rows(combinations: Tensor | None, shape: tuple[int, ...], boxes: int) -> Tensor:
    """Coefficients of the outputs, (N, K, *shape), from what a caller gives for N boxes.

    Raises
    ------
    ValueError
        If they are of other shapes, or not finite.
    """
    outputs = int(torch.Size(shape).numel())
    if combinations is None:
        combinations = torch.eye(outputs)
    good = isinstance(combinations, Tensor) and combinations.dim() in (2, 3)
    good = good and combinations.shape[-1] == outputs and combinations.numel() > 0
    good = good and (combinations.dim() == 2 or len(combinations) == boxes)
    if not good or not combinations.isfinite().all():
        raise ValueError(
            f"combinations should be a finite tensor of shape (K, {outputs}) or "
            f"({boxes}, K, {outputs}): coefficients of the {outputs} outputs"
        )
    rows = combinations.detach().to("cpu", torch.float64)
    rows = rows.expand(boxes, *rows.shape[-2:])
    return rows.reshape(boxes, rows.shape[1], *shape)


def _joined(parts: list[ChangeBound]) -> ChangeBound:
    """The same for the boxes of all parts."""
    if len(parts) == 1:
        return parts[0]

    def ranges(name: str) -> Range:
        found = [getattr(part, name) for part in parts]
        return Range(torch.cat([r.low for r in found]), torch.cat([r.high for r in found]))

    def units(name: str) -> tuple[UnitBounds, ...]:
        layers = zip(*(getattr(part, name) for part in parts), strict=True)
        return tuple(
            UnitBounds(
                same[0].name,
                same[0].kind,
                same[0].breakpoints,
                torch.cat([u.low for u in same]),
                torch.cat([u.high for u in same]),
            )
            for same in layers
        )

    return ChangeBound(
        torch.cat([part.low for part in parts]),
        torch.cat([part.high for part in parts]),
        ranges("before"),
        ranges("after"),
        units("units_before"),
        units("units_after"),
    )
