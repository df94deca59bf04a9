"""How calls are read: breakpoints, slopes, and the bits of a code."""

import math

import pytest
import torch
import torch.nn.functional as F

from splinelib.network.activations import ACTIVATIONS, SMOOTH, canonical, parse, parse_any

Z = torch.linspace(-8, 8, 33, dtype=torch.float64)[None]


@pytest.mark.parametrize(
    ("function", "options", "breakpoints", "slopes"),
    [
        (F.relu, {}, (0,), (0, 1)),
        (torch.Tensor.relu_, {}, (0,), (0, 1)),
        (F.leaky_relu, {"negative_slope": 0.2}, (0,), (0.2, 1)),
        (F.rrelu, {"lower": 0.1, "upper": 0.3}, (0,), (0.2, 1)),
        (F.relu6, {}, (0, 6), (0, 1, 0)),
        (F.hardtanh, {"min_val": -2, "max_val": 3}, (-2, 3), (0, 1, 0)),
        (F.softshrink, {"lambd": 0.75}, (-0.75, 0.75), (1, 0, 1)),
        (F.hardsigmoid, {}, (-3, 3), (0, 1 / 6, 0)),
        (F.threshold, {"threshold": 1.5, "value": 1.5}, (1.5,), (0, 1)),
        (torch.abs, {}, (0,), (-1, 1)),
        (torch.clamp, {"min": -1.0}, (-1,), (0, 1)),
        (torch.clamp, {"max": 1.0}, (1,), (1, 0)),
        (torch.clamp, {"min": -1, "max": 2}, (-1, 2), (0, 1, 0)),
        (torch.clamp_min, {"min": 0.5}, (0.5,), (0, 1)),
        (torch.clamp, {"min": 0.5, "max": math.inf}, (0.5,), (0, 1)),
        (torch.clamp, {"min": -math.inf, "max": 0.5}, (0.5,), (1, 0)),
        (F.hardtanh, {"min_val": 0.0, "max_val": math.inf}, (0,), (0, 1)),
    ],
)
def test_breakpoints_and_slopes_are_those_of_the_function(function, options, breakpoints, slopes):
    activation, (z,) = parse(function, (Z,), options)
    assert z is Z
    assert activation.breakpoints == pytest.approx(breakpoints)
    assert activation.slopes == pytest.approx(slopes)
    torch.testing.assert_close(activation.call(Z), function(Z.clone(), **options))
    # the slope of each piece, measured between points that no breakpoint separates
    middle = (Z[0, 1:] + Z[0, :-1]) / 2
    rise = activation.call(Z).diff() / Z.diff()
    piece = sum((middle > b).long() for b in breakpoints)
    inside = torch.stack([(middle - b).abs() > 0.3 for b in breakpoints]).all(0)
    torch.testing.assert_close(rise[0][inside], torch.tensor(slopes).double()[piece][inside])
    bits = activation.code(Z)
    assert bits.shape == (Z.shape if len(breakpoints) == 1 else (1, 2, Z.shape[1]))


def test_prelu_has_a_slope_for_each_channel():
    weight = torch.tensor([0.1, -0.5])
    x = torch.tensor([[[-1.0], [-1.0]]])
    activation, _ = parse(F.prelu, (x, weight), {})
    assert activation.slopes[0].flatten().tolist() == pytest.approx([0.1, -0.5])
    torch.testing.assert_close(activation.call(x), F.prelu(x, weight))


