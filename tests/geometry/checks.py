"""What several tests of partitions check."""

import numpy as np
import pytest
from geometry.oracle import area, perimeter
from geometry.oracle import partition as exact
from networks import network
from torch import nn

import splinelib as sl
from splinelib.geometry.cutting import cut
from splinelib.geometry.mesh import Mesh
from splinelib.geometry.rounding import tolerance_of, vertex_signs
from splinelib.geometry.signs import Signs

UNIT = ((-1, 1), (-1, 1))
STRIP = ((-1000, 1000), (-1, 1))
OUT = ([[1, 1, 1]], [0])


class Abs(nn.Module):
    def forward(self, x):
        return x.abs()


def check_invariants(part):
    assert len(part.vertices) - len(part.edges) + len(part) == 1
    (x0, x1), (y0, y1) = part.domain
    assert part.areas.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=1e-12)
    assert (part.areas > 0).all()
    assert part.codes.count_regions() == len(part) == len(part.regions)
    border = part.edge_source[:, 0] == -1
    assert ((part.neighbours < 0).any(1) == border).all()
    assert (part.neighbours.max(1) >= 0).all()
    assert (np.sort(part.edges, 1)[:, 0] != np.sort(part.edges, 1)[:, 1]).all()


def check_against_exact(layers, domain, activation=nn.ReLU, slopes=(0, 1)):
    part = sl.partition(network(layers, activation), domain)
    cells = exact(layers, domain, slopes)
    check_invariants(part)
    assert len(part) == len(cells)
    packed = {name: part.codes.unpack(name).numpy() for name in part.codes.layers}
    codes = np.concatenate(list(packed.values()), axis=1) if packed else np.zeros((1, 0), bool)
    expected = {tuple(map(bool, code)): polygon for code, polygon in cells}
    (x0, x1), (y0, y1) = domain
    border = 2 * (x1 - x0 + y1 - y0)
    # A region may be a sliver with corners that are as good as those of any other.
    whole = (x1 - x0) * (y1 - y0)
    for row, found in enumerate(codes):
        polygon = expected.pop(tuple(map(bool, found)))
        assert part.areas[row] == pytest.approx(float(area(polygon)), rel=1e-9, abs=1e-13 * whole)
        loop = part.vertices[part.regions[row]]
        length = np.linalg.norm(loop - np.roll(loop, -1, axis=0), axis=1).sum()
        assert length == pytest.approx(perimeter(polygon), rel=1e-9, abs=1e-12 * border)
    assert not expected
    edges = np.hypot(*np.diff(part.vertices[part.edges], axis=1)[:, 0].T).sum()
    total = (sum(perimeter(polygon) for _, polygon in cells) + border) / 2
    assert edges == pytest.approx(total, rel=1e-9)
    assert len(part.vertices) == len({p for _, polygon in cells for p in polygon})


def grid() -> tuple[Mesh, Signs]:
    """The square, cut along x = 0 and y = 0 by units 5 and 6 of layer 3; their signs."""
    mesh, tolerance = Mesh.rectangle(UNIT), tolerance_of(np.ones(2))
    values = mesh.xy.copy()
    signs = vertex_signs(mesh, values, tolerance)
    cut(mesh, values, signs, tolerance, layer=3, units=np.array([5, 6]))
    return mesh, signs
