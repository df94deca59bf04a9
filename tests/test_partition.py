"""The exact partition: agrees with rational arithmetic, above all where lines are degenerate."""

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exact_partition import area, boundary_length, perimeter
from exact_partition import partition as exact
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from networks import randomised, torchvision_model
from torch import nn

import splinelib as sl
from splinelib import subdivision
from splinelib.network.trace import Node


def network(layers, activation=nn.ReLU):
    """An MLP from a list of (weight rows, biases)."""
    modules = []
    for i, (weight, bias) in enumerate(layers):
        linear = nn.Linear(len(weight[0]), len(weight))
        linear.weight.data = torch.tensor(weight, dtype=torch.float64)
        linear.bias.data = torch.tensor(bias, dtype=torch.float64)
        modules += [linear] if i == len(layers) - 1 else [linear, activation()]
    return nn.Sequential(*modules)


def random_network(widths, seed=0, outputs=1, activation=nn.ReLU):
    generator = torch.Generator().manual_seed(seed)
    modules, fan_in = [], 2
    for width in [*widths, outputs]:
        linear = nn.Linear(fan_in, width)
        linear.weight.data = torch.randn(width, fan_in, generator=generator) * (2 / fan_in) ** 0.5
        linear.bias.data = torch.randn(width, generator=generator) * 0.5
        modules += [linear, activation()]
        fan_in = width
    return nn.Sequential(*modules[:-1])


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


whole = st.integers(-3, 3)


@st.composite
def integer_networks(draw):
    fan_in, layers = 2, []
    for width in draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)):
        rows = st.lists(whole, min_size=fan_in, max_size=fan_in)
        layers.append(
            (
                draw(st.lists(rows, min_size=width, max_size=width)),
                draw(st.lists(whole, min_size=width, max_size=width)),
            )
        )
        fan_in = width
    return [*layers, ([[1] * fan_in], [0])]


UNIT = ((-1, 1), (-1, 1))
OUT = ([[1, 1, 1]], [0])


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks(), st.sampled_from([UNIT, ((-2, 3), (-1, 2)), ((0, 1), (0, 1))]))
@example([([[0, 0], [0, 0], [0, 0]], [0, 1, -1]), OUT], UNIT)  # dead and constant units
@example([([[1, 1], [2, 2], [-1, -1]], [0, 0, 0]), OUT], UNIT)  # one line, drawn three times
@example([([[1, 0], [0, 1], [1, 1]], [0, 0, 0]), OUT], UNIT)  # three lines through one point
@example([([[1, 0], [1, 1], [0, 1]], [1, 2, -1]), OUT], UNIT)  # along the border, at a corner
@example([([[1, 0], [0, 1], [0, 1]], [0, 0, 0]), ([[1, 0, 0]] * 3, [0, 0, 0]), OUT], UNIT)
def test_agrees_with_rational_arithmetic_on_integer_networks(layers, domain):
    check_against_exact(layers, domain)


class Abs(nn.Module):
    def forward(self, x):
        return x.abs()


STRIP = ((-1000, 1000), (-1, 1))


