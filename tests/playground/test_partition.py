"""The browser's partition is the library's: regions, vertices, codes, the decision boundary."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from networks import integer_networks, network, random_network
from scipy.spatial import cKDTree

import splinelib as sl

CALL = """text => {
    const network = fromJson(text);
    const part = new Partition().compute(network);
    const range = count => Array.from({ length: count }, (_, i) => i);
    return {
        undecided: part.undecided,
        vertices: range(part.vertexCount).map(v => [part.x[v], part.y[v]]),
        edges: range(part.edgeCount).map(e => [part.origin[2 * e], part.origin[2 * e + 1]]),
        sources: range(part.edgeCount).map(e => [part.edgeLayer[e], part.edgeUnit[e]]),
        cells: range(part.cellCount).map(c => part.corners(c)),
        codes: range(part.cellCount).map(c => range(part.layers).map(l => part.code(c, l))),
        maps: range(part.cellCount).map(c => affineMap(network, l => part.code(c, l))),
        boundary: boundarySegments(part),
    };
}"""
TIGHT = 1e-9


def matched(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """For each point of the second set its partner in the first: one for each, very close."""
    assert one.shape == two.shape
    distance, partner = cKDTree(one).query(two)
    assert distance.max() < TIGHT
    assert len(np.unique(partner)) == len(two)
    return partner


def segments(ends: np.ndarray) -> np.ndarray:
    """Each segment (S, 2, 2) as its middle and its extent, whichever end comes first."""
    return np.concatenate([ends.mean(1), np.abs(ends[:, 1] - ends[:, 0])], 1)


def compare(modules, model) -> dict:
    """Assert that both partitions of a float64 network are one; gives the browser's."""
    part, found = sl.partition(model), modules(CALL, sl.models.to_json(model))
    assert found["undecided"] == 0
    counts = [len(found[name]) for name in ("cells", "vertices", "edges")]
    assert counts == [len(part), len(part.vertices), len(part.edges)]
    number = matched(part.vertices, np.array(found["vertices"]))
    expected = {
        frozenset(edge): tuple(source)
        for edge, source in zip(part.edges.tolist(), part.edge_source.tolist(), strict=True)
    }
    for edge, source in zip(found["edges"], found["sources"], strict=True):
        assert expected.pop(frozenset(number[edge].tolist())) == tuple(source)
    assert not expected
    check_cells(part, found, number)
    boundary = np.array(found["boundary"]).reshape(-1, 2, 2)
    truth = part.decision_boundary()
    assert len(boundary) == len(truth)
    if len(truth):
        matched(segments(truth), segments(boundary))
    return found


def test_cuts_that_were_not_made_are_told(modules):
    told = [[1, 0], [1204, 0], [37, 2]]
    assert modules(
        "given => given.map(([cellCount, undecided]) => regionsOf({ cellCount, undecided }))", told
    ) == ["1 region", "1,204 regions", "37 regions, cuts too fine to decide: 2"]


def check_cells(part, found, number) -> None:
    regions = {frozenset(map(int, loop)): r for r, loop in enumerate(part.regions)}
    codes = [part.codes.unpack(name).numpy() for name in part.layers]
    A, b = part.affine_maps()
    for corners, code, (dx, dy, constant) in zip(
        found["cells"], found["codes"], found["maps"], strict=True
    ):
        region = regions.pop(frozenset(number[corners].tolist()))
        for mask, rows in zip(code, codes, strict=True):
            bits = [mask >> u & 1 for u in range(rows.shape[1])]
            assert bits == rows[region].astype(int).tolist()
        size = 1 + np.abs([dx, dy, constant]).max()
        if part.areas[region] > 1e-6:  # the library fits maps to corners
            assert A[region, 0] == pytest.approx([dx, dy], abs=1e-7 * size)
            assert b[region, 0] == pytest.approx(constant, abs=1e-7 * size)
    assert not regions


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks())
def test_agrees_with_the_library_on_integer_networks(modules, layers):
    try:
        compare(modules, network(layers))
    except sl.UndecidablePartition:
        assume(False)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, 16), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_agrees_with_the_library_on_random_networks(modules, widths, seed):
    compare(modules, random_network(widths, seed).double())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(3, 12), min_size=1, max_size=3),
    st.integers(0, 2**32 - 1),
    st.sets(st.sampled_from(["twin", "mirror", "dead", "no bias", "on", "cut"]), min_size=1),
)
def test_agrees_with_the_library_on_networks_with_redundant_units(modules, widths, seed, kinds):
    model = random_network(widths, seed).double()
    for layer in list(model)[:-1:2]:
        weight, bias = layer.weight.data, layer.bias.data
        if "no bias" in kinds:
            bias.zero_()
        if "cut" in kinds:
            weight[:, 0][::2] = 0
        if "twin" in kinds:
            weight[1], bias[1] = 3 * weight[0], 3 * bias[0]
        if "mirror" in kinds:
            weight[2], bias[2] = -weight[0] / 7, -bias[0] / 7
        if "dead" in kinds:
            weight[-1], bias[-1] = 0, -1
        if "on" in kinds:
            bias[0] = 100
    try:
        compare(modules, model)
    except sl.UndecidablePartition:
        assume(False)


