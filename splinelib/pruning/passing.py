"""Units that are affine all over a box replaced by as few as their map has dimensions.

Of a layer ``W x + b`` some units are affine on the box, with slopes a and intercepts c. What the
next layer reads of them is ``W' (a (W x + b) + c)``, an affine map whose matrix ``W' a W`` may have
a smaller rank than there are units. With its singular vectors, ``U s V^T``, as many units
``V^T x + t`` do, each passing a number on: t is so large that they keep to the last piece of the
activation, and the next layer's bias takes it off again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..bounds.ranges import EPS, Range
from .decided import LinearPair, Pieces

_MARGIN = 0.01  # by which a unit that passes a number on keeps off its breakpoint, of its size

Map = tuple[Tensor, Tensor]  # weight (out, in) and bias (out,), float64


@dataclass(frozen=True)
class _Units:
    """Some units of a pair of layers, (U, ...), the columns that read them among them."""

    rows: Tensor
    bias: Tensor
    columns: Tensor  # (U, out)
    known: Tensor
    slopes: Tensor
    intercepts: Tensor
    low: Tensor  # of their values
    high: Tensor
    errors: Tensor  # of their pre-activations
    places: Tensor  # in the dense network; -1 of those that pass numbers on

    def at(self, kept: Tensor) -> "_Units":
        """Some of them."""
        return _Units(*(getattr(self, field.name)[kept] for field in fields(self)))

    def and_also(self, others: "_Units") -> "_Units":
        """These, and others behind them."""
        names = [field.name for field in fields(self)]
        return _Units(*(torch.cat([getattr(self, n), getattr(others, n)]) for n in names))

    def matrix(self) -> Tensor:
        """What the next layer reads of them as a map of what they read, on their pieces."""
        return self.columns.T @ (self.slopes[:, None] * self.rows)

    def constant(self) -> Tensor:
        """What it gives at zero."""
        return self.columns.T @ (self.slopes * self.bias + self.intercepts)

    def size(self, read: Tensor) -> Tensor:
        """Bounds of the terms of both where no input is larger than `read`."""
        terms = self.rows.abs() @ read + self.bias.abs()
        return self.columns.abs().T @ (self.slopes.abs() * terms + self.intercepts.abs())


class Passing:
    """Linear layers, with activations between them, from which decided units are taken.

    Parameters
    ----------
    pairs : sequence of LinearPair
        In order of execution.
    maps : mapping of str to Map
        By the names of their layers.
    reads : mapping of str to Range, shape (1, in)
        What each of these layers reads in the box.
    eps : float
        Of the type that the network computes in: singular values below it, relative to the norms
        of both matrices, are rounding.

    Attributes
    ----------
    pairs : sequence of LinearPair
    maps : dict of str to Map
        The layers as they are without the units that went.
    pieces : dict of str to Pieces
        By group, of the units that are left.
    places : dict of str to Tensor of int, shape (U,)
        By group, which units of the dense network these are; -1 of those that pass numbers on.
    errors : dict of str to Tensor, shape (out,)
        How far rounding may have taken what each layer makes, anywhere in the box.
    """

    def __init__(
        self,
        pairs: Sequence[LinearPair],
        maps: Mapping[str, Map],
        reads: Mapping[str, Range],
        eps: float,
    ):
        self.pairs, self.maps, self._reads, self._eps = pairs, dict(maps), dict(reads), eps
        self.pieces = {pair.group: pair.pieces for pair in pairs}
        self.places = {pair.group: torch.arange(len(pair.pieces.known)) for pair in pairs}
        self.errors = {name: torch.zeros_like(bias) for name, (_, bias) in maps.items()}
        changed = True
        while changed:  # what goes in one layer may leave the others less to pass on
            steps = [self._reduce(pair) for pair in (*reversed(pairs), *pairs)]
            changed = any(steps)

    def _reduce(self, pair: LinearPair) -> bool:
        """Take what is constant or unread from a pair, and replace the affine units if fewer do."""
        units, pieces = self._units(pair), self.pieces[pair.group]
        affine, unread = units.at(pieces.linear), (units.columns == 0).all(1)
        factors = self._factors(affine) if _passes(pair) else None
        if factors is None and not (pieces.flat | unread).any():
            return False
        left, (weight, bias) = units.at(~(pieces.flat | unread)), self.maps[pair.consumer]
        bias = bias + units.at(pieces.flat).constant()
        if factors is not None:
            passing = self._passing(pair, *factors)
            read = self._reads[pair.producer].largest()[0]
            error = affine.errors @ (affine.slopes[:, None] * affine.columns).abs()
            error = error + (affine.matrix() - passing.matrix()).abs() @ read
            terms = weight.shape[1] + len(read) + 64
            size = affine.size(read) + passing.size(read) + bias.abs()
            self.errors[pair.consumer] = self.errors[pair.consumer] + error + terms * EPS * size
            bias = bias + affine.constant() - passing.constant()
            left = units.at(~(units.known | unread)).and_also(passing)
        self.maps[pair.producer] = left.rows, left.bias
        self.maps[pair.consumer] = left.columns.T, bias
        self.errors[pair.producer] = left.errors
        self._reads[pair.consumer] = Range(left.low[None], left.high[None])
        self.pieces[pair.group] = Pieces(left.known, left.slopes, left.intercepts)
        self.places[pair.group] = left.places
        return True

    def _units(self, pair: LinearPair) -> _Units:
        pieces, values = self.pieces[pair.group], self._reads[pair.consumer]
        return _Units(
            *self.maps[pair.producer],
            self.maps[pair.consumer][0].T,
            pieces.known,
            pieces.slopes,
            pieces.intercepts,
            values.low[0],
            values.high[0],
            self.errors[pair.producer],
            self.places[pair.group],
        )

    def _factors(self, affine: _Units) -> tuple[Tensor, Tensor] | None:
        """The affine units' map as columns (r, out) and directions (r, in), if r is less."""
        if not len(affine.rows):
            return None
        # through two triangles, which are small where the units are few
        right, one = torch.linalg.qr((affine.slopes[:, None] * affine.rows).T)
        left, two = torch.linalg.qr(affine.columns.T)
        u, s, v = torch.linalg.svd(two @ one.T, full_matrices=False)
        noise = self._eps * max(len(right), len(left), len(affine.rows))
        norms = torch.linalg.matrix_norm(one, 2) * torch.linalg.matrix_norm(two, 2)
        rank = int((s > noise * norms).sum())
        if rank >= len(affine.rows):
            return None
        return (left @ u[:, :rank] * s[:rank]).T, v[:rank] @ right.T

    def _passing(self, pair: LinearPair, columns: Tensor, directions: Tensor) -> _Units:
        """Units that pass on what the input is in some directions."""
        phi, read = pair.node.activation, self._reads[pair.producer]
        slope, last = float(phi.slopes[-1]), phi.breakpoints[-1]
        centre = read.centre()
        reach = directions.abs() @ read.radius(centre)[0]
        size = directions.abs() @ read.largest()[0]
        ahead = reach + torch.where(size > 0, _MARGIN * size, 1.0)
        start = last + ahead - directions @ centre[0]
        beyond = last + ahead  # where the activation is slope * z + level
        level = phi.call(start.new_full((1, len(pair.pieces.known)), last + 1.0))[0, 0]
        level = (level - slope * (last + 1)) * torch.ones_like(start)
        ends = slope * (beyond - reach) + level, slope * (beyond + reach) + level
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        nothing = torch.zeros_like(start)
        return _Units(
            rows=directions,
            bias=start,
            columns=columns / slope,
            known=nothing == 0,
            slopes=nothing + slope,
            intercepts=level,
            low=low,
            high=high,
            errors=nothing,
            places=nothing.long() - 1,
        )


def _passes(pair: LinearPair) -> bool:
    """Whether the last piece of the activation, which has no end, is not flat."""
    slope = pair.node.activation.slopes[-1]
    return isinstance(slope, int | float) and slope != 0