@pytest.mark.parametrize(
    ("layers", "activation", "slopes"),
    [
        (
            [
                ([[20000, 0], [3, 0]], [0, 0]),
                ([[-2, -3], [3, 0], [1, 2], [-3, -3], [2, 1]], [2, -1, 0, 3, -2]),
            ],
            Abs,
            (-1, 1),
        ),
        (
            [
                ([[30000, 0], [6, 0], [0, -3], [0, 1]], [0, 0, 0, -3]),
                ([[-1, -3, -1, 2], [-2, -6, -2, 4], [3, -3, 0, -3]], [2, 4, -3]),
            ],
            lambda: nn.LeakyReLU(0.25),
            (0.25, 1),
        ),
    ],
)
def test_regions_a_millionth_of_a_millionth_of_the_domain_are_found(layers, activation, slopes):
    out = ([[1] * len(layers[-1][0])], [0])
    check_against_exact([*layers, out], STRIP, activation, slopes)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(whole, whole), min_size=3, max_size=6, unique=True),
    st.integers(1, 60),
    st.sampled_from([UNIT, STRIP]),
)
@example([(1, 0), (0, 1), (1, 1)], 30, UNIT)
@example([(1, 0), (0, 1), (1, 1)], 44, UNIT)
@example([(1, 0), (0, 1), (1, 1)], 60, UNIT)
def test_lines_that_nearly_meet_are_right_or_refused(normals, fineness, domain):
    """Lines through the origin, then the last one shifted by less and less."""
    bias = [0] * (len(normals) - 1) + [2.0**-fineness]
    layers = [([list(n) for n in normals], bias), ([[1] * len(normals)], [0])]
    together = [(layers[0][0], [0] * len(normals)), layers[1]]
    one_line, apart = len(exact(together, domain)), len(exact(layers, domain))
    clear, lost = (34, 43) if domain == UNIT else (22, 32)  # told in any direction, in none
    try:
        found = len(sl.partition(network(layers), domain))
    except sl.UndecidablePartition:
        assert clear < fineness < 50
        return
    assert found == apart or fineness > lost
    assert found == one_line or fineness < 50


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks())
def test_agrees_with_rational_arithmetic_for_abs_and_leaky(layers):
    check_against_exact(layers, UNIT, Abs, (-1, 1))
    check_against_exact(layers, UNIT, lambda: nn.LeakyReLU(0.25), (0.25, 1))


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


@pytest.mark.parametrize("widths", [[4], [16, 16], [8, 8, 8, 8]])
@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_rational_arithmetic_on_random_networks(widths, seed):
    model = random_network(widths, seed).double()
    layers = [
        (linear.weight.tolist(), linear.bias.tolist())
        for linear in model
        if isinstance(linear, nn.Linear)
    ]
    check_against_exact(layers, UNIT)


@pytest.mark.parametrize("units", [3, 8, 64])
def test_many_lines_through_one_point(units):
    angle = np.linspace(0, np.pi, units, endpoint=False) + 0.1
    rows = np.stack([np.cos(angle), np.sin(angle)], 1)
    centre = np.array([0.3, -0.2])
    layers = [(rows.tolist(), (-rows @ centre).tolist()), ([[1.0] * units], [0.0])]
    part = sl.partition(network(layers))
    assert len(part) == 2 * units
    assert len(part.vertices) == 4 + 2 * units + 1
    check_invariants(part)


def test_a_large_network_is_consistent_and_points_carry_their_regions_code():
    model = random_network([64, 64, 64], seed=3).double()
    part = sl.partition(model)
    check_invariants(part)
    points = np.random.default_rng(0).uniform(-1, 1, (5000, 2))
    region = part.locate(points)
    codes = sl.region_codes(model, torch.from_numpy(points))
    assert part.codes[region].distance(codes) == 0
    A, b = part.affine_maps()
    outputs = model(torch.from_numpy(points)).detach().numpy()
    assert np.einsum("rcd,rd->rc", A[region], points) + b[region] == pytest.approx(
        outputs, abs=1e-9
    )


def test_the_network_is_continuous_across_edges_and_outputs_are_its_own():
    model = random_network([32, 32], seed=5, outputs=2).double()
    part = sl.partition(model)
    truth = model(torch.from_numpy(part.vertices)).detach().numpy()
    assert part.outputs == pytest.approx(truth, abs=1e-10)
    # The maps of the regions on both sides agree at both ends of each edge, so all along it.
    A, b = part.affine_maps()
    for side in part.neighbours.T:
        edge, region = np.flatnonzero(side >= 0), side[side >= 0]
        ends = part.vertices[part.edges[edge]]
        mapped = np.einsum("rcd,rnd->rnc", A[region], ends) + b[region][:, None]
        assert mapped == pytest.approx(part.outputs[part.edges[edge]], abs=1e-8)


def test_edges_lie_on_the_lines_of_their_source():
    model = random_network([16, 16], seed=2).double()
    part = sl.partition(model)
    middle = torch.from_numpy(part.vertices[part.edges].mean(1))
    first = model[0](middle)
    pre = [first.detach(), model[2](F.relu(first)).detach()]
    for (layer, unit), row in zip(part.edge_source, range(len(middle)), strict=True):
        if layer >= 0:
            assert abs(pre[layer][row, unit]) < 1e-10


