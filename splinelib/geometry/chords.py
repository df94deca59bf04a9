"""Chords: the segments that functions draw through cells, and where the chords of a cell cross."""

from dataclasses import dataclass

import numpy as np

from .crossings import group_crossings, signs_along
from .indexing import connected, places, starts_run
from .interpolation import NewVertices
from .limits import check_pairs, check_regions
from .mesh import Mesh
from .rounding import undecidable
from .signs import Signs, find_bits, has_bit, one_hot


@dataclass
class Twins:
    """Functions that draw the very same segment through a cell as another one, its leader.

    Attributes
    ----------
    cell, unit, leader : ndarray of int, shape (K,)
    """

    cell: np.ndarray
    unit: np.ndarray
    leader: np.ndarray


@dataclass
class Chords:
    """Segments through cells, sorted by cell and unit.

    Attributes
    ----------
    cell, unit : ndarray of int, shape (N,)
        The cell that is cut, and the function that cuts it.
    first, last : ndarray of int, shape (N,)
        Entries of `Mesh.loops` whose corners the chord starts and ends at.
    corners : ndarray of int, shape (entries,)
        Vertex of each entry.
    cut : ndarray of uint64, shape (R, words)
        Functions that cut each cell.
    touched : ndarray of bool, shape (R,)
        Cells that are cut.
    twins : Twins or None
        Functions that share the chord of another one.
    """

    cell: np.ndarray
    unit: np.ndarray
    first: np.ndarray
    last: np.ndarray
    corners: np.ndarray
    cut: np.ndarray
    touched: np.ndarray
    twins: Twins | None

    @property
    def start(self) -> np.ndarray:
        """Vertex that each chord starts at, int, shape (N,)."""
        return self.corners[self.first]

    @property
    def end(self) -> np.ndarray:
        """Vertex that each chord ends at, int, shape (N,)."""
        return self.corners[self.last]

    def find(self, cell: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Numbers of the chords of some units in some cells, int."""
        units = 64 * self.cut.shape[1]
        return np.searchsorted(self.cell * units + self.unit, cell * units + unit)


@dataclass
class Crossings:
    """The points in which chords cross each other.

    Attributes
    ----------
    vertices : NewVertices
        One for each point.
    chord, vertex : ndarray of int, shape (M,)
        Every point on every chord, chord by chord, from start to end.
    per_chord : ndarray of int, shape (N,)
        How many there are on each.
    """

    vertices: NewVertices
    chord: np.ndarray
    vertex: np.ndarray
    per_chord: np.ndarray


def find_chords(mesh: Mesh, signs: Signs) -> Chords | None:
    """The segment that each function draws through each cell that it cuts, None if none does.

    Parameters
    ----------
    mesh : Mesh
        With a vertex wherever a function's zero line meets an edge.
    signs : Signs
        At all vertices.

    Raises
    ------
    UndecidablePartition
        If a zero line does not meet a cell's border in two points.
    """
    corners, ptr = mesh.corners(), mesh.ptr
    cut = mesh.any_corner(signs.pos) & mesh.any_corner(signs.neg)
    touched = cut.any(1)
    if not touched.any():
        return None
    cell = mesh.cell_of_entry()
    entries = np.flatnonzero(touched[cell])
    vertex = corners[entries]
    zero = cut[cell[entries]] & ~(signs.pos[vertex] | signs.neg[vertex])
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
        raise undecidable(mesh, "a line enters a region and does not leave it", corners[ptr[bad]])
    first, last = entry[ends], entry[ends + 1]
    keep, twins = _share(row, bit, first, last)
    return Chords(row[keep], bit[keep], first[keep], last[keep], corners, cut, touched, twins)


def _share(cell, unit, first, last) -> tuple[np.ndarray, Twins | None]:
    """Let units that draw the very same segment share one chord, that of the lowest unit.

    Returns which chords to keep, bool, and the units that go without one of their own.
    """
    order = np.lexsort((unit, last, first))
    fresh = starts_run(first[order], last[order])
    keep = np.zeros(len(order), bool)
    keep[order[fresh]] = True
    if keep.all():
        return keep, None
    leader = order[fresh][np.cumsum(fresh) - 1]
    same = order[~fresh]
    return keep, Twins(cell[same], unit[same], unit[leader[~fresh]])


def cross_chords(
    mesh: Mesh,
    chords: Chords,
    signs: Signs,
    tolerance: np.ndarray,
    value,
    layer: int,
    max_cells: int | None = None,
) -> Crossings:
    """Where the chords of a cell cross each other.

    Parameters
    ----------
    mesh : Mesh
    chords : Chords
    signs : Signs
        Those of the new vertices are appended.
    tolerance : ndarray of float64, shape (U,)
        How far rounding may have moved each function.
    value : callable
        ``value(vertex, unit)``: values of functions at vertices, float64, shape (K,).
    layer : int
        For messages.
    max_cells : int or None
        Refuse to make more cells than this.

    Raises
    ------
    UndecidablePartition
        If the signs contradict each other, or lines meet so closely that float64 cannot tell.
    RegionLimitExceeded
    """
    start, end = chords.start, chords.end
    crossed = signs.opposite(start, end) & _leaders(chords)[chords.cell]
    if max_cells is not None:
        pairs = int(np.bitwise_count(crossed).sum(dtype=np.int64)) // 2
        check_pairs(pairs, max_cells, layer)
    chord, unit = find_bits(crossed)
    pair = _number_pairs(mesh, chords, chord, unit)
    t, slack = _positions(mesh, start[chord], end[chord], unit, tolerance, value)
    order, first, t_group, slack = group_crossings(mesh, start, end, chord, t, slack)
    chord, unit, vertex = chord[order], unit[order], pair[order]
    if not first.all():
        vertex = _number_points(mesh, vertex, first, (start[chord], end[chord], t[order]))
    opening = np.flatnonzero(first)
    at = chord[opening]
    point, seen = np.unique(vertex[opening], return_index=True)
    if max_cells is not None:
        check_regions(len(mesh) + len(chords.unit) + len(point), max_cells, layer)
    vertices = NewVertices(start[at[seen]], end[at[seen]], t_group[seen], slack[seen])
    pos, neg = signs_along(signs, start, end, crossed, chord, unit, opening, seen)
    if chords.twins is not None:
        _copy_to_twins(chords, signs, pos, neg, chords.cell[at[seen]])
    signs.append(pos, neg)
    new = len(mesh.xy) + np.searchsorted(point, vertex[opening])
    return Crossings(vertices, at, new, np.bincount(at, minlength=len(chords.unit)))


def _leaders(chords: Chords) -> np.ndarray:
    """Functions that cut each cell and have a chord of their own, masks (R, words)."""
    if chords.twins is None:
        return chords.cut
    leaders = chords.cut.copy()
    np.bitwise_and.at(leaders, chords.twins.cell, ~one_hot(chords.twins.unit, leaders.shape[1]))
    return leaders


def _number_pairs(mesh: Mesh, chords: Chords, chord: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """One number for the two crossings, of one chord and of the other, of each pair."""
    other = chords.find(chords.cell[chord], unit)
    upward = chord < other
    pair = np.empty(len(chord), np.int64)
    pair[upward] = np.arange(upward.sum())
    count = len(chords.cell)
    forward = chord[upward] * count + other[upward]  # increasing: chord, then unit
    back = other[~upward] * count + chord[~upward]
    pair[~upward] = np.searchsorted(forward, back)
    nearest = np.minimum(pair[~upward], max(len(forward) - 1, 0))
    if len(back) != len(forward) or not np.array_equal(forward[nearest], back):
        vertex = chords.start[chord[0]]
        raise undecidable(mesh, "two lines cross in one order only", vertex)
    return pair


def _positions(mesh, start, end, unit, tolerance, value) -> tuple[np.ndarray, np.ndarray]:
    """Where a unit is zero between two vertices, from 0 to 1, and how well that is known."""
    from_start, from_end = value(start, unit), value(end, unit)
    wrong = from_start * from_end >= 0
    if wrong.any():
        bad = np.argmax(wrong)
        what = "a crossing is not where its signs say"
        raise undecidable(mesh, what, start[bad], end[bad], 0.5)
    change = from_start - from_end
    return from_start / change, tolerance[unit] / np.abs(change)


def _number_points(mesh: Mesh, pair, first, positions) -> np.ndarray:
    """One number for each point, where several chords meet; checks that all of them say so."""
    tied = np.flatnonzero(~first)
    label = connected(pair[tied - 1], pair[tied], int(pair.max()) + 1)
    vertex = label[pair]
    # m chords through one point make m (m - 1) / 2 pairs, and each meets it once.
    chords_at = np.bincount(vertex[first], minlength=label.max() + 1)
    pairs_at = np.bincount(label, minlength=label.max() + 1)
    wrong = chords_at * (chords_at - 1) != 2 * pairs_at
    if wrong.any():
        bad = np.flatnonzero(wrong[vertex])[0]
        place = (part[bad] for part in positions)
        raise undecidable(mesh, "several lines nearly meet in one point", *place)
    return vertex


def _copy_to_twins(chords: Chords, signs: Signs, pos, neg, cell_of_vertex) -> None:
    """Give units that share a chord the leader's sign, mirrored where theirs is mirrored."""
    twins = chords.twins
    order = np.argsort(twins.cell, kind="stable")
    cell, unit, leader = twins.cell[order], twins.unit[order], twins.leader[order]
    low = np.searchsorted(cell, cell_of_vertex)
    many = np.searchsorted(cell, cell_of_vertex, side="right") - low
    vertex = np.repeat(np.arange(len(cell_of_vertex)), many)
    twin = np.repeat(low, many) + places(many)
    # The corner after the chord's start lies strictly on one side of both.
    corner = chords.corners[chords.first[chords.find(cell, leader)] + 1]
    same = has_bit(signs.pos, corner, unit) == has_bit(signs.pos, corner, leader)
    unit, leader, same = unit[twin], leader[twin], same[twin]
    up, down = has_bit(pos, vertex, leader), has_bit(neg, vertex, leader)
    up, down = np.where(same, up, down), np.where(same, down, up)
    mask = one_hot(unit, pos.shape[1])
    for signed, flag in ((pos, up), (neg, down)):
        np.bitwise_and.at(signed, vertex, ~mask)
        np.bitwise_or.at(signed, vertex[flag], mask[flag])
