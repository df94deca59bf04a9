"""Cutting all cells of a mesh along the zero lines of a whole layer of functions at once.

Nothing is decided twice. Each function has one sign (-1, 0, 1) at each vertex, kept as two
bits; an edge is crossed where its ends have opposite signs, a cell where its corners do; at a
vertex that a line passes through the sign is 0. The signs at new vertices follow from the order
of crossings along an edge, not from arithmetic, so the cells on both sides of an edge always
agree. Floating point enters in three places only: the signs at vertices that are there before a
layer, the position of crossings along an edge, and which of them are one and the same point. The
first and the last refuse what rounding leaves open.
"""

from dataclasses import dataclass

import numpy as np

from .chords import Chords, Crossings, cross_chords, find_chords
from .crossings import group_crossings, signs_along
from .indexing import offsets, places, starts_run, trace_cycles
from .interpolation import NewVertices
from .limits import check_lines, check_regions
from .mesh import Mesh
from .rounding import undecidable
from .signs import Signs, find_bits


def cut(
    mesh: Mesh,
    values: np.ndarray,
    signs: Signs,
    tolerance: np.ndarray,
    layer: int,
    max_cells: int | None = None,
    units: np.ndarray | None = None,
) -> tuple[list[NewVertices], np.ndarray]:
    """Cut every cell along the zero line of every function that changes sign in it, in place.

    Parameters
    ----------
    mesh : Mesh
    values : ndarray of float64, shape (V, U)
        Value of each function at each vertex, affine along every edge and cell.
    signs : Signs
        Their signs, as `vertex_signs` finds them; those of the new vertices are appended.
    tolerance : ndarray of float64, shape (U,)
        How far rounding may have moved each value.
    layer : int
        Written to `source` of the new edges.
    max_cells : int or None
        Refuse to make more cells than this.
    units : ndarray of int, shape (U,), or None
        Unit of each function, written to `source` of the new edges; None for 0, 1, 2, ...

    Returns
    -------
    added : list of NewVertices
        Those on edges, then those inside cells, which may lie between the former.
    parent : ndarray of int, shape (R,)
        Cell that each new cell was part of.

    Raises
    ------
    UndecidablePartition
        If the signs contradict each other at some place: float64 is not enough there.
    RegionLimitExceeded
    """
    if max_cells is not None and len(mesh) * (1 + values.shape[1]) > max_cells:
        # before any is made: each line through a cell makes one more, unless lines coincide
        mixed = mesh.any_corner(signs.pos) & mesh.any_corner(signs.neg)
        check_lines(int(np.bitwise_count(mixed).sum(dtype=np.int64)), max_cells, layer)
    on_edges = _cut_edges(mesh, values, signs, tolerance)
    chords = find_chords(mesh, signs)
    if chords is None:
        return [on_edges], np.arange(len(mesh))

    def value(vertex: np.ndarray, unit: np.ndarray) -> np.ndarray:
        return on_edges.look_up(values, vertex, unit)

    crossings = cross_chords(mesh, chords, signs, tolerance, value, layer, max_cells)
    mesh.append(crossings.vertices)
    pieces = _pieces(chords, crossings)
    first_edge = len(mesh.edges)
    _add_edges(mesh, pieces, layer, chords.unit if units is None else units[chords.unit])
    parent = _retrace(mesh, chords, pieces, first_edge)
    if max_cells is not None:  # now that it is known how many lines meet in each point
        check_regions(len(mesh), max_cells, layer)
    _check(mesh, signs)
    return [on_edges, crossings.vertices], parent


# --- edges that are crossed --------------------------------------------------------------


def _cut_edges(mesh: Mesh, values, signs: Signs, tolerance) -> NewVertices:
    """Put a vertex on every edge where a function changes sign."""
    a, b = mesh.edges[:, 0], mesh.edges[:, 1]
    crossed = signs.opposite(a, b)
    edge, unit = find_bits(crossed)
    start, end = values[a[edge], unit], values[b[edge], unit]
    change = start - end
    t, slack = start / change, tolerance[unit] / np.abs(change)
    order, first, t_group, slack = group_crossings(mesh, a, b, edge, t, slack)
    edge, unit = edge[order], unit[order]
    opening = np.flatnonzero(first)
    at = edge[opening]
    new = NewVertices(a[at], b[at], t_group, slack)
    signs.append(*signs_along(signs, a, b, crossed, edge, unit, opening))
    vertices = len(mesh.xy) + np.arange(len(at))
    mesh.append(new)
    _split_edges(mesh, at, vertices)
    return new


def _split_edges(mesh: Mesh, edge: np.ndarray, vertex: np.ndarray) -> None:
    """Split edges at vertices, which are sorted by edge and along it."""
    pieces = 1 + np.bincount(edge, minlength=len(mesh.edges))
    base = offsets(pieces)[:-1]
    place = base[edge] + 1 + places(pieces - 1)
    edges = np.repeat(mesh.edges, pieces, axis=0)
    edges[place, 0] = vertex
    edges[place - 1, 1] = vertex

    old, backwards = mesh.loops >> 1, mesh.loops & 1
    count = pieces[old]
    step = places(count)
    old, backwards, many = (np.repeat(x, count) for x in (old, backwards, count))
    piece = base[old] + np.where(backwards == 1, many - 1 - step, step)
    mesh.ptr = offsets(count)[mesh.ptr]
    mesh.edges, mesh.source = edges, np.repeat(mesh.source, pieces, axis=0)
    mesh.loops = 2 * piece + backwards


# --- chords as new edges -----------------------------------------------------------------