def kinks():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(2, 9), nn.Hardtanh(-0.4, 0.5), nn.Linear(9, 8), nn.ReLU6(), nn.Linear(8, 2)),
    )
    model[2].weight.data *= 9
    return model, UNIT, None


def pools():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 4, 2)),
        *(nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)),
    )
    return model, ((0, 0.3), (0, 0.3)), sl.Plane.through(*torch.rand(3, 1, 8, 8))


@pytest.mark.parametrize("case", [kinks, pools])
def test_the_source_of_an_edge_is_what_changes_across_it(case):
    model, domain, plane = case()
    part = sl.partition(model, domain, plane)
    example = torch.as_tensor(part.vertices if plane is None else plane(part.vertices))
    flat = []  # codes of each layer: (regions, bits of a unit or a window, units)
    for layer in sl.spline_layers(model.double(), example[:1]):
        bits = 1 if layer.kind == "relu" else layer.unit_shape[0]
        flat.append(part.codes.unpack(layer.name).numpy().reshape(len(part), bits, -1))
    drawn = set()
    for (layer, unit), (left, right) in zip(part.edge_source, part.neighbours, strict=True):
        if layer >= 0:
            assert (flat[layer][left, :, unit] != flat[layer][right, :, unit]).any()
            assert all((codes[left] == codes[right]).all() for codes in flat[:layer])
            drawn.add(layer)
    assert drawn == set(range(len(part.layers)))


@pytest.mark.parametrize("case", [kinks, pools])
def test_codes_that_vary_are_those_of_the_whole_code(case):
    model, domain, plane = case()
    part = sl.partition(model, domain, plane)
    for name in part.layers:
        whole = part.codes.unpack(name).numpy().reshape(len(part), -1)
        units, bits = part.varying_codes(name)
        assert (whole[:, units] == bits).all()
        others = np.delete(whole, units, axis=1)
        assert (others == others[:1]).all()
    with pytest.raises(KeyError, match="no spline layer 'nowhere'; there are"):
        part.varying_codes("nowhere")


def test_rescaling_a_unit_and_permuting_units_changes_nothing():
    model = random_network([12, 12], seed=7).double()
    part = sl.partition(model)
    scaled = random_network([12, 12], seed=7).double()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    scale = torch.linspace(0.1, 9, 12, dtype=torch.float64)
    scaled[0].weight.data = (scaled[0].weight.data * scale[:, None])[order]
    scaled[0].bias.data = (scaled[0].bias.data * scale)[order]
    scaled[2].weight.data = (scaled[2].weight.data / scale)[:, order]
    again = sl.partition(scaled)
    assert np.sort(again.areas) == pytest.approx(np.sort(part.areas), rel=1e-9)


