"""The exact partition: agrees with rational arithmetic, above all where lines are degenerate."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from geometry.checks import OUT, STRIP, UNIT, Abs, check_against_exact, check_invariants
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from networks import (
    Odd,
    integer_networks,
    network,
    random_network,
    randomised,
    torchvision_model,
)
from torch import nn

import splinelib as sl


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks(), st.sampled_from([UNIT, ((-2, 3), (-1, 2)), ((0, 1), (0, 1))]))
@example([([[0, 0], [0, 0], [0, 0]], [0, 1, -1]), OUT], UNIT)  # dead and constant units
@example([([[1, 1], [2, 2], [-1, -1]], [0, 0, 0]), OUT], UNIT)  # one line, drawn three times
@example([([[1, 0], [0, 1], [1, 1]], [0, 0, 0]), OUT], UNIT)  # three lines through one point
@example([([[1, 0], [1, 1], [0, 1]], [1, 2, -1]), OUT], UNIT)  # along the border, at a corner
@example([([[1, 0], [0, 1], [0, 1]], [0, 0, 0]), ([[1, 0, 0]] * 3, [0, 0, 0]), OUT], UNIT)
def test_agrees_with_rational_arithmetic_on_integer_networks(layers, domain):
    check_against_exact(layers, domain)


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


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks())
def test_agrees_with_rational_arithmetic_for_abs_and_leaky(layers):
    check_against_exact(layers, UNIT, Abs, (-1, 1))
    check_against_exact(layers, UNIT, lambda: nn.LeakyReLU(0.25), (0.25, 1))


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


def test_bad_input_is_refused_before_any_work():
    model = random_network([8])
    with pytest.raises(ValueError, match="empty or not finite"):
        sl.partition(model, ((1, -1), (-1, 1)))
    with pytest.raises(ValueError, match="u_min"):
        sl.partition(model, 3)
    for half in (torch.float16, torch.bfloat16):
        coarse = random_network([8]).to(half).train()
        before = {name: tensor.clone() for name, tensor in coarse.state_dict().items()}
        with pytest.raises(ValueError, match="half-precision"):
            sl.partition(coarse)
        assert coarse.training
        assert all(torch.equal(before[name], t) for name, t in coarse.state_dict().items())
    with pytest.raises(ValueError, match="must take 2 inputs"):
        sl.partition(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
    with pytest.raises(sl.NotPiecewiseAffine, match="'1'"):
        sl.partition(nn.Sequential(nn.Linear(2, 4), nn.GELU(), nn.Linear(4, 1)))
    broken = random_network([8])
    broken[0].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        sl.partition(broken)


@pytest.mark.parametrize("centre", [(0.1, -0.2), (0.95, 0.9), (0.0, 0.0)])
def test_local_complexity_counts_the_regions_that_a_disc_meets(centre):
    model = random_network([12, 12], seed=1).double()
    part = sl.partition(model)
    radii = [0.0, 0.02, 0.1, 0.3, 1.0, 3.0]
    counts = part.local_complexity(centre, radii)
    assert counts[0] == 1 and counts[-1] == len(part)
    assert (np.diff(counts) >= 0).all()
    rng = np.random.default_rng(0)
    for radius, count in zip(radii[1:4], counts[1:4], strict=True):
        angle, far = rng.uniform(0, 2 * np.pi, 200_000), radius * rng.uniform(0, 1, 200_000) ** 0.5
        disc = centre + far[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        seen = len(np.unique(part.locate(disc[(np.abs(disc) <= 1).all(1)])))
        assert 0.95 * count - 1 <= seen <= count  # sampling misses slivers, never adds


def test_local_complexity_on_a_grid_of_known_distances():
    # lines x = 0 and y = 0.5: four cells, seen from (0.5, 0)
    layers = [([[1, 0], [0, 1]], [0, -0.5]), ([[1, 1]], [0])]
    part = sl.partition(network(layers))
    corner = 0.5**0.5
    radii = [0.4, 0.5, corner - 1e-9, corner + 1e-9]
    assert part.local_complexity((0.5, 0), radii).tolist() == [1, 3, 3, 4]


def test_local_complexity_refuses_what_makes_no_disc():
    part = sl.partition(random_network([8]))
    with pytest.raises(ValueError, match="outside"):
        part.local_complexity((2, 0), [0.1])
    with pytest.raises(ValueError, match="one point"):
        part.local_complexity([(0, 0)], [0.1])
    for radii in ([-1], [np.nan], 0.1):
        with pytest.raises(ValueError, match="radii"):
            part.local_complexity((0, 0), radii)


def test_degrees_and_regions_after_each_layer():
    model = random_network([10, 8, 6], seed=2).double()
    part = sl.partition(model)
    pairs = {tuple(sorted(p)) for p in part.neighbours.tolist() if min(p) >= 0}
    degree = [sum(region in pair for pair in pairs) for region in range(len(part))]
    assert part.degrees.tolist() == degree
    counts = part.regions_after()
    assert list(counts) == part.layers
    modules = list(model)
    for depth, count in zip((2, 4, 6), counts.values(), strict=True):
        head = nn.Sequential(*modules[:depth], nn.Linear(modules[depth].in_features, 1).double())
        assert count == len(sl.partition(head))


def test_a_layer_that_cuts_nothing_adds_no_regions():
    layers = [([[1, 0]], [0]), ([[1]], [1]), ([[1]], [-0.5]), ([[1]], [0])]  # relu(x) + 1 > 0
    assert sl.partition(network(layers)).regions_after() == {"0": 2, "2": 2, "4": 2}


def test_a_network_that_squeezes_its_only_output_is_the_same_network():
    class Squeezed(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.first, self.last = random_network([6], seed=2), last

        def forward(self, x):
            return self.last(self.first(x)).squeeze(1)

    for last in (nn.Identity(), nn.ReLU()):
        model, same = Squeezed(last), nn.Sequential(random_network([6], seed=2), last)
        part, expected = sl.partition(model), sl.partition(same)
        check_invariants(part)
        assert part.outputs.tolist() == expected.outputs.tolist()
        assert part.decision_length() == expected.decision_length()
        assert sl.difference(model, same).largest < 1e-12
        ends = torch.tensor([-1.0, 0.3]), torch.tensor([1.0, -0.4])
        way, other = sl.segment(model, *ends), sl.segment(same, *ends)
        assert way.outputs.tolist() == other.outputs.tolist()
