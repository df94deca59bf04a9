"""A rectangle cut into convex cells by functions that are affine on each cell.

The geometry beneath `partition`: vertices, edges, cells as loops of half-edges, and one
operation, `Mesh.cut`, which cuts every cell along the zero lines of a whole layer of
functions at once.

Nothing is decided twice. Each function has one sign (-1, 0, 1) at each vertex, kept as two
bit masks; an edge is crossed where its ends have opposite signs, a cell where its corners
do; a line that passes through a vertex has sign 0 there. The signs at new vertices follow
from the order of crossings along an edge, not from arithmetic, so the cells on both sides
of an edge always agree. Floating point enters in three places only: the signs at vertices
that are there before a layer, the position of crossings along an edge, and which of them are
one and the same point. The first and the last refuse what rounding leaves open.

Half-edge ``2 * e`` runs along edge ``e`` as stored and ``2 * e + 1`` against it; a cell lies
to the left of its half-edges.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from .errors import RegionLimitExceeded, UndecidablePartition

# Between what rounding may do and this many times as much float64 cannot tell whether two lines
# meet. Beyond, they do not.
UNSURE = 4.0
# Closer than this many times what rounding may do, a vertex is looked at by itself: where lines
# meet at a small angle its own place is less certain than the values there.
_NEAR = 2.0**14
# Vertices that drift farther than this could take a function farther than `_NEAR`, steep ones
# too: there every function is looked at by itself.
_SHAKY = 2.0**-40

_PAIRS = 1 << 24  # of lines that cross, which fit into memory whatever the limit on regions
_ROWS = 1 << 21  # numbers in an intermediate result
_ONE = np.uint64(1)


def pack_bits(flags: np.ndarray) -> np.ndarray:
    """Bool (N, U) to uint64 (N, ceil(U / 64)), first unit in the lowest bit."""
    rows, units = flags.shape
    packed = np.zeros((rows, -(-units // 64) * 8), np.uint8)
    packed[:, : -(-units // 8)] = np.packbits(flags, axis=1, bitorder="little")
    return packed.view(np.uint64)


def find_bits(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every set bit, in order of rows."""
    flat = words.ravel()
    at = np.flatnonzero(flat)
    left = flat[at]
    counts = np.bitwise_count(left).astype(np.int64)
    place = _starts(counts)
    where, bit = np.repeat(at, counts), np.empty(place[-1], np.int64)
    place = place[:-1]
    while len(left):  # the lowest bit of every word that has any left
        rest = left & (left - _ONE)
        bit[place] = np.bitwise_count((left ^ rest) - _ONE)
        more = rest != 0
        left, place = rest[more], place[more] + 1
    if words.shape[1] == 1:
        return where, bit
    row, word = np.divmod(where, words.shape[1]) if where.size else (where, where)
    return row, 64 * word + bit


def one_hot(bits: np.ndarray, words: int) -> np.ndarray:
    """Masks with a single bit set, uint64 (N, words)."""
    masks = np.zeros((len(bits), words), np.uint64)
    masks[np.arange(len(bits)), bits >> 6] = _ONE << (bits & 63).astype(np.uint64)
    return masks


def reduce_or(words: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """Bitwise or of the rows ptr[i]:ptr[i + 1], for every i; no segment may be empty."""
    if words.shape[1] == 1:  # a flat array reduces several times faster
        return np.bitwise_or.reduceat(words[:, 0], ptr[:-1])[:, None]
    return np.bitwise_or.reduceat(words, ptr[:-1], axis=0)


def _starts(counts: np.ndarray) -> np.ndarray:
    """0 and the running sums of counts."""
    ptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ptr[1:])
    return ptr


def _within(counts: np.ndarray) -> np.ndarray:
    """0..c-1 for every c of counts, one after another."""
    ptr = _starts(counts)
    return np.arange(ptr[-1]) - np.repeat(ptr[:-1], counts)


def _first_of_each(*keys: np.ndarray) -> np.ndarray:
    """True where any of the sorted keys differs from the row before."""
    first = np.ones(len(keys[0]), bool)
    if len(first) > 1:
        first[1:] = keys[0][1:] != keys[0][:-1]
        for key in keys[1:]:
            first[1:] |= key[1:] != key[:-1]
    return first


@dataclass
class Births:
    """New vertices, each at ``(1 - t) * a + t * b`` for two older vertices.

    Attributes
    ----------
    a, b : ndarray of int, shape (N,)
    t : ndarray of float64 in (0, 1), shape (N,)
    slack : ndarray of float64, shape (N,)
        How far rounding may have moved t.
    """

    a: np.ndarray
    b: np.ndarray
    t: np.ndarray
    slack: np.ndarray

    def lerp(self, values: np.ndarray) -> np.ndarray:
        """Values at the new vertices, for values of shape (V, ...) affine along the edges."""
        t = self.t.reshape(-1, *[1] * (values.ndim - 1))
        start = values[self.a]
        return start + t * (values[self.b] - start)