class Odd(nn.Module):
    """Residual add, concatenation, hardtanh, PReLU, maximum, batch norm, functions, reuse."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(2, 6), nn.Linear(6, 6), nn.Linear(12, 5)
        self.norm, self.prelu, self.out = nn.BatchNorm1d(6), nn.PReLU(5), nn.Linear(5, 2)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.norm(self.a(x)))
        y = x + F.hardtanh(self.b(x), -0.3, 0.4)
        y = torch.cat([y, torch.maximum(x, 0.5 * y)], 1)
        y = self.prelu(self.c(y.view(y.size(0), -1)))
        return self.out(F.relu6(abs(y) - 0.1))


def test_any_piecewise_affine_network_is_taken_as_it_is():
    model = Odd()
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    part = sl.partition(model)
    assert model.training
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    check_invariants(part)
    points = np.random.default_rng(1).uniform(-1, 1, (4000, 2))
    codes = sl.region_codes(model.double(), torch.from_numpy(points))
    assert part.codes[part.locate(points)].distance(codes) == 0


def test_a_plane_through_a_convolutional_network():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 3)),
    )
    images = torch.rand(3, 1, 8, 8)
    plane = sl.Plane.through(*images)
    part = sl.partition(model, ((0, 1), (0, 1)), plane)
    check_invariants(part)
    assert len(part) > 100
    points = np.random.default_rng(2).uniform(0, 1, (500, 2))
    codes = sl.region_codes(model.double().eval(), plane(points))
    assert part.codes[part.locate(points)].distance(codes) == 0
    assert plane(np.array([[1.0, 0.0]]))[0] == pytest.approx(images[1].double())


def test_only_units_that_bend_cost_memory():
    # What goes through the layers are a constant, two coordinates and the units that bend:
    # far fewer rows than vertices, and codes are kept without the bits that never change.
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(16, 8), nn.LeakyReLU(), nn.Linear(8, 3)),
    ).double()
    images = torch.rand(3, 1, 16, 16).double()
    plane = sl.Plane.through(*images)
    rows, run = Counter(), Node.run

    def counted(node, env, count):
        rows[node.module] += count
        run(node, env, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Node, "run", counted)
        part = sl.partition(model, ((0.3, 0.36), (0.3, 0.36)), plane)
    check_invariants(part)
    codes = sl.region_codes(model.eval(), plane(part.centroids))
    bits = {name: codes.unpack(name).numpy() for name in codes.layers}
    varying = {name: int((b.any(0) & ~b.all(0)).sum()) for name, b in bits.items()}
    assert part.codes.distance(codes) == 0
    assert len(part) > 500
    kept = part.codes._packed.layers
    below = sum(len(kept[name].bits) for name in part.layers[:2])
    assert 3 < rows["4"] <= below + 10 < len(part.vertices) / 4
    for name, shape in part.codes.layers.items():
        assert varying[name] <= len(kept[name].bits)
        if len(shape) > 1:
            assert len(kept[name].bits) < np.prod(shape) / 4


class MaxOut(nn.Module):
    """Groups of three units, of which the largest goes on."""

    def __init__(self, layers):
        super().__init__()
        self.body = network(layers)

    def forward(self, x):
        for layer in list(self.body)[:-1]:
            x = F.max_pool1d(layer(x)[:, None], 3)[:, 0] if isinstance(layer, nn.Linear) else x
        return self.body[-1](x)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(whole, whole, whole), min_size=6, max_size=6), st.integers(0, 3))
@example([(1, 0, 0), (0, 1, 0), (1, 1, 0)] * 2, 0)
@example([(0, 0, 0), (0, 0, 0), (0, 3, 0), (0, 3, 1), (0, 0, 0), (0, 0, 0)], 3)
def test_max_pooling_of_integer_units_leaves_no_cut_that_no_winner_needs(units, seed):
    weight, bias = [list(u[:2]) for u in units], [u[2] for u in units]
    second = torch.randint(-2, 3, (3, 2), generator=torch.Generator().manual_seed(seed)).tolist()
    model = MaxOut([(weight, bias), (second, [0, 1, 0]), ([[1.0]], [0.0])])
    part = sl.partition(model)
    check_invariants(part)
    # Dyadic points: the network's own sums are exact there, so ties are ties.
    points = np.rint(np.random.default_rng(seed).uniform(-1, 1, (300, 2)) * 2**40) / 2**40
    codes = sl.region_codes(model, torch.from_numpy(points))
    assert part.codes[part.locate(points)].distance(codes) == 0
    # a corner of no region, or an edge cut in two for nothing, would show here
    degree = np.bincount(part.edges.ravel())
    assert (degree[4:] >= 3).all()


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(3)])
def test_max_pooling_in_a_convolutional_network(pool):
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), pool, nn.Conv2d(3, 4, 2), nn.ReLU()),
        *(nn.Flatten(), nn.LazyLinear(2)),
    )
    images = torch.rand(3, 1, 8, 8)
    model(images)
    plane = sl.Plane.through(*images)
    part = sl.partition(model, ((0, 0.3), (0, 0.3)), plane)
    check_invariants(part)
    points = np.random.default_rng(2).uniform(0, 0.3, (800, 2))
    codes = sl.region_codes(model.double(), plane(points))
    assert part.codes[part.locate(points)].distance(codes) == 0
    truth = model(plane(part.vertices)).detach().numpy()
    assert part.outputs == pytest.approx(truth, abs=1e-10)


@pytest.mark.parametrize(
    "name, side",
    [
        *(("vgg11_bn", 0.0005), ("resnet18", 0.002), ("squeezenet1_1", 0.002)),
        *(("mobilenet_v2", 0.02), ("densenet121", 0.0007), ("googlenet", 0.002)),
    ],
)
def test_a_slice_through_a_torchvision_network(name, side):
    model = randomised(torchvision_model(name))
    if name.startswith("vgg"):  # its classifier alone is 120 million weights
        model = nn.Sequential(model.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plane = sl.Plane.through(*images)
    domain = ((0.3, 0.3 + side), (0.3, 0.3 + side))
    part = sl.partition(model, domain, plane, max_regions=20_000)
    check_invariants(part)
    assert len(part) > 20
    points = np.random.default_rng(2).uniform(0.3, 0.3 + side, (60, 2))
    codes = sl.region_codes(model.double().eval(), plane(points))
    assert part.codes[part.locate(points)].distance(codes) == 0


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
    with pytest.raises(ValueError, match="two different outputs"):
        part.decision_boundary(classes=(1, 1))


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


def test_locate_refuses_what_lies_outside():
    part = sl.partition(random_network([8]))
    assert part.locate([[2.0, 0.0], [0.0, 0.0]])[0] == -1
    with pytest.raises(ValueError, match="finite"):
        part.locate([[np.nan, 0.0]])


def test_bad_input_is_refused_before_any_work():
    model = random_network([8])
    with pytest.raises(ValueError, match="empty or not finite"):
        sl.partition(model, ((1, -1), (-1, 1)))
    with pytest.raises(ValueError, match="u_min"):
        sl.partition(model, 3)
    with pytest.raises(sl.RegionLimitExceeded, match="raise max_regions"):
        sl.partition(random_network([64, 64]), max_regions=50)
    for half in (torch.float16, torch.bfloat16):
        coarse = random_network([8]).to(half).train()
        before = {name: tensor.clone() for name, tensor in coarse.state_dict().items()}
        with pytest.raises(ValueError, match="half-precision"):
            sl.partition(coarse)
        assert coarse.training
        assert all(torch.equal(before[name], t) for name, t in coarse.state_dict().items())
    with pytest.raises(sl.RegionLimitExceeded, match="1,001 regions or more"):
        parallel = [([[1, 0]] * 1000, np.linspace(-0.9, 0.9, 1000).tolist()), ([[1] * 1000], [0])]
        sl.partition(network(parallel), max_regions=900)
    with pytest.raises(ValueError, match="must take 2 inputs"):
        sl.partition(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
    with pytest.raises(sl.NotPiecewiseAffine, match="'1'"):
        sl.partition(nn.Sequential(nn.Linear(2, 4), nn.GELU(), nn.Linear(4, 1)))
    broken = random_network([8])
    broken[0].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        sl.partition(broken)
    x = torch.rand(5)
    with pytest.raises(ValueError, match="one line"):
        sl.Plane.through(x, 2 * x, 3 * x)
    with pytest.raises(ValueError, match="one shape"):
        sl.Plane.through(x, x[:4], x)


def test_the_error_names_the_place():
    places = []
    for fineness in range(42, 52):
        lines = [[1, 0], [0, 1], [1, 1]], [-0.25, -0.5, -0.75 + 2.0**-fineness]
        first = [([[1, 0], [0, 1]], [-0.25, -0.5]), ([[1, 1]], [-(2.0**-fineness)]), ([[1]], [0])]
        for layers in ([lines, OUT], first):  # in one layer, and one after the other
            try:
                sl.partition(network(layers, Abs))
            except sl.UndecidablePartition as error:
                places.append(str(error))
    assert len(places) > 1
    assert all(place.startswith("near (0.25, 0.5) of the plane") for place in places)


def test_lines_that_cross_too_often_are_refused_before_the_crossings_are_made(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    wide = [(torch.randn(60, 2, generator=generator).tolist(), [0.1] * 60), ([[1] * 60], [0])]
    bundle = [(wide[0][0], [0] * 60), wide[1]]
    # Through one point, as many pairs of lines make few regions, and the limit is for regions.
    assert len(sl.partition(network(bundle), max_regions=120)) == 120
    with pytest.raises(sl.RegionLimitExceeded, match="makes about"):
        sl.partition(network(wide), max_regions=120)
    monkeypatch.setattr(subdivision, "_PAIRS", 0)
    with pytest.raises(sl.RegionLimitExceeded, match=r"cross each other 1,\d+ times"):
        sl.partition(network(wide), max_regions=120)