DEGENERATE = {
    "zero biases": [([[1, 0], [1, 1], [-1, 2]], [0, 0, 0]), ([[1, -1, 1]] * 2, [0, 0])],
    "dead units": [([[1, 0], [0, 0], [0, 0]], [0.3, 1, -1]), ([[0, 0, 0], [1, 1, 1]], [0, -1.1])],
    "all dead": [([[0, 0], [1, 1]], [-1, -3])],
    "twins": [([[1, 2], [1, 2], [3, 6]], [0.1, 0.1, 0.3]), ([[1, 1, 1], [2, 2, 2]], [-0.3, -0.6])],
    "mirrored": [([[1, 2], [-1, -2], [0.1, 0.7]], [0.1, -0.1, 0]), ([[1, 1, 0]] * 2, [-0.5, 0])],
    "one point": [([[np.cos(a), np.sin(a)] for a in np.arange(16) * np.pi / 16], [0] * 16)],
    "thirds": [([[1, 0.1], [0.1, 1], [1, 1.2]], [-0.1, 0.2, 0.1]), ([[1, -1, 1]], [1 / 3])],
    "borders and corners": [([[1, 0], [0, 1], [1, 1], [1, -1]], [1, -1, -2, 0])],
    "small angles": [([[1, 1e-6], [1, 0], [1, -1e-6], [0, 1]], [0, 0, 0, 0])],
}


def with_output(layers: list) -> list:
    width = len(layers[-1][0])
    return [*layers, ([[(-1.0) ** u for u in range(width)]], [-0.25])]


@pytest.mark.parametrize("layers", DEGENERATE.values(), ids=DEGENERATE)
def test_agrees_with_the_library_where_lines_meet_or_vanish(modules, layers):
    compare(modules, network(with_output(layers)))


def test_the_decision_boundary_along_an_edge_counts_once(modules):
    # |x| as the output: zero along the edge that the two units share, positive beside it
    found = compare(modules, network([([[1, 0], [-1, 0]], [0, 0]), ([[1, 1]], [0])]))
    assert found["boundary"] and set(found["boundary"][::2]) == {0}


def test_arrays_grow_and_are_used_again(modules):
    large, small = random_network([16, 16, 16], 3).double(), random_network([3], 1).double()
    counts = modules(
        "texts => { const part = new Partition(); "
        "return texts.map(text => part.compute(fromJson(text)).cellCount); }",
        [sl.models.to_json(model) for model in (small, large, small)],
    )
    assert counts == [len(sl.partition(model)) for model in (small, large, small)]


def test_points_are_located_in_their_region(modules):
    model = random_network([8, 8], 5).double()
    points = 2 * torch.rand(50, 2, generator=torch.Generator().manual_seed(0)).double() - 1
    codes = modules(
        """([text, points]) => {
            const part = new Partition().compute(fromJson(text));
            return points.map(([x, y]) => [0, 1].map(l => part.code(part.locate(x, y), l)));
        }""",
        [sl.models.to_json(model), points.tolist()],
    )
    expected = sl.region_codes(model, points)
    for layer, name in enumerate(expected.layers):
        bits = [[code[layer] >> u & 1 for u in range(8)] for code in codes]
        assert bits == expected.unpack(name).int().tolist()