def extended(births: list[Births], *values: np.ndarray) -> np.ndarray:
    """Values side by side, affine along the edges, at the old vertices and at the new ones.

    Arrays of shape (V, U) become one of shape (V + new, sum of U).
    """
    values = [v for v in values if v.shape[1]] or list(values[:1])
    if len(values) == 1 and not births:
        return values[0]
    end, columns = len(values[0]), np.cumsum([0, *(v.shape[1] for v in values)])
    out = np.empty((end + sum(len(born.t) for born in births), columns[-1]))
    for start, part in zip(columns, values, strict=False):
        out[:end, start : start + part.shape[1]] = part
    whole = torch.from_numpy(out)
    for born in births:
        begin, end = end, end + len(born.t)
        start, stop = (whole[torch.from_numpy(i)] for i in (born.a, born.b))
        # faster than NumPy's four passes
        torch.lerp(start, stop, torch.from_numpy(born.t)[:, None], out=whole[begin:end])
    return out


@dataclass
class Signs:
    """Signs of all functions at all vertices, two bits each.

    Attributes
    ----------
    pos, neg : ndarray of uint64, shape (V, words)
        Where the function is positive, where negative; neither where it is zero.
    """

    pos: np.ndarray
    neg: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, tolerance: np.ndarray) -> "Signs":
        """Signs of values (V, U), zero where within the tolerance (U,)."""
        return cls(pack_bits(values > tolerance), pack_bits(values < -tolerance))

    def append(self, pos: np.ndarray, neg: np.ndarray) -> None:
        self.pos, self.neg = np.concatenate([self.pos, pos]), np.concatenate([self.neg, neg])

    def opposite(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Functions whose signs at two vertices are opposite."""
        pos_a, neg_a, pos_b, neg_b = self.pos[a], self.neg[a], self.pos[b], self.neg[b]
        return (pos_a & neg_b) | (neg_a & pos_b)


@dataclass
class Mesh:
    """A subdivision of a rectangle into convex cells.

    Attributes
    ----------
    xy : ndarray of float64, shape (V, 2)
    drift : ndarray of float64, shape (V, 2)
        How far rounding may have moved each vertex along the edge that it was put on, in
        halves of the rectangle's sides: far where lines meet at a small angle.
    edges : ndarray of int, shape (E, 2)
        Start and end vertex.
    source : ndarray of int, shape (E, 2)
        (layer, unit) that drew the edge; (-1, side) on the border.
    loops : ndarray of int
        Half-edges of all cells, counter-clockwise, one cell after another.
    ptr : ndarray of int, shape (R + 1,)
        Cell i has ``loops[ptr[i]:ptr[i + 1]]``.
    """

    xy: np.ndarray
    drift: np.ndarray
    edges: np.ndarray
    source: np.ndarray
    loops: np.ndarray
    ptr: np.ndarray

    @classmethod
    def rectangle(cls, domain) -> "Mesh":
        """One cell; its sides are numbered 0 below, 1 right, 2 above, 3 left."""
        (x0, x1), (y0, y1) = domain
        xy = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
        corner = np.arange(4)
        edges = np.stack([corner, (corner + 1) % 4], 1)
        source = np.stack([np.full(4, -1), corner], 1)
        return cls(xy, np.zeros((4, 2)), edges, source, 2 * corner, np.array([0, 4]))

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def start(self, half_edges: np.ndarray) -> np.ndarray:
        """Vertex that each half-edge leaves."""
        return self.edges.ravel()[half_edges]

    def corners(self) -> np.ndarray:
        """Vertices of all cells, in the order of `loops`."""
        return self.start(self.loops)

    def owner(self) -> np.ndarray:
        """Cell left of each half-edge, int, shape (2 E,); -1 outside the rectangle."""
        owner = np.full(2 * len(self.edges), -1)
        owner[self.loops] = self.cell_of_entry()
        return owner

    def cell_of_entry(self) -> np.ndarray:
        """Cell of every entry of `loops`."""
        return np.repeat(np.arange(len(self)), np.diff(self.ptr))

    def areas(self) -> np.ndarray:
        """Area of each cell, by the shoelace formula around its first corner."""
        corners = self.corners()
        origin = np.repeat(self.xy[corners[self.ptr[:-1]]], np.diff(self.ptr), axis=0)
        p = self.xy[corners] - origin
        q = self.xy[self.edges.ravel()[self.loops ^ 1]] - origin
        return np.add.reduceat(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0], self.ptr[:-1]) / 2

    def cut(
        self,
        values: np.ndarray,
        signs: Signs,
        tolerance: np.ndarray,
        layer: int,
        max_cells: int | None = None,
        names: np.ndarray | None = None,
    ) -> tuple[list[Births], np.ndarray]:
        """Cut every cell along the zero line of every function that changes sign in it.

        Parameters
        ----------
        values : ndarray of float64, shape (V, U)
            Value of each function at each vertex, affine along every edge and cell.
        signs : Signs
            Their signs; those of the new vertices are appended.
        tolerance : ndarray, shape (U,)
            How far rounding may have moved each value.
        layer : int
            Written to `source` of the new edges.
        max_cells : int or None
            Refuse to make more cells than this.
        names : ndarray of int, shape (U,), or None
            Numbers of the functions for `source`, where they are not 0, 1, 2, ...

        Returns
        -------
        births : list of Births
            New vertices in two generations; the second refers to the first.
        parent : ndarray of int, shape (R,)
            Cell that each new cell was part of.

        Raises
        ------
        UndecidablePartition
            If the signs contradict each other at some place: float64 is not enough there.
        RegionLimitExceeded
        """
        if max_cells is not None and len(self) * (1 + values.shape[1]) > max_cells:
            corners = self.corners()  # at least as many cells as are cut, before any is made
            pos, neg = (reduce_or(words[corners], self.ptr) for words in (signs.pos, signs.neg))
            chords = int(np.bitwise_count(pos & neg).sum(dtype=np.int64))
            _check_limit(len(self) + chords, max_cells, layer)
        old_vertices = len(self.xy)
        on_edges = self._cross_edges(values, signs, tolerance)
        births = [on_edges]
        chords = self._chords(signs)
        if chords is None:
            return births, np.arange(len(self))

        def value(vertex: np.ndarray, unit: np.ndarray) -> np.ndarray:
            new = vertex >= old_vertices
            if not new.any():
                return values[vertex, unit]
            at = np.where(new, vertex - old_vertices, 0)
            low = np.where(new, on_edges.a[at], vertex)
            high = np.where(new, on_edges.b[at], vertex)
            t = np.where(new, on_edges.t[at], 0.0)
            start = values[low, unit]
            return start + t * (values[high, unit] - start)

        crossings = chords.cross(self, signs, value, tolerance, layer, max_cells)
        births.append(crossings.births)
        self._place(crossings.births)
        parent = self._insert(chords, crossings, layer, names)
        self._check(signs)
        return births, parent

    def merge(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Merge cells that have the same row of labels; their union must be convex.

        Edges between them go, vertices at which nothing meets any more go too.

        Returns
        -------
        cells : ndarray of int, shape (R,)
            One of the old cells that each cell was made of.
        vertices : ndarray of int, shape (V,)
            The old vertices kept.
        """
        _, label = np.unique(labels, axis=0, return_inverse=True)
        label = label.ravel()
        owner = self.owner()
        beside = np.where(owner >= 0, label[owner], -1)
        inner = (beside[0::2] == beside[1::2]).repeat(2)
        # Straight on at the end of every half-edge; where that edge goes, around its vertex.
        ahead = np.full(len(owner), -1)
        ahead[self.loops] = self.loops[self._next_entry()]
        following = ahead.copy()
        while True:
            blocked = np.flatnonzero((following >= 0) & inner[following])
            blocked = blocked[~inner[blocked]]
            if not len(blocked):
                break
            following[blocked] = ahead[following[blocked] ^ 1]
        kept = np.sort(self.loops[~inner[self.loops]])
        place = np.full(len(owner), -1)
        place[kept] = np.arange(len(kept))
        cycle, ptr = trace_cycles(place[following[kept]])
        self.loops, self.ptr = kept[cycle], ptr
        cells = owner[self.loops[ptr[:-1]]]
        self._drop_flat_vertices()
        used = np.unique(self.loops >> 1)
        renumber = np.full(len(self.edges), -1)
        renumber[used] = np.arange(len(used))
        self.loops = 2 * renumber[self.loops >> 1] + (self.loops & 1)
        self.edges, self.source = self.edges[used], self.source[used]
        vertices, flat = np.unique(self.edges, return_inverse=True)
        self.edges = flat.reshape(-1, 2)
        self.xy, self.drift = self.xy[vertices], self.drift[vertices]
        return cells, vertices

    def _next_entry(self) -> np.ndarray:
        """For every entry of `loops` the one that follows in its cell."""
        following = np.arange(1, len(self.loops) + 1)
        following[self.ptr[1:] - 1] = self.ptr[:-1]
        return following

    def _drop_flat_vertices(self) -> None:
        """Join the two edges at vertices where only two are left, the rectangle's corners apart."""
        used = np.unique(self.loops >> 1)
        degree = np.bincount(self.edges[used].ravel(), minlength=len(self.xy))
        flat = degree == 2
        flat[:4] = False
        while True:
            # One of each run of flat vertices at a time, so that no edge is joined twice at once.
            ends = self.edges[used]
            both = flat[ends].all(1)
            now = flat.copy()
            now[ends[both].max(1)] = False
            vertices = np.flatnonzero(now)
            if not len(vertices):
                return
            at = np.full(len(self.xy), -1)
            at[vertices] = np.arange(len(vertices))
            edge, side = np.nonzero(at[ends] >= 0)
            which = at[ends[edge, side]]
            order = np.argsort(which, kind="stable")
            edge, side, which = used[edge[order]], side[order], which[order]
            stay, go = edge[0::2], edge[1::2]
            far = self.edges[go, 1 - side[1::2]]
            self.edges[stay, side[0::2]] = far
            gone = np.zeros(len(self.edges), bool)
            gone[go] = True
            keep = ~gone[self.loops >> 1]
            cell = self.cell_of_entry()[keep]
            self.loops = self.loops[keep]
            self.ptr = np.searchsorted(cell, np.arange(len(self) + 1))
            flat[vertices] = False
            used = used[~gone[used]]

    def signs(self, values: np.ndarray, tolerance: np.ndarray) -> Signs:
        """Signs of values (V, U) at the vertices; what is zero up to rounding is set to zero.

        Raises
        ------
        UndecidablePartition
            If a value is farther from zero than rounding takes it, but less than `UNSURE` times
            as far.
        """
        signs = Signs.of(values, _NEAR * tolerance)
        shaky = (np.abs(self.drift) > _SHAKY).any(1)
        signs.pos[shaky], signs.neg[shaky] = 0, 0
        row, bit = find_bits(~(signs.pos | signs.neg))
        row, bit = row[bit < values.shape[1]], bit[bit < values.shape[1]]
        near, allowed = np.abs(values[row, bit]), np.broadcast_to(tolerance, values.shape[1:])[bit]
        far = np.flatnonzero(near > allowed)
        allowed[far] += self._drifted(values, row[far], bit[far])
        zero = near <= allowed
        unsure = ~zero & (near <= UNSURE * allowed)
        if unsure.any():
            raise self._undecidable(row[np.argmax(unsure)], "a line nearly meets a vertex")
        values[row[zero], bit[zero]] = 0.0
        row, bit = row[~zero], bit[~zero]
        mask, above = one_hot(bit, signs.pos.shape[1]), values[row, bit] > 0
        np.bitwise_or.at(signs.pos, row[above], mask[above])
        np.bitwise_or.at(signs.neg, row[~above], mask[~above])
        return signs

    def _drifted(self, values: np.ndarray, row: np.ndarray, bit: np.ndarray) -> np.ndarray:
        """How much a function at a vertex changes as the vertex drifts.

        Read off along the edge at the vertex that has most nearly the drift's direction.
        """
        change, along = np.zeros(len(row)), np.full(len(row), -1.0)
        edges = self.edges[np.isin(self.edges, row).any(1)] if len(row) else self.edges[:0]
        edges = np.concatenate([edges, edges[:, ::-1]])
        edges = edges[np.argsort(edges[:, 0], kind="stable")]
        here, there = edges.T
        low = np.searchsorted(here, row)
        many = np.searchsorted(here, row, side="right") - low
        for place in range(many.max(initial=0)):
            some = np.flatnonzero(place < many)
            v, far, unit = row[some], there[low[some] + place], bit[some]
            step, drift = self._steps(v, far), self.drift[v]
            length, size = np.hypot(*step.T), np.hypot(*drift.T)
            with np.errstate(invalid="ignore", divide="ignore"):  # edges of no length tell nothing
                cosine = np.abs((step * drift).sum(1)) / np.where(size, length * size, 1.0)
                rise = np.abs(values[far, unit] - values[v, unit]) * size / length
            better = (cosine > along[some]) & (length > 0)
            some = some[better]
            along[some], change[some] = cosine[better], rise[better]
        return change

    def _steps(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """From vertices to vertices, in halves of the rectangle's sides, shape (N, 2)."""
        return (self.xy[b] - self.xy[a]) / ((self.xy[2] - self.xy[0]) / 2)

    def _place(self, births: Births) -> None:
        """Add new vertices."""
        drift = births.slack[:, None] * self._steps(births.a, births.b)
        self.xy = np.concatenate([self.xy, births.lerp(self.xy)])
        self.drift = np.concatenate([self.drift, drift])

    def _cross_edges(self, values, signs: Signs, tolerance) -> Births:
        """Put a vertex on every edge where a function changes sign."""
        a, b = self.edges[:, 0], self.edges[:, 1]
        crossed = signs.opposite(a, b)
        edge, unit = find_bits(crossed)
        start, end = values[a[edge], unit], values[b[edge], unit]
        t = start / (start - end)
        slack = tolerance[unit] / np.abs(start - end)
        order, first, t_group, slack = _group_along(self, a, b, edge, t, slack)
        edge, unit = edge[order], unit[order]
        opening = np.flatnonzero(first)
        at = edge[opening]
        births = Births(a[at], b[at], t_group, slack)
        pos, neg = _signs_along(signs, a, b, crossed, edge, unit, opening)
        signs.append(pos, neg)

        new = len(self.xy) + np.arange(len(at))
        self._place(births)
        pieces = 1 + np.bincount(at, minlength=len(self.edges))
        base = _starts(pieces)[:-1]
        place = base[at] + 1 + _within(pieces - 1)
        edges = np.repeat(self.edges, pieces, axis=0)
        edges[place, 0] = new
        edges[place - 1, 1] = new
        source = np.repeat(self.source, pieces, axis=0)

        old, backwards = self.loops >> 1, self.loops & 1
        count = pieces[old]
        step = _within(count)
        old, backwards, many = (np.repeat(x, count) for x in (old, backwards, count))
        piece = base[old] + np.where(backwards == 1, many - 1 - step, step)
        self.ptr = _starts(count)[self.ptr]
        self.edges, self.source, self.loops = edges, source, 2 * piece + backwards
        return births

    def _chords(self, signs: Signs) -> "_Chords | None":
        """The segment that each function draws through each cell that it cuts."""
        corners = self.corners()
        pos, neg = signs.pos[corners], signs.neg[corners]
        cut = reduce_or(pos, self.ptr) & reduce_or(neg, self.ptr)
        touched = cut.any(1)
        if not touched.any():
            return None
        cell = self.cell_of_entry()
        entries = np.flatnonzero(touched[cell])
        zero = cut[cell[entries]] & ~(pos[entries] | neg[entries])
        which, unit = find_bits(zero)
        entry = entries[which]
        units = 64 * cut.shape[1]
        key = cell[entry] * units + unit
        order = np.argsort(key, kind="stable")
        key, entry = key[order], entry[order]
        row, bit = find_bits(cut)
        expected = row * units + bit
        ends = np.searchsorted(key, expected)
        n = np.searchsorted(key, expected, side="right") - ends
        if (n != 2).any():
            bad = row[np.argmax(n != 2)]
            raise self._undecidable(
                corners[self.ptr[bad]], "a line enters a region and does not leave it"
            )
        first, last = entry[ends], entry[ends + 1]
        # Units that draw the very same segment share one chord, that of the lowest unit.
        order = np.lexsort((bit, last, first))
        fresh = _first_of_each(first[order], last[order])
        keep = np.zeros(len(order), bool)
        keep[order[fresh]] = True
        twins = None
        if not keep.all():
            leader = order[fresh][np.cumsum(fresh) - 1]
            same = order[~fresh]
            twins = (row[same], bit[same], bit[leader[~fresh]])
        return _Chords(row[keep], bit[keep], first[keep], last[keep], corners, cut, touched, twins)

    def _insert(self, chords: "_Chords", crossings: "_Crossings", layer: int, names) -> np.ndarray:
        """Add the chords as edges and retrace the cells; return each cell's parent."""
        corners, ptr = chords.corners, self.ptr
        counts = crossings.per_chord + 1  # pieces of each chord
        base = _starts(counts)[:-1]
        chord = np.repeat(np.arange(len(counts)), counts)
        start = np.repeat(corners[chords.first], counts)
        end = np.repeat(corners[chords.last], counts)
        inner = base[crossings.chord] + 1 + _within(crossings.per_chord)
        start[inner] = end[inner - 1] = crossings.vertex
        old_edges = len(self.edges)
        self.edges = np.concatenate([self.edges, np.stack([start, end], 1)])
        unit = chords.unit if names is None else names[chords.unit]
        drawn = np.stack([np.full(len(chord), layer), unit[chord]], 1)
        self.source = np.concatenate([self.source, drawn])

        # Half-edges that leave each node, in counter-clockwise order. Around a crossing they
        # are ordered by where on the cell's border they head to, around a border vertex by
        # how far along the border that is: no angle is ever computed.
        cell = self.cell_of_entry()
        entries = np.flatnonzero(chords.touched[cell])
        local = np.full(len(self.loops), -1)
        local[entries] = np.arange(len(entries))
        size = np.diff(ptr)
        nodes = len(self.loops)

        def node_of(point: np.ndarray, is_inner: np.ndarray, entry: np.ndarray) -> np.ndarray:
            return np.where(is_inner, nodes + point, entry)

        is_inner = np.zeros(len(chord), bool)
        is_inner[inner] = True
        last_piece = np.zeros(len(chord), bool)
        last_piece[base + counts - 1] = True
        first, last = chords.first[chord], chords.last[chord]
        length = size[chords.cell[chord]]
        node_start = node_of(start, is_inner, first)
        node_end = node_of(end, ~last_piece, last)
        key_forward = np.where(is_inner, last, last - first)
        key_backward = np.where(~last_piece, first, first - last + length)

        borders = len(entries)
        total = borders + 2 * len(chord)
        node, key = np.empty(total, np.int64), np.zeros(total, np.int64)
        half_edge, owner = np.empty(total, np.int64), np.empty(total, np.int64)
        node[:borders], half_edge[:borders] = entries, self.loops[entries]
        owner[:borders] = cell[entries]
        node[borders::2], node[borders + 1 :: 2] = node_start, node_end
        key[borders::2], key[borders + 1 :: 2] = key_forward, key_backward
        half_edge[borders:] = 2 * old_edges + np.arange(2 * len(chord))
        owner[borders:] = np.repeat(chords.cell[chord], 2)

        order = np.lexsort((key, node))
        opens = _first_of_each(node[order])
        begin = np.flatnonzero(opens)
        group = np.cumsum(opens) - 1
        finish = np.append(begin[1:], total) - 1
        before = np.arange(total) - 1
        before[begin] = finish
        rank = np.empty(total, np.int64)
        rank[order] = np.arange(total)
        following = np.empty(total, np.int64)
        # Along a chord: turn at its end to the half-edge just clockwise of the way back.
        twin = borders + (np.arange(2 * len(chord)) ^ 1)
        following[borders:] = order[before[rank[twin]]]
        # Along the border: the half-edge last in counter-clockwise order at the next corner.
        ahead = entries + 1
        wrap = ahead == ptr[cell[entries] + 1]
        ahead[wrap] = ptr[cell[entries[wrap]]]
        following[:borders] = order[finish[group[rank[local[ahead]]]]]

        cycle, cycle_ptr = trace_cycles(following)
        kept = np.flatnonzero(~chords.touched)
        whole = ~chords.touched[cell]
        self.loops = np.concatenate([self.loops[whole], half_edge[cycle]])
        sizes = np.concatenate([size[kept], np.diff(cycle_ptr)])
        self.ptr = _starts(sizes)
        return np.concatenate([kept, owner[cycle[cycle_ptr[:-1]]]])

    def _check(self, signs: Signs) -> None:
        """Every cell now lies on one side of every function."""
        corners = self.corners()
        mixed = reduce_or(signs.pos[corners], self.ptr) & reduce_or(signs.neg[corners], self.ptr)
        if mixed.any():
            bad = int(np.argmax(mixed.any(1)))
            raise self._undecidable(corners[self.ptr[bad]], "a region lies on both sides of a line")

    def _undecidable(
        self, vertex: int, what: str, end: int | None = None, t: float = 0.0
    ) -> UndecidablePartition:
        """The error to raise; it names a vertex, or the place at t from there to another."""
        x, y = self.xy[vertex] if end is None else (1 - t) * self.xy[vertex] + t * self.xy[end]
        return UndecidablePartition(
            f"near ({x:.6g}, {y:.6g}) of the plane float64 cannot decide how lines meet ({what}): "
            "move the domain or the plane a little, or rescale the weights"
        )


@dataclass
class _Chords:
    """Segments through cells: cell, unit, and the loop entries where they start and end."""

    cell: np.ndarray
    unit: np.ndarray
    first: np.ndarray
    last: np.ndarray
    corners: np.ndarray  # vertex of each loop entry
    cut: np.ndarray  # (R, words): functions that cut the cell
    touched: np.ndarray  # (R,): cells that are cut
    twins: tuple | None  # (cell, unit, leader): units that draw another unit's chord

    def cross(
        self, mesh: Mesh, signs: Signs, value, tolerance, layer: int, max_cells: int | None
    ) -> "_Crossings":
        """Where the chords of a cell cross each other."""
        words = self.cut.shape[1]
        start, end = self.corners[self.first], self.corners[self.last]
        leaders = self.cut
        if self.twins is not None:
            leaders = self.cut.copy()
            cell, unit, _ = self.twins
            np.bitwise_and.at(leaders, cell, ~one_hot(unit, words))
        crossed = signs.opposite(start, end) & leaders[self.cell]
        if max_cells is not None:
            pairs = int(np.bitwise_count(crossed).sum(dtype=np.int64)) // 2
            _check_pairs(pairs, max_cells, layer)
        chord, unit = find_bits(crossed)
        units = 64 * words
        key = self.cell * units + self.unit
        other = np.searchsorted(key, self.cell[chord] * units + unit)
        upward = chord < other
        pair = np.empty(len(chord), np.int64)
        pair[upward] = np.arange(upward.sum())
        forward = chord[upward] * len(key) + other[upward]  # increasing: chord, then unit
        back = other[~upward] * len(key) + chord[~upward]
        pair[~upward] = np.searchsorted(forward, back)
        found = np.minimum(pair[~upward], max(len(forward) - 1, 0))
        if len(back) != len(forward) or not np.array_equal(forward[found], back):
            raise mesh._undecidable(start[chord[0]], "two lines cross in one order only")

        from_start, from_end = value(start[chord], unit), value(end[chord], unit)
        if (from_start * from_end >= 0).any():
            bad = chord[np.argmax(from_start * from_end >= 0)]
            what = "a crossing is not where its signs say"
            raise mesh._undecidable(start[bad], what, end[bad], 0.5)
        t = from_start / (from_start - from_end)
        slack = tolerance[unit] / np.abs(from_start - from_end)
        order, first, t_group, slack = _group_along(mesh, start, end, chord, t, slack)
        chord, unit, pair = chord[order], unit[order], pair[order]
        vertex = pair
        if not first.all():
            vertex = _merge(mesh, pair, first, (start[chord], end[chord], t[order]))
        opening = np.flatnonzero(first)
        at = chord[opening]
        point, seen = np.unique(vertex[opening], return_index=True)
        if max_cells is not None:
            _check_limit(len(mesh) + len(self.unit) + len(point), max_cells, layer)
        births = Births(start[at[seen]], end[at[seen]], t_group[seen], slack[seen])
        pos, neg = _signs_along(signs, start, end, crossed, chord, unit, opening, seen)
        if self.twins is not None:
            self._copy_to_twins(signs, pos, neg, self.cell[at[seen]])
        signs.append(pos, neg)
        new = len(mesh.xy) + np.searchsorted(point, vertex[opening])
        return _Crossings(births, at, new, np.bincount(at, minlength=len(self.unit)))

    def _copy_to_twins(self, signs: Signs, pos, neg, cell_of_vertex) -> None:
        """Give units that share a chord the leader's sign, mirrored where theirs is mirrored."""
        cell, unit, leader = self.twins
        order = np.argsort(cell, kind="stable")
        cell, unit, leader = cell[order], unit[order], leader[order]
        low = np.searchsorted(cell, cell_of_vertex)
        many = np.searchsorted(cell, cell_of_vertex, side="right") - low
        vertex = np.repeat(np.arange(len(cell_of_vertex)), many)
        twin = np.repeat(low, many) + _within(many)
        # The corner after the chord's start lies strictly on one side of both.
        key = self.cell * (64 * self.cut.shape[1]) + self.unit
        chord = np.searchsorted(key, cell * (64 * self.cut.shape[1]) + leader)
        corner = self.corners[self.first[chord] + 1]
        same = _has(signs.pos, corner, unit) == _has(signs.pos, corner, leader)
        unit, leader, same = unit[twin], leader[twin], same[twin]
        up, down = _has(pos, vertex, leader), _has(neg, vertex, leader)
        up, down = np.where(same, up, down), np.where(same, down, up)
        mask = one_hot(unit, pos.shape[1])
        for signed, flag in ((pos, up), (neg, down)):
            np.bitwise_and.at(signed, vertex, ~mask)
            np.bitwise_or.at(signed, vertex[flag], mask[flag])


@dataclass
class _Crossings:
    """Crossing points along chords, in order: births, and (chord, vertex) pairs."""

    births: Births
    chord: np.ndarray
    vertex: np.ndarray
    per_chord: np.ndarray


def _check_limit(cells: int, max_cells: int, layer: int) -> None:
    if cells > max_cells:
        raise RegionLimitExceeded(
            f"layer {layer} makes about {cells:,} regions or more and the limit is "
            f"{max_cells:,}: take a smaller domain, or raise max_regions"
        )


def _check_pairs(pairs: int, max_cells: int, layer: int) -> None:
    """Pairs of lines make fewer regions only where many meet in one point; they take memory."""
    if pairs > max(8 * max_cells, _PAIRS):
        raise RegionLimitExceeded(
            f"the lines of layer {layer} cross each other {pairs:,} times, far more than "
            f"{max_cells:,} regions need: take a smaller domain, or raise max_regions"
        )


def _has(words: np.ndarray, row: np.ndarray, bit: np.ndarray) -> np.ndarray:
    return (words[row, bit >> 6] >> (bit & 63).astype(np.uint64)) & _ONE == _ONE


def _group_along(mesh: Mesh, start, end, line, t, slack) -> tuple[np.ndarray, ...]:
    """Sort crossings along their lines and find those that are one point.

    Returns the order, True where a new point begins (in that order), and t of each point with
    its slack.
    """
    order = np.lexsort((t, line))
    line, t, slack = line[order], t[order], slack[order]
    first = _first_of_each(line)
    if len(t) > 1:
        gap, reach = t[1:] - t[:-1], slack[1:] + slack[:-1]
        unsure = (gap > reach) & (gap <= UNSURE * reach) & ~first[1:]
        if unsure.any():
            at = np.argmax(unsure)
            ends = start[line[at]], end[line[at]]
            raise mesh._undecidable(ends[0], "lines nearly meet in one point", ends[1], t[at])
        first[1:] |= gap > reach
    known = np.flatnonzero(first)
    if len(known) < len(t):  # the best known of several positions of one point
        group = np.cumsum(first) - 1
        best = np.lexsort((slack, group))
        known = best[_first_of_each(group[best])]
    return order, first, t[known], slack[known]


def _signs_along(signs: Signs, a, b, crossed, line, unit, opening, wanted=None):
    """Signs at the points of each line, from the signs at its ends and the order of crossings.

    Crossings are sorted by line; a point begins at each of `opening`, of which only the
    `wanted` are worked out, all if None.
    """
    words = crossed.shape[1]
    wanted = np.arange(len(opening)) if wanted is None else wanted
    pos, neg = (np.empty((len(wanted), words), np.uint64) for _ in range(2))
    closing = np.append(opening[1:], len(line))
    begins = np.flatnonzero(_first_of_each(line)) if len(line) else line
    order = np.argsort(wanted, kind="stable")
    at = opening[wanted[order]]
    # Whole lines at a time: where many meet in a point they cross more often than they make points.
    step = max(1, _ROWS // words)
    stops = [*begins[np.flatnonzero(np.diff(begins // step, prepend=-1))], len(line)]
    for start, stop in pairwise(stops):
        low, high = np.searchsorted(at, (start, stop))
        if low == high:
            continue
        place = order[low:high]
        first, after = opening[wanted[place]], closing[wanted[place]]
        running = np.zeros((stop - start + 1, words), np.uint64)
        np.bitwise_xor.accumulate(one_hot(unit[start:stop], words), axis=0, out=running[1:])
        origin = running[begins[np.searchsorted(begins, first, side="right") - 1] - start]
        passed, reached = running[first - start] ^ origin, running[after - start] ^ origin
        mask = crossed[line[first]]
        for out, words_ in ((pos, signs.pos), (neg, signs.neg)):
            ahead, behind = words_[a[line[first]]], words_[b[line[first]]]
            out[place] = ((ahead | behind) & ~mask) | (ahead & mask & ~reached) | (behind & passed)
    return pos, neg


def _merge(mesh: Mesh, pair, first, places) -> np.ndarray:
    """One number per point where several chords meet; check that all of them say so."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    tied = np.flatnonzero(~first)
    pairs = int(pair.max()) + 1
    links = coo_array((np.ones(len(tied)), (pair[tied - 1], pair[tied])), shape=(pairs, pairs))
    _, label = connected_components(links, directed=False)
    vertex = label[pair]
    # m chords through one point make m (m - 1) / 2 pairs, and each meets it once.
    chords_at = np.bincount(vertex[first], minlength=label.max() + 1)
    pairs_at = np.bincount(label, minlength=label.max() + 1)
    wrong = chords_at * (chords_at - 1) != 2 * pairs_at
    if wrong.any():
        bad = np.flatnonzero(wrong[vertex])[0]
        start, end, t = (part[bad] for part in places)
        raise mesh._undecidable(start, "several lines nearly meet in one point", end, t)
    return vertex


def trace_cycles(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cycles of a permutation: its elements in cyclic order, and where each cycle starts."""
    n = len(following)
    label, jump = np.arange(n), following
    while True:
        smaller = np.minimum(label, label[jump])
        if np.array_equal(smaller, label):
            break
        label, jump = smaller, jump[jump]
    heads = np.flatnonzero(label == np.arange(n))
    sizes = np.bincount(label, minlength=n)[heads]
    ptr = _starts(sizes)
    out = np.empty(n, np.int64)
    place, current = ptr[:-1].copy(), heads
    step, alive = 0, np.arange(len(heads))
    while len(alive):
        out[place[alive] + step] = current
        step += 1
        on = sizes[alive] > step
        current = following[current[on]]
        alive = alive[on]
    return out, ptr
