"""A recorded network run on a whole rectangle of a plane at once.

On the rectangle every value inside the network is a constant plus a combination of a few
functions: the two coordinates, and the output of each unit that bends there. Of a convolution's
tens of thousands of units few do; all others are affine in those that came before. So a value is
kept as its coefficients, which go through the network's layers like a few more inputs, and only the
functions are kept at the vertices. Where a unit's sign is the same all over the rectangle is
decided from bounds first, and at the vertices only where those do not tell.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from .network.trace import Graph, Node, Value
from .subdivision import UNSURE, Mesh, extended, find_bits, pack_bits, reduce_or

# A pre-activation counts as zero within this many units in the last place of the terms that it
# is the sum of. In networks of whole numbers, with twins and many lines through one point, those
# that are zero were found within one, but for vertices that are off themselves (`Mesh.drift`).
ULPS = 2.0**4
EPS = np.finfo(np.float64).eps
_BLOCK = 1 << 22  # numbers in an intermediate result
_TILES = 16  # along each side of the rectangle, for bounds


@dataclass
class Combination:
    """A value of the network on the rectangle: a constant plus a combination of functions.

    Attributes
    ----------
    functions : ndarray of int, shape (n,)
        Their numbers, increasing.
    rows : Tensor of float64, shape (1 + n, *shape)
        The constant, and the coefficient of each function.
    size : Tensor of float64, shape (1, *shape)
        How large the terms are that the value is a sum of: bounds what rounding can do.
    """

    functions: np.ndarray
    rows: Tensor
    size: Tensor

    def over(self, functions: np.ndarray) -> Tensor:
        """The rows for more functions, those that do not occur zero."""
        if len(functions) == len(self.functions):
            return self.rows
        rows = self.rows.new_zeros(1 + len(functions), *self.rows.shape[1:])
        rows[0] = self.rows[0]
        rows[torch.from_numpy(1 + np.searchsorted(functions, self.functions))] = self.rows[1:]
        return rows

    def minus(self, other: "Combination") -> "Combination":
        """The difference of two values."""
        functions = np.union1d(self.functions, other.functions)
        rows = self.over(functions) - other.over(functions)
        return Combination(functions, rows, self.size + other.size)


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
        All bits; what stands at `bits` means nothing.
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
            block = max(1, 8 * _BLOCK // (64 * len(at)))
            for start in range(0, len(out), block):
                some = LayerCode(self.words[start : start + block], self.bits, constant).varying()
                flags = np.zeros((len(some), 64 * len(at)), bool)
                flags[:, 64 * place + (self.bits & 63)] = some
                out[start : start + block, at] |= pack_bits(flags)
        return out


class Propagation:
    """The network's values and the mesh that they are affine on, layer by layer."""

    def __init__(self, mesh: Mesh, plane, max_regions: int):
        self.mesh, self.max_regions = mesh, max_regions
        half = (mesh.xy[2] - mesh.xy[0]) / 2
        rows = torch.stack(
            [
                plane(mesh.xy[:1] / 2 + mesh.xy[2:3] / 2)[0],
                half[0] * plane.right,
                half[1] * plane.up,
            ]
        )
        start = Combination(np.arange(2), rows, rows.abs().sum(0, keepdim=True))
        self.values = {0: start}  # what is still needed
        self.functions = np.arange(2)  # coordinates from -1 to 1, and what bends
        self.at_vertices = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])  # (V, functions)
        self.largest = np.ones(2)
        self.made = 2
        self.codes: list[LayerCode] = []
        self.parents: list[np.ndarray] = []

    def run(self, graph: Graph) -> tuple[np.ndarray, np.ndarray, list[LayerCode]]:
        """Outputs at the vertices, the size of their terms, and the codes of every layer."""
        last_use = graph.last_use()
        for position, node in enumerate(graph.nodes):
            if node.activation is None:
                self._affine(node)
            elif node.activation.pool:
                self._pool(node)
            else:
                dead = [i for i in node.inputs if last_use.get(i, -1) <= position]
                self._bend(node, dead)
            for index in [i for i in self.values if last_use.get(i, -1) <= position]:
                del self.values[index]
        lineage = np.arange(len(self.mesh))
        for code, parent in zip(reversed(self.codes), reversed(self.parents), strict=True):
            code.words = code.words[lineage]
            lineage = parent[lineage]
        outputs = self.values[graph.output]
        rows = outputs.rows.reshape(len(outputs.rows), -1).numpy()
        sizes = outputs.size.expand(1, *outputs.rows.shape[1:]).reshape(-1).numpy()
        return self._evaluated(outputs, rows), sizes, self.codes

    # --- affine layers -------------------------------------------------------------------

    def _affine(self, node: Node) -> None:
        """Send constant and coefficients through an affine layer, a few rows at a time."""
        inputs = {i: self.values[i] for i in dict.fromkeys(node.inputs)}
        functions = next(iter(inputs.values())).functions
        for value in inputs.values():
            functions = np.union1d(functions, value.functions)
        rows = {i: value.over(functions) for i, value in inputs.items()}
        constant = {i: r[:1] for i, r in rows.items()}
        node.run(constant, 1)
        linear = _without_constants(node)
        zero = {i: torch.zeros_like(r[:1]) for i, r in rows.items()}
        linear.run(zero, 1)
        out = {
            i: constant[i].new_empty(1 + len(functions), *constant[i].shape[1:])
            for i in node.outputs
        }
        largest = max(constant[i][0].numel() for i in (*inputs, *node.outputs))
        step = max(1, _BLOCK // largest)
        for start in range(1, 1 + len(functions), step):
            stop = min(start + step, 1 + len(functions))
            some = {i: r[start:stop] for i, r in rows.items()}
            linear.run(some, stop - start)
            for i in node.outputs:
                out[i][start:stop] = some[i]
                if zero[i].any():  # a constant that is not known to be one
                    out[i][start:stop] -= zero[i]
        sizes = {i: value.size for i, value in inputs.items()}
        _absolute(node).run(sizes, 1)
        for i in node.outputs:
            out[i][0] = constant[i][0]
            self.values[i] = Combination(functions, out[i], sizes[i].abs())

    # --- units that bend -----------------------------------------------------------------

    def _bend(self, node: Node, dead: list[int]) -> None:
        """Cut where a pointwise activation bends, and apply it."""
        activation, at = node.activation, node.activation.breakpoints
        operands = self._operands(node)
        before = operands[0] if len(operands) == 1 else operands[0].minus(operands[1])
        shape = before.rows.shape[1:]
        rows = before.rows.reshape(len(before.rows), -1).numpy()
        size, units = before.size.expand(1, *shape).reshape(-1).numpy(), rows.shape[1]
        surveys = [self._survey(before.functions, rows, size, b) for b in at]
        state = np.stack([state for state, _, _ in surveys])
        if len(at) == 1:
            bits, bent, values = surveys[0][1], surveys[0][1], surveys[0][2]
            column = np.arange(len(bits))
        else:
            bits = np.concatenate([b * units + s[1] for b, s in enumerate(surveys)])
            bent, column = np.unique(bits % units, return_inverse=True)
            values = np.concatenate([s[2] for s in surveys], axis=1)
        tolerance = ULPS * EPS * (size[bits % units] + np.abs(np.take(at, bits // units)))
        pieces = _Pieces.of(activation, shape, len(operands) == 2)

        # Where the sign is the same all over: one piece of the activation, an affine map.
        slope, intercept = pieces.piece((state > 0).sum(0))
        slope[bent], intercept[bent] = 0.0, 0.0
        rows = rows * slope
        rows[0] += intercept
        functions = before.functions
        if len(operands) == 2:
            rows += (
                operands[1].over(functions).expand(len(rows), *shape).reshape(rows.shape).numpy()
            )
        for index in dead:
            del self.values[index]
        kept = rows[1:].any(1)
        functions, rows = functions[kept], rows[np.concatenate([[True], kept])]
        functions, rows, dense, carried = self._densified(functions, rows, len(bent))
        self._forget(functions)

        old = len(values)
        signs, births, parent = self._cut(values, tolerance, bits % units)
        heights = values + np.take(at, bits // units) if any(at) else values
        if len(at) > 1:
            heights, old = heights[:, np.unique(column, return_index=True)[1]], 0
        # On its own line a unit is exactly at its breakpoint: no rounding from there on.
        row, bit = find_bits(~(signs.pos[old:] | signs.neg[old:]))
        row, bit = row[bit < len(bits)], bit[bit < len(bits)]
        first = len(self.functions)
        made = self._made(len(bent) + len(dense))
        self.at_vertices = extended(births, self.at_vertices, heights, carried)
        mine = self.at_vertices[:, first : first + len(bent)]
        mine[old + row, column[bit]] = np.take(at, bits[bit] // units)
        pieces.apply(mine, bent)
        self._measure()
        whole = np.zeros((len(rows) + len(made), units))
        whole[: len(rows)] = rows
        whole[len(rows) + np.arange(len(made)), np.concatenate([bent, dense])] = 1.0
        self._keep(node, np.concatenate([functions, made]), whole, shape)
        constant = (state > 0).ravel()
        words = reduce_or(signs.pos[self.mesh.corners()], self.mesh.ptr)
        self.codes.append(LayerCode(words, bits, constant))
        self.parents.append(parent)

    def _made(self, count: int) -> np.ndarray:
        """Numbers of new functions."""
        made = self.made + np.arange(count)
        self.made += count
        self.functions = np.concatenate([self.functions, made])
        return made

    def _measure(self) -> None:
        """How large each new function becomes; between vertices it is smaller."""
        new = self.at_vertices[:, len(self.largest) :]
        largest = np.maximum(new.max(0), -new.min(0))
        self.largest = np.concatenate([self.largest, largest])

    def _keep(self, node: Node, functions: np.ndarray, rows: np.ndarray, shape) -> None:
        """Make these rows the node's output."""
        largest = self.largest[np.searchsorted(self.functions, functions)]
        size = np.abs(rows[0])
        for start in range(1, len(rows), 64):
            size += largest[start - 1 : start + 63] @ np.abs(rows[start : start + 64])
        self.values[node.outputs[0]] = Combination(
            functions,
            torch.from_numpy(rows).reshape(len(rows), *shape),
            torch.from_numpy(size).reshape(1, *shape),
        )

    def _densified(self, functions: np.ndarray, rows: np.ndarray, bent: int):
        """Make units functions of their own where that frees at least as many older functions.

        Returns the functions still used, the rows over them, the units, and their values.
        """
        nothing = np.empty((len(self.at_vertices), 0))
        others = [value.functions for value in self.values.values()]
        freed = ~np.isin(functions, np.concatenate(others)) if others else functions >= 0
        units = np.flatnonzero(rows[1:].any(0)) if freed.any() else np.arange(0)
        if not len(units) or len(units) > freed.sum():
            return functions, rows, np.arange(0), nothing
        values = self._evaluated(Combination(functions, None, None), rows[:, units])
        rows = rows.copy()
        rows[:, units] = 0.0
        kept = rows[1:].any(1)
        return functions[kept], rows[np.concatenate([[True], kept])], units, values

    def _forget(self, functions: np.ndarray) -> None:
        """Drop functions that neither these nor any value is made of."""
        used = np.concatenate([functions, *(v.functions for v in self.values.values())])
        kept = np.isin(self.functions, used)
        if not kept.all():
            self.at_vertices, self.functions = self.at_vertices[:, kept], self.functions[kept]
            self.largest = self.largest[kept]

    # --- max-pooling ---------------------------------------------------------------------

    def _pool(self, node: Node) -> None:
        """Cut where the winner of a max-pooling window changes.

        The candidates of each window enter one after another, each cutting where it overtakes
        the best so far. That cuts too much, where a later candidate beats both; cells with the
        same winners everywhere are merged again.
        """
        before, activation = self._operands(node)[0], node.activation
        rows = before.rows.reshape(len(before.rows), -1).numpy()
        size = before.size.reshape(-1).numpy()
        candidates, shape = _windows(activation, before.rows.shape)
        best, contested = self._settle(before.functions, rows, size, candidates)
        open_ = np.flatnonzero(contested)
        winner, origin, values = self._play(before.functions, rows, size, candidates, open_)
        places = np.arange(activation.bits)[:, None]
        won = np.concatenate([(winner >> b) & 1 == 1 for b in places.ravel()], axis=1)
        words = pack_bits(won)
        labels = np.column_stack([origin, words.view(np.int64)])
        if len(open_):
            cells, vertices = self.mesh.merge(labels)
            self.at_vertices, values = self.at_vertices[vertices], values[vertices]
            words, origin = words[cells], origin[cells]
            self._attribute(winner, cells, open_)
        made = self._made(len(open_))
        self.at_vertices = np.concatenate([self.at_vertices, values], axis=1)
        self._measure()
        whole = np.zeros((len(rows) + len(made), len(candidates)))
        whole[: len(rows)] = rows[:, best & _INPUT]
        whole[: len(rows), open_] = 0.0
        whole[len(rows) + np.arange(len(made)), open_] = 1.0
        functions = np.concatenate([before.functions, made])
        self._keep(node, functions, whole, shape)
        constant = (((best >> _PLACE)[None] >> places) & 1 == 1).ravel()
        bits = (places * len(candidates) + open_).ravel()
        self.codes.append(LayerCode(words, bits, constant))
        self.parents.append(origin)

    def _attribute(self, winner: np.ndarray, cells: np.ndarray, windows: np.ndarray) -> None:
        """Say of each new edge at which window's change of winner it lies, the first of them.

        What drew it may have been a candidate that another one beats there. `winner` is that of
        the cells before they were merged, `cells` one of those for each that is left.
        """
        new = np.flatnonzero(self.mesh.source[:, 0] == len(self.codes))
        sides = self.mesh.owner().reshape(-1, 2)[new]
        step = max(1, _BLOCK // len(windows))
        for start in range(0, len(new), step):
            left, right = cells[sides[start : start + step].T]
            first = (winner[left] != winner[right]).argmax(1)
            self.mesh.source[new[start : start + step], 1] = windows[first]

    def _settle(self, functions, rows, size, candidates) -> tuple[np.ndarray, np.ndarray]:
        """Winners of windows in which one candidate wins all over; windows in which none does."""
        best = candidates[:, 0].copy()
        contested = np.zeros(len(best), bool)
        for column in candidates.T[1:]:
            there = np.flatnonzero((column >= 0) & ~contested)
            for start in range(0, len(there), max(1, _BLOCK // len(rows))):
                some = there[start : start + max(1, _BLOCK // len(rows))]
                entering, leading = column[some] & _INPUT, best[some] & _INPUT
                state, open_, _ = self._survey(
                    functions, rows[:, entering] - rows[:, leading], size[entering] + size[leading]
                )
                best[some[state > 0]] = column[some[state > 0]]
                contested[some[open_]] = True
        return best, contested

    def _play(self, functions, rows, size, candidates, open_):
        """Cut windows `open_` where a candidate overtakes: winners, cells' origins, best values."""
        candidates = candidates[open_]
        winner = np.tile(candidates[:, 0] >> _PLACE, (len(self.mesh), 1))
        origin = np.arange(len(self.mesh))
        value = Combination(functions, None, None)
        best = self._evaluated(value, rows[:, candidates[:, 0] & _INPUT])
        best_size = size[candidates[:, 0] & _INPUT]
        for column in candidates.T[1:]:
            here = np.flatnonzero(column >= 0)
            if not len(here):
                continue
            pixel = column[here] & _INPUT
            entering = self._evaluated(value, rows[:, pixel])
            tolerance = ULPS * EPS * (size[pixel] + best_size[here])
            signs, births, parent = self._cut(entering - best[:, here], tolerance, open_[here])
            self.at_vertices = extended(births, self.at_vertices)
            best, entering = extended(births, best), extended(births, entering)
            origin, winner = origin[parent], winner[parent]
            cell, unit = find_bits(reduce_or(signs.pos[self.mesh.corners()], self.mesh.ptr))
            winner[cell, here[unit]] = column[here[unit]] >> _PLACE
            best[:, here] = np.maximum(best[:, here], entering)
            best_size[here] = np.maximum(best_size[here], size[pixel])
        return winner, origin, best

    # --- what both need ------------------------------------------------------------------

    def _operands(self, node: Node) -> list[Combination]:
        """The inputs of an activation; a constant has no functions."""
        found = [self.values[a.index] for a in node.activation_inputs if isinstance(a, Value)]
        shape = found[0].rows.shape[1:]
        result = []
        for item in node.activation_inputs:
            if isinstance(item, Value):
                result.append(self.values[item.index])
                continue
            item = torch.as_tensor(item, dtype=torch.float64)
            item = torch.broadcast_to(item[:1] if item.dim() > len(shape) else item, (1, *shape))
            result.append(Combination(np.arange(0), item, item.abs()))
        return result

    def _columns(self, functions: np.ndarray) -> np.ndarray:
        """Values of some functions at the vertices, (V, n)."""
        if len(functions) == len(self.functions):
            return self.at_vertices
        return self.at_vertices[:, np.searchsorted(self.functions, functions)]

    def _evaluated(self, value: Combination, rows: np.ndarray) -> np.ndarray:
        """Values at the vertices, (V, U), for coefficients (1 + n, U)."""
        out = self._columns(value.functions) @ rows[1:]
        out += rows[0]
        return out

    def _survey(self, functions, rows, size, at: float = 0.0):
        """Which units are above `at` all over the rectangle, which below, which neither.

        Returns
        -------
        state : ndarray of int8, shape (U,)
            The sign where it is the same all over.
        units : ndarray of int, shape (K,)
            Those whose sign is not, and a few others at most, increasing.
        values : ndarray, shape (V, K)
            What they are above `at`, at the vertices.
        """
        here = self._columns(functions)
        tolerance = ULPS * EPS * (size + abs(at))
        state, units = np.zeros(rows.shape[1], np.int8), np.arange(rows.shape[1])

        def remaining(low, high, units):
            low, high, slack = low - at, high - at, tolerance[units]
            above, below = low > UNSURE * slack, high < -UNSURE * slack
            state[units[above]], state[units[below]] = 1, -1
            return ~(above | below | ((low >= -slack) & (high <= slack)))

        whole = here.min(0, initial=np.inf)[None], here.max(0, initial=-np.inf)[None]
        units = units[remaining(*_bounds(*whole, rows), units)]
        if len(units) > 4 * len(rows) and len(here) > 4 * _TILES**2:
            tiles = self._tiles(here)
            units = units[remaining(*_bounds(*tiles, rows[:, units]), units)]
        step = max(64, 2 * _BLOCK // len(here))
        found, kept = [np.empty((len(here), 0))], [units[:0]]
        for start in range(0, len(units), step):
            some = units[start : start + step]
            values = here @ (rows[1:, some] if len(some) < rows.shape[1] else rows[1:])
            values += rows[0, some]
            varies = remaining(values.min(0), values.max(0), some)
            if 2 * varies.sum() < len(some):  # else the few more cost less than a copy
                values, some = values[:, varies], some[varies]
            found.append(values - at if at else values)
            kept.append(some)
        if len(found) == 2:
            return state, kept[1], found[1]
        return state, np.concatenate(kept), np.concatenate(found, axis=1)

    def _tiles(self, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest value of each function on the vertices of each tile."""
        low, high = self.mesh.xy[0], self.mesh.xy[2]
        place = np.minimum(((self.mesh.xy - low) / (high - low) * _TILES).astype(int), _TILES - 1)
        tile = place[:, 0] * _TILES + place[:, 1]
        order = np.argsort(tile, kind="stable")
        starts = np.flatnonzero(np.diff(tile[order], prepend=-1))
        here = here[order]
        return np.minimum.reduceat(here, starts, axis=0), np.maximum.reduceat(here, starts, axis=0)

    def _cut(self, values, tolerance, units):
        """Cut the mesh. Zeroes what is rounding in values; returns signs, births, parents."""
        signs = self.mesh.signs(values, tolerance)
        if not len(units):
            return signs, [], np.arange(len(self.mesh))
        layer = len(self.codes)
        births, parent = self.mesh.cut(values, signs, tolerance, layer, self.max_regions, units)
        return signs, births, parent


def _bounds(low: np.ndarray, high: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (U,) of combinations (1 + n, U) of functions bounded on each of several tiles."""
    middle, radius = (low + high) / 2, (high - low) / 2
    least, most = np.empty(rows.shape[1]), np.empty(rows.shape[1])
    step = max(64, _BLOCK // len(rows), _BLOCK // len(low) // 4)
    for start in range(0, rows.shape[1], step):
        some = rows[1:, start : start + step]
        centre, spread = middle @ some, radius @ np.abs(some)
        least[start : start + step] = (centre - spread).min(0)
        most[start : start + step] = (centre + spread).max(0)
    return least + rows[0], most + rows[0]


@dataclass
class _Pieces:
    """A pointwise activation of each unit of a layer.

    Attributes
    ----------
    at : tuple of float
        Breakpoints.
    slopes : ndarray, shape (breakpoints + 1, U)
    knots : ndarray, shape (breakpoints, U)
        Values at the breakpoints.
    """

    at: tuple[float, ...]
    slopes: np.ndarray
    knots: np.ndarray

    @classmethod
    def of(cls, activation, shape, of_difference: bool) -> "_Pieces":
        """Of a maximum of two values: what it adds to the second, given their difference."""
        slopes = [
            torch.as_tensor(s, dtype=torch.float64).expand(1, *shape) for s in activation.slopes
        ]
        at, knots = (
            activation.breakpoints,
            np.zeros((len(activation.breakpoints), slopes[0].numel())),
        )
        if not of_difference:
            for knot, b in zip(knots, at, strict=True):
                inputs = torch.full((1, *shape), b, dtype=torch.float64)
                knot[:] = activation.call(inputs).reshape(-1).numpy()
        return cls(at, np.stack([s.reshape(-1).numpy() for s in slopes]), knots)

    def piece(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope and intercept of one piece for each unit, counted from the left."""
        units = np.arange(len(number))
        slope, knot = self.slopes[number, units], self.knots[np.maximum(number - 1, 0), units]
        return slope, knot - slope * np.take(self.at, np.maximum(number - 1, 0))

    def apply(self, values: np.ndarray, units: np.ndarray) -> None:
        """Apply it to values (V, K) of some units, in place."""
        slopes, knots = self.slopes[:, units], self.knots[:, units]
        if self.at == (0.0,) and not knots.any() and not slopes[0].any() and (slopes[1] == 1).all():
            np.maximum(values, 0.0, out=values)
            return
        out = knots[0] + slopes[0] * np.minimum(values - self.at[0], 0.0)
        for i, b in enumerate(self.at):
            width = self.at[i + 1] - b if i + 1 < len(self.at) else np.inf
            out += slopes[i + 1] * np.clip(values - b, 0.0, width)
        values[:] = out


# A pooling candidate: its place in the window above, its index in the flat input below.
_PLACE = 40
_INPUT = (1 << _PLACE) - 1


def _windows(activation, shape) -> tuple[np.ndarray, tuple]:
    """Candidates of each pooling window, int64 (units, largest window), and the output's shape.

    -1 where there is no candidate.
    """
    pool = activation.pool
    dims = pool["dims"]
    outer = int(np.prod(shape[1 : len(shape) - dims]))
    sizes = shape[len(shape) - dims :]
    starts, places = [], []
    example = activation.call(torch.zeros(1, *shape[1:], dtype=torch.float64))
    example = example[0] if isinstance(example, tuple) else example
    for axis, (length, out) in enumerate(zip(sizes, example.shape[-dims:], strict=True)):
        at = np.arange(out)
        if pool["adaptive"]:
            start, stop, step = at * length // out, -(-(at + 1) * length // out), 1
        else:
            step = pool["dilation"][axis]
            start = at * pool["stride"][axis] - pool["padding"][axis]
            stop = np.minimum(start + step * pool["window"][axis], length)
        place = np.arange(pool["window"][axis])
        position = start[:, None] + step * place
        starts.append(np.where((position >= 0) & (position < stop[:, None]), position, -1))
        places.append(place)
    index, place = np.zeros((1, 1), np.int64), np.zeros(1, np.int64)
    for position, length, within in zip(starts, sizes, places, strict=True):
        joined = index[:, None, :, None] * length + position[None, :, None, :]
        missing = (index[:, None, :, None] < 0) | (position[None, :, None, :] < 0)
        index = np.where(missing, -1, joined).reshape(len(index) * len(position), -1)
        place = (place[:, None] * len(within) + within).ravel()
    valid = index >= 0
    candidates = np.where(valid, index | (place << _PLACE), -1)
    order = np.argsort(~valid, axis=1, kind="stable")  # what there is first, in window order
    candidates = np.take_along_axis(candidates, order, 1)
    channel = np.arange(outer)[:, None, None] * int(np.prod(sizes))
    candidates = np.where(candidates < 0, -1, candidates + channel)
    return candidates.reshape(-1, candidates.shape[-1]), example.shape[1:]


_BIASED = {"linear", *(f"conv{d}d" for d in (1, 2, 3)), *(f"conv_transpose{d}d" for d in (1, 2, 3))}
_SUMS = {"add", "radd", "sub", "rsub", "subtract"}
_JOINS = {"cat", "concat", "concatenate", "stack", "hstack", "vstack"}
_ABSOLUTE = {
    "sub": torch.add,
    "subtract": torch.add,
    "rsub": torch.add,
    "neg": torch.clone,
}


def _without_constants(node: Node) -> Node:
    """The linear part of an affine node, as far as it is known where its constants are."""
    args, kwargs, name = node.args, dict(node.kwargs), node.name

    def zero(item):
        if isinstance(item, Tensor):
            return torch.zeros_like(item)
        return 0.0 if isinstance(item, float | int) and name in _SUMS else item

    if name in _BIASED:
        args = tuple(None if i == 2 else a for i, a in enumerate(args))
        kwargs |= {"bias": None} if "bias" in kwargs else {}
    elif name == "batch_norm":  # x, mean, variance, scale, shift
        args = tuple(zero(a) if i in (1, 4) else a for i, a in enumerate(args))
        kwargs |= {key: zero(kwargs[key]) for key in ("running_mean", "bias") if key in kwargs}
    elif name in _SUMS | _JOINS:
        args = tree_map(zero, args)
        kwargs |= {key: zero(kwargs[key]) for key in ("other", "input") if key in kwargs}
    else:
        return node
    return replace(node, args=args, kwargs=kwargs)


def _absolute(node: Node) -> Node:
    """The node on sizes: |W| |x| + |b| for a linear layer."""
    return replace(
        node,
        func=_ABSOLUTE.get(node.name, node.func),
        args=_absolute_constants(node.args, node.name),
        kwargs=_absolute_constants(node.kwargs, node.name),
    )


def _absolute_constants(arguments, name: str):
    def positive(item):
        return item.abs() if isinstance(item, Tensor) and item.is_floating_point() else item

    if name == "batch_norm" and isinstance(arguments, tuple):
        x, mean, *rest = arguments
        # (x - mean) * gamma / sigma + beta: the mean is subtracted, so its size is added
        return (x, None if mean is None else -mean.abs(), *map(positive, rest))
    return tree_map(positive, arguments)
