"""A run of a network on the points of a segment, to which every activation adds those it bends at.

At each point the values that are still needed are kept; between neighbours they are affine.
"""

import numpy as np
import torch
from torch import Tensor

from ..errors import UndecidablePartition
from ..network.graph import Node, Value
from ..network.linear_parts import absolute
from .indexing import starts_run
from .limits import check_memory, check_regions
from .pooling import windows
from .rounding import UNSURE, tolerance_of

_PLACE = (1 << 40) - 1  # below it a candidate's index in the flat input, above its place


class Run:
    """The values of a network at points of a segment, and the codes between them.

    Attributes
    ----------
    shares : ndarray of float64, shape (K + 1,)
        Where the points are, from 0 to 1.
    source : ndarray of int, shape (K + 1, 2)
        Layer and unit that bends at each point; (-1, -1) at both ends.
    values : dict of int to Tensor
        Rows (K + 1, ...) of the values that are still needed.
    sizes : dict of int to Tensor
        Of the terms that each is a sum of, (1, ...): bounds what rounding can do.
    """

    def __init__(self, ends: Tensor, max_regions: int):
        self.shares, self.source = np.array([0.0, 1.0]), np.full((2, 2), -1)
        self.values: dict[int, Tensor] = {0: ends}
        self.sizes: dict[int, Tensor] = {0: ends.abs().amax(0, keepdim=True)}
        self._max_regions = max_regions
        self._codes: list[tuple[np.ndarray, np.ndarray]] = []  # bits, and shares they start at

    def codes(self) -> list[np.ndarray]:
        """For each layer its bits, bool (K, ...), on the pieces that there are in the end."""
        middle = (self.shares[1:] + self.shares[:-1]) / 2
        return [
            bits[np.searchsorted(starts, middle, side="right") - 1] for bits, starts in self._codes
        ]

    def apply(self, node: Node) -> None:
        """Compute what a node makes, with new points where it bends."""
        if node.activation is None:
            node.run(self.values, len(self.shares))
            sizes = dict(self.sizes)
            absolute(node).run(sizes, 1)
            self.sizes |= {i: sizes[i].abs() for i in node.outputs}
            return
        zero = None
        if node.activation.pool:
            bits = self._bend_at_windows(node)
        else:
            bits, zero = self._bend_at_breakpoints(node)
        self._codes.append((bits, self.shares[:-1].copy()))
        node.run(self.values, len(self.shares))
        if zero is not None and len(node.activation_inputs) == 1:
            self._put_on_breakpoints(node, zero)
        for i in node.outputs:
            self.sizes[i] = self.values[i].abs().amax(0, keepdim=True)

    def _bend_at_breakpoints(self, node: Node) -> tuple[np.ndarray, Tensor]:
        """Points where a unit crosses a breakpoint of its activation.

        Returns the code's bits, and where units are at a breakpoint, (K + 1, breakpoints, ...).
        """
        z = node.activation.pre_activation(*self._operands(node, self.values))
        at = torch.tensor(node.activation.breakpoints, dtype=torch.float64)
        at = at.reshape(-1, *[1] * (z.dim() - 1))
        units, z = z[0].numel(), z[:, None] - at
        shape = z.shape[1:]
        size = sum(operand.abs() for operand in self._operands(node, self.sizes))[:, None]
        size = (size + at.abs()).expand(1, *shape).flatten().numpy()
        z, _ = self._cut(z.flatten(1).numpy(), size, np.arange(len(size)) % units)
        return z[1:] + z[:-1] > 0, torch.from_numpy(z == 0).reshape(len(z), *shape)

    def _put_on_breakpoints(self, node: Node, zero: Tensor) -> None:
        """Give units that are at a breakpoint up to rounding the value there.

        What rounding made of them could be all that later layers see.
        """
        (o,), phi = node.outputs, node.activation
        for i, b in enumerate(phi.breakpoints):
            knot = phi.call(torch.full_like(self.values[o][:1], b))
            self.values[o] = torch.where(zero[:, i], knot, self.values[o])

    def _bend_at_windows(self, node: Node) -> np.ndarray:
        """Points where the winner of a max-pooling window changes; the code's bits."""
        (operand,) = (a.index for a in node.activation_inputs if isinstance(a, Value))
        candidates, _ = windows(node.activation, self.values[operand].shape)
        flat = self.values[operand].flatten(1).numpy()
        size = self.sizes[operand].flatten().numpy()
        before, column = len(self.shares), candidates[:, 0]
        winner = np.tile(column >> 40, (before - 1, 1))
        best, best_size = flat[:, column & _PLACE], size[column & _PLACE]
        for column in candidates.T[1:]:
            here = np.flatnonzero(column >= 0)
            pixel = column[here] & _PLACE
            lead = flat[:, pixel] - best[:, here]
            lead, rows = self._cut(lead, size[pixel] + best_size[here], here)
            flat, best = rows(flat), rows(best)
            old = np.searchsorted(rows.kept, np.arange(len(lead) - 1), side="right") - 1
            ahead = lead[1:] + lead[:-1] > 0
            winner = winner[old]
            winner[:, here] = np.where(ahead, column[here] >> 40, winner[:, here])
            best[:, here] = np.maximum(best[:, here], flat[:, pixel])
            best_size[here] = np.maximum(best_size[here], size[pixel])
        winner = self._join_pieces(winner)
        return np.concatenate([(winner >> b) & 1 == 1 for b in range(node.activation.bits)], axis=1)

    def _operands(self, node: Node, values: dict[int, Tensor]) -> list[Tensor]:
        return [
            values[item.index]
            if isinstance(item, Value)
            else torch.as_tensor(item, dtype=torch.float64)
            for item in node.activation_inputs
        ]

    def _cut(self, z: np.ndarray, size: np.ndarray, unit: np.ndarray):
        """Put a point wherever a column of z, (K + 1, U), changes its sign.

        Returns z at all points, zero where it is so up to rounding, and what brings other rows
        there.
        """
        tolerance, layer = tolerance_of(size), len(self._codes)
        near = np.abs(z)
        unsure = (near > tolerance) & (near <= UNSURE * tolerance)
        if unsure.any():
            raise _undecidable(self.shares[unsure.any(1).argmax()])
        z = np.where(near <= tolerance, 0.0, z)
        piece, column = np.nonzero(np.sign(z[:-1]) * np.sign(z[1:]) < 0)
        change = z[piece, column] - z[piece + 1, column]
        t, slack = z[piece, column] / change, tolerance[column] / np.abs(change)
        order = np.lexsort((t, piece))
        piece, column, t, slack = (x[order] for x in (piece, column, t, slack))
        first = _separate(piece, t, slack, self.shares)
        opening = np.flatnonzero(first)
        regions = len(self.shares) - 1 + len(opening)
        check_regions(regions, self._max_regions, layer)
        # values, signs of these and what is interpolated are there at once
        held = 4 * z.shape[1] + sum(2 * value[0].numel() for value in self.values.values())
        check_memory((regions + 1) * held, regions, layer)
        rows = _Rows(piece[opening], t[opening], len(self.shares))
        z = rows(z)
        z[rows.added[np.cumsum(first) - 1], column] = 0.0  # exactly, where a unit bends
        self.values = {i: torch.from_numpy(rows(v.numpy())) for i, v in self.values.items()}
        self.shares, source = rows(self.shares), np.empty((len(z), 2), np.int64)
        source[rows.kept] = self.source
        source[rows.added, 0], source[rows.added, 1] = layer, unit[column[opening]]
        self.source = source
        return z, rows

    def _join_pieces(self, winner: np.ndarray) -> np.ndarray:
        """Drop points of this layer at which no window changes its winner."""
        changes = winner[1:] != winner[:-1]
        new = self.source[1:-1, 0] == len(self._codes)
        kept = np.concatenate([[True], ~new | changes.any(1), [True]])
        drawn = np.flatnonzero(new & changes.any(1))
        self.source[1 + drawn, 1] = changes[drawn].argmax(1)
        self.values = {i: v[torch.from_numpy(kept)] for i, v in self.values.items()}
        self.shares, self.source = self.shares[kept], self.source[kept]
        return winner[kept[:-1]]


