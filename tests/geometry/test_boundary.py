"""The decision boundary: where two outputs are equal, and the segments joined end to end."""

import numpy as np
import pytest
import torch
from geometry.checks import OUT, UNIT
from geometry.oracle import boundary_length
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from networks import gaussian, integer_networks, network, random_network, whole
from torch import nn

import splinelib as sl
from splinelib.geometry.boundary import crossed_edges, join_segments, top_segments, turns


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks(), st.lists(whole, min_size=6, max_size=6))
@example([([[1, 0], [-1, 0]], [0, 0]), OUT], [1, 2, 0, 0, 0, 0])  # along an edge, all the way
@example([([[1, 0], [0, 1]], [1, 0]), OUT], [1, 0, 0, 0, 0, 0])  # along the border
def test_the_boundary_is_as_long_as_in_rational_arithmetic(layers, output):
    weight = output[: len(layers[-2][0])]
    layers = [*layers[:-1], ([weight], [output[-1]])]
    expected = boundary_length(layers, UNIT)
    assume(expected is not None)
    found = sl.partition(network(layers)).decision_length()
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_decision_boundary_of_one_output_and_of_two_classes():
    model = random_network([16, 16], seed=4, outputs=3).double()
    part = sl.partition(model)
    segments = part.decision_boundary(classes=(0, 2))
    assert len(segments) > 0
    out = model(torch.from_numpy(segments.reshape(-1, 2))).detach()
    assert (out[:, 0] - out[:, 2]).abs().max() < 1e-10
    middle = segments.mean(1)
    out = model(torch.from_numpy(middle)).detach()
    assert (out[:, 0] - out[:, 2]).abs().max() < 1e-10
    with pytest.raises(ValueError, match="say which two"):
        part.decision_boundary()
    for classes in ((1, 1), (0, 3), (-1, 0), (0,), (0.5, 1), "01", "best", 1):
        with pytest.raises(ValueError, match="two different outputs"):
            part.decision_boundary(classes=classes)
    one = sl.partition(random_network([4], outputs=1))
    for classes in ("top", (0, 1)):
        with pytest.raises(ValueError, match="one output"):
            one.decision_boundary(classes)


def test_the_boundary_of_all_classes_is_where_the_first_class_changes():
    model = random_network([12, 12], seed=7, outputs=5).double()
    part = sl.partition(model)
    segments = part.decision_boundary("top")
    middle = torch.from_numpy(segments.mean(1))
    top = model(middle).detach().sort(1, descending=True).values
    assert (top[:, 0] - top[:, 1]).abs().max() < 1e-10
    # A line across the square changes class exactly where it crosses the boundary.
    for height in (-0.71, 0.13, 0.58):
        x = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
        winner = model(torch.stack([x, torch.full_like(x, height)], 1)).argmax(1)
        above = segments[:, :, 1] > height
        assert (winner[1:] != winner[:-1]).sum() == (above[:, 0] != above[:, 1]).sum()


@pytest.mark.parametrize("classes", [(0, 2), "top"])
def test_polylines_are_the_segments_joined_end_to_end(classes):
    part = sl.partition(random_network([16, 16], seed=4, outputs=3).double())
    segments, lines = part.decision_boundary(classes), part.decision_polylines(classes)
    steps = np.concatenate([np.stack([line[:-1], line[1:]], 1) for line in lines])
    assert len(steps) == len(segments)

    def sorted_(pairs):
        pairs = np.where((pairs[:, :1, :1] > pairs[:, 1:, :1]), pairs[:, ::-1], pairs).reshape(
            -1, 4
        )
        return pairs[np.lexsort(pairs.round(9).T)]

    assert sorted_(steps) == pytest.approx(sorted_(segments), abs=1e-11)
    length = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum()
    assert part.decision_length(classes) == pytest.approx(length, rel=1e-9)
    # A line ends where it closes, at the border, or where it meets others.
    ends = np.concatenate([line[[0, -1]] for line in lines if np.ptp(line[[0, -1]], axis=0).any()])
    meeting = (np.abs(ends[:, None] - ends[None]).max(2) < 1e-9).sum(1)
    assert ((np.abs(ends).max(1) > 1 - 1e-12) | (meeting >= 3)).all()