@dataclass
class _Pieces:
    """Chords cut in pieces at their crossings, chord by chord, from start to end.

    Attributes
    ----------
    chord : ndarray of int, shape (P,)
    start, end : ndarray of int, shape (P,)
        Vertices.
    from_crossing, to_crossing : ndarray of bool, shape (P,)
        Whether that end is a crossing, and not on the border of the cell.
    """

    chord: np.ndarray
    start: np.ndarray
    end: np.ndarray
    from_crossing: np.ndarray
    to_crossing: np.ndarray


def _pieces(chords: Chords, crossings: Crossings) -> _Pieces:
    """Cut chords at their crossings."""
    counts = crossings.per_chord + 1
    base = offsets(counts)[:-1]
    chord = np.repeat(np.arange(len(counts)), counts)
    start, end = np.repeat(chords.start, counts), np.repeat(chords.end, counts)
    inner = base[crossings.chord] + 1 + places(crossings.per_chord)
    start[inner] = end[inner - 1] = crossings.vertex
    from_crossing, to_crossing = np.zeros(len(chord), bool), np.ones(len(chord), bool)
    from_crossing[inner] = True
    to_crossing[base + counts - 1] = False
    return _Pieces(chord, start, end, from_crossing, to_crossing)


def _add_edges(mesh: Mesh, pieces: _Pieces, layer: int, unit: np.ndarray) -> None:
    """Make every piece an edge, drawn by its chord's unit of the layer."""
    mesh.edges = np.concatenate([mesh.edges, np.stack([pieces.start, pieces.end], 1)])
    drawn = np.stack([np.full(len(pieces.chord), layer), unit[pieces.chord]], 1)
    mesh.source = np.concatenate([mesh.source, drawn])


def _retrace(mesh: Mesh, chords: Chords, pieces: _Pieces, first_edge: int) -> np.ndarray:
    """Make new cells of those that are cut, the pieces being edges from `first_edge` on.

    Returns the old cell that each cell was part of.
    """
    cell = mesh.cell_of_entry()
    entries = np.flatnonzero(chords.touched[cell])
    drawn = 2 * first_edge + np.arange(2 * len(pieces.chord))
    half_edge = np.concatenate([mesh.loops[entries], drawn])
    owner = np.concatenate([cell[entries], np.repeat(chords.cell[pieces.chord], 2)])
    node, key = _departures(mesh, chords, pieces, entries)
    cycle, ptr = trace_cycles(_turns(mesh, cell, entries, node, key))
    kept, size = np.flatnonzero(~chords.touched), np.diff(mesh.ptr)
    mesh.loops = np.concatenate([mesh.loops[~chords.touched[cell]], half_edge[cycle]])
    mesh.ptr = offsets(np.concatenate([size[kept], np.diff(ptr)]))
    return np.concatenate([kept, owner[cycle[ptr[:-1]]]])


def _departures(
    mesh: Mesh, chords: Chords, pieces: _Pieces, entries: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The node that each half-edge leaves, and a key: counter-clockwise order around the node.

    Half-edges are those of the entries, then two of each piece, along it and against it. Nodes
    are the entries of the loops (a corner within one cell), and the crossings. Around a crossing
    half-edges are ordered by where on the cell's border they head to, around a border vertex by
    how far along the border that is: no angle is ever computed.
    """
    first, last = chords.first[pieces.chord], chords.last[pieces.chord]
    length = np.diff(mesh.ptr)[chords.cell[pieces.chord]]
    borders, nodes = len(entries), len(mesh.loops)
    total = borders + 2 * len(pieces.chord)
    node, key = np.empty(total, np.int64), np.zeros(total, np.int64)
    node[:borders] = entries
    node[borders::2] = np.where(pieces.from_crossing, nodes + pieces.start, first)
    node[borders + 1 :: 2] = np.where(pieces.to_crossing, nodes + pieces.end, last)
    key[borders::2] = np.where(pieces.from_crossing, last, last - first)
    key[borders + 1 :: 2] = np.where(pieces.to_crossing, first, first - last + length)
    return node, key


def _turns(mesh: Mesh, cell, entries, node, key) -> np.ndarray:
    """The half-edge that follows each half-edge in its cell, half-edges as in `_departures`."""
    borders, total = len(entries), len(node)
    order = np.lexsort((key, node))
    opens = starts_run(node[order])
    begin = np.flatnonzero(opens)
    group = np.cumsum(opens) - 1
    finish = np.append(begin[1:], total) - 1
    before = np.arange(total) - 1
    before[begin] = finish
    rank = np.empty(total, np.int64)
    rank[order] = np.arange(total)
    following = np.empty(total, np.int64)
    # Along a chord: turn at its end to the half-edge just clockwise of the way back.
    twin = borders + (np.arange(total - borders) ^ 1)
    following[borders:] = order[before[rank[twin]]]
    # Along the border: the half-edge last in counter-clockwise order at the next corner.
    local = np.full(len(mesh.loops), -1)
    local[entries] = np.arange(borders)
    ahead = mesh.next_entry()[entries]
    following[:borders] = order[finish[group[rank[local[ahead]]]]]
    return following


def _check(mesh: Mesh, signs: Signs) -> None:
    """Every cell now lies on one side of every function."""
    mixed = mesh.any_corner(signs.pos) & mesh.any_corner(signs.neg)
    if mixed.any():
        bad = int(np.argmax(mixed.any(1)))
        corner = mesh.corners()[mesh.ptr[bad]]
        raise undecidable(mesh, "a region lies on both sides of a line", corner)