@pytest.mark.parametrize("function", [torch.maximum, torch.fmin, torch.max])
def test_the_larger_and_the_smaller_of_two_compare_their_difference_with_zero(function):
    a, b = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[2.0, 2.0, 1.0]])
    activation, operands = parse(function, (a, b), {})
    assert activation.code(*operands).tolist() == [[False, False, True]]
    assert activation.call(*operands).tolist() == function(a, b).tolist()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (torch.min, (Z, 1)),  # over a dimension
        (torch.amax, (Z[None], 1)),  # over another one than the last
        (F.threshold, (Z, 1.0, 0.0)),  # jumps
        (torch.clamp, (Z, torch.tensor(0.0))),  # a bound that may depend on the input
        (torch.clamp, (Z, 1.0, -1.0)),  # constant
        (torch.clamp, (Z, -math.inf, math.inf)),  # bends nowhere
        (torch.clamp, (Z, math.inf)),  # constant
        (torch.clamp, (Z, 0.0, math.nan)),
        (F.threshold, (Z, -math.inf, -math.inf)),
        (F.softshrink, (Z, math.inf)),
        (torch.exp, (Z,)),
    ],
)
def test_what_is_no_spline_is_not_read(function, arguments):
    assert parse(function, arguments, {}) is None


def test_the_slope_at_a_kink_is_that_of_the_left_piece():
    z = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    activation, operands = parse(F.relu, (z,), {})
    activation.linearised(*operands).sum().backward()
    assert z.grad.tolist() == [0, 0, 1]


def test_the_winner_of_a_pooling_is_its_place_in_the_window():
    x = torch.tensor([[[[1.0, 5.0, 0.0, 0.0], [2.0, 3.0, 0.0, 9.0]]]])
    activation, operands = parse(F.max_pool2d, (x, 2), {})
    assert activation.bits == 2 and activation.breakpoints == ()
    assert activation.winner(*operands).tolist() == [[[[1, 3]]]]
    assert activation.code(*operands)[0, :, 0, 0].tolist() == [[True, True], [False, True]]
    adaptive, operands = parse(F.adaptive_max_pool2d, (x, (1, 2)), {})
    assert adaptive.winner(*operands).tolist() == [[[[1, 3]]]]


def test_smooth_functions_are_read_only_by_those_who_ask():
    assert not set(ACTIVATIONS) & SMOOTH
    assert parse(F.gelu, (Z,), {}) is None
    activation, (z,) = parse_any(F.gelu, (Z,), {"approximate": "tanh"})
    assert activation.smooth and activation.breakpoints == (0.0,)
    torch.testing.assert_close(activation.call(z), F.gelu(Z, approximate="tanh"))


def test_names_are_those_without_marks_of_operators():
    names = [canonical(f) for f in (torch.Tensor.__iadd__, torch.Tensor.add_, F.relu_, torch.mul)]
    assert names == ["add", "add", "relu", "mul"]


def test_the_largest_over_the_last_dimensions_is_a_pooling_of_one_window():
    x = torch.tensor([[[1.0, 5.0], [9.0, 3.0]], [[0.0, -1.0], [-2.0, 4.0]]])
    for call in ((torch.amax, (x, (1, 2)), {}), (torch.amax, (x,), {"dim": (-1, 1)})):
        activation, operands = parse(*call)
        assert (activation.kind, activation.bits) == ("max_pool", 2)
        assert activation.call(*operands).tolist() == [9, 4]
        assert activation.winner(*operands).flatten().tolist() == [2, 3]
    for call in ((torch.max, (x, -1), {}), (torch.Tensor.max, (x,), {"dim": 2})):
        activation, operands = parse(*call)
        assert activation.call(*operands)[0].tolist() == [[5, 9], [0, 4]]
        assert activation.winner(*operands).flatten().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("function", [torch.amax, torch.max])
def test_of_values_that_are_equally_large_the_winner_of_the_code_has_the_gradient(
    function, keepdim
):
    x = torch.tensor([[[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]], requires_grad=True)
    activation, operands = parse(function, (x, -1), {"keepdim": keepdim})
    value = activation.linearised(*operands)
    value = value if isinstance(value, torch.Tensor) else value[0]
    assert value.tolist() == ([[[3], [2]]] if keepdim else [[3, 2]])
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert gradient.tolist() == [[[0, 1, 0], [1, 0, 0]]]
    assert activation.winner(*operands).flatten().tolist() == [1, 0]