def test_polylines_end_where_three_classes_meet():
    # outputs 0.1, x and y: equal at one point, from which three straight lines go
    signs = [([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4)]
    part = sl.partition(
        network([*signs, ([[0] * 4, [1, -1, 0, 0], [0, 0, 1, -1]], [0.1, 0.0, 0.0])])
    )
    lines = part.decision_polylines("top")
    assert len(lines) == 3
    assert all(np.abs(line[[0, -1]] - 0.1).max(1).min() < 1e-12 for line in lines)
    assert part.decision_length("top") == pytest.approx(1.1 * 2 + 0.9 * 2**0.5)


def test_a_closed_boundary_is_one_closed_polyline():
    # |x| + |y| = 0.5
    layers = [([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-0.5])]
    part = sl.partition(network(layers))
    (line,) = part.decision_polylines()
    assert len(line) == 5 and (line[0] == line[-1]).all()
    assert part.decision_length() == pytest.approx(4 * 0.5**0.5)
    nowhere = sl.partition(network([([[1, 0]], [0]), ([[1]], [1])]))
    assert nowhere.decision_polylines() == [] and nowhere.decision_length() == 0


def test_decision_boundary_along_an_edge():
    layers = [([[1, 0]], [0]), ([[1]], [0])]  # f = relu(x): zero on half the square
    assert len(sl.partition(network(layers)).decision_boundary()) == 0
    layers = [([[1, 0], [-1, 0]], [0, 0]), ([[1, 2]], [0])]  # zero on x = 0 only
    segments = sl.partition(network(layers)).decision_boundary()
    assert segments[:, :, 0] == pytest.approx(0)
    assert np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum() == pytest.approx(2)


def test_segments_are_joined_at_ends_that_nearly_agree_and_not_at_forks():
    path = [[(0, 0), (1, 0)], [(2, 0), (1, 1e-13)]]
    (line,) = join_segments(np.array(path, float), 1e-12)
    assert line[:, 0].tolist() in ([0, 1, 2], [2, 1, 0])
    assert len(join_segments(np.array(path, float), 1e-14)) == 2
    fork = np.array([*path, [(1, 0), (1, 1)]], float)
    assert [len(line) for line in join_segments(fork, 1e-12)] == [2, 2, 2]
    assert join_segments(np.empty((0, 2, 2)), 1e-12) == []


def three_classes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    net = net.double()
    with torch.no_grad():  # near the middle no class leads
        net[4].weight *= 5
        net[4].bias -= net(gaussian(200, 2)).mean(0)
    return net


def test_the_top_boundary_is_that_of_all_cells():
    """Leaving out cells that are decided takes nothing away."""
    part = sl.partition(three_classes(), ((-4, 4), (-4, 4)))
    pairs = [(0, 1), (0, 2), (1, 2)]
    whole = [top_segments(part.mesh, part.outputs, part.output_sizes, *pair) for pair in pairs]
    found = part.decision_boundary("top")
    expected = np.concatenate(whole)
    assert len(found) == len(expected) > 10
    order = [np.lexsort(s.reshape(len(s), 4).round(9).T) for s in (found, expected)]
    np.testing.assert_allclose(found[order[0]], expected[order[1]], atol=1e-9)


def test_the_boundary_turns_at_edges_that_it_crosses():
    """|x| - y - 0.5 is zero on a V, which turns by a right angle where x is zero."""
    first = nn.Linear(2, 3, bias=False)
    first.weight.data[:] = torch.tensor([[1.0, 0], [-1.0, 0], [0, 1.0]])
    net = nn.Sequential(first, nn.ReLU(), nn.Linear(3, 1))
    net[2].weight.data[:] = torch.tensor([[1.0, 1.0, -1.0]])
    net[2].bias.data[:] = 0.25
    part = sl.partition(net, ((-1, 1), (0.1, 1)))  # |x| + 0.25 = y
    edges = crossed_edges(part)
    assert part.edge_source[edges].tolist() == [[0, 0]]
    assert turns(part, edges) == pytest.approx([np.pi / 2])


def test_every_crossed_edge_has_a_bend_of_the_boundary_on_it():
    part = sl.partition(three_classes(), ((-4, 4), (-4, 4)))
    edges, ends = crossed_edges(part), part.decision_boundary("top").reshape(-1, 2)
    a, b = part.vertices[part.edges[edges]].transpose(1, 0, 2)
    along = b - a
    for start, step in zip(a, along, strict=True):
        off = ends - start
        t = off @ step / (step @ step)
        distance = np.hypot(*(off - t[:, None] * step).T)
        assert ((distance < 1e-9) & (t > 0) & (t < 1)).sum() >= 2  # one segment on either side


def test_where_one_class_leads_everywhere_there_is_no_boundary():
    net = three_classes()
    net[4].bias.data[0] += 1e4
    part = sl.partition(net)
    assert part.decision_boundary("top").shape == (0, 2, 2) and len(crossed_edges(part)) == 0