def _separate(piece: np.ndarray, t: np.ndarray, slack: np.ndarray, shares: np.ndarray):
    """Which crossings, sorted, begin a point of their own; bool (N,)."""
    first = starts_run(piece)
    gap, reach = np.diff(t), slack[1:] + slack[:-1]
    unsure = (gap > reach) & (gap <= UNSURE * reach) & ~first[1:]
    if unsure.any():
        raise _undecidable(shares[piece[unsure.argmax()]])
    first[1:] |= gap > reach
    return first


def _undecidable(share: float) -> UndecidablePartition:
    return UndecidablePartition(
        f"near {share:.6g} of the way float64 cannot decide whether units bend at one point: move "
        "an end a little, or rescale the weights"
    )


class _Rows:
    """Rows at points with new ones in between: old rows are kept, new ones interpolated."""

    def __init__(self, piece: np.ndarray, t: np.ndarray, points: int):
        self._piece, self._t = piece, t
        self.added = piece + 1 + np.arange(len(piece))
        self.kept = np.setdiff1d(np.arange(points + len(piece)), self.added)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(self.added) + len(self.kept), *rows.shape[1:]))
        out[self.kept] = rows
        t = self._t.reshape(-1, *[1] * (rows.ndim - 1))
        start = rows[self._piece]
        out[self.added] = start + t * (rows[self._piece + 1] - start)
        return out
