"""What a run is recorded as."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import splinelib as sl
from splinelib.errors import NotPiecewiseAffine
from splinelib.network.trace import Interceptor, record


class Branching(nn.Module):
    """A residual block in functions, methods and operators."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        h = F.relu(self.first(x))
        h += x
        return self.second(h.clamp(min=0.5))


def test_nodes_stand_in_order_with_the_module_that_called():
    graph = record(Branching(), torch.zeros(1, 3))
    assert [(node.name, node.module) for node in graph.nodes] == [
        ("linear", "first"),
        ("relu", ""),
        ("add", ""),
        ("clamp", ""),
        ("linear", "second"),
    ]
    assert [node.activation.kind for node in graph.activations()] == ["relu", "relu"]
    assert graph.nodes[-1].outputs == (graph.output,)
    assert graph.shapes[graph.output][1:] == (2,)


def test_a_recorded_run_can_be_repeated_on_any_number_of_rows():
    model = Branching().double()
    graph = record(model, torch.zeros(1, 3).double())
    x = torch.randn(7, 3, dtype=torch.float64)
    values = {0: x}
    for node in graph.nodes:
        node.run(values, 7)
    torch.testing.assert_close(values[graph.output], model(x))


def test_the_last_use_of_a_value_is_known():
    graph = record(Branching(), torch.zeros(1, 3))
    last = graph.last_use()
    assert last[0] == 2  # the input is read by the first layer and by the sum
    assert last[graph.output] == len(graph.nodes)


def test_what_is_not_affine_has_a_problem_that_names_its_module():
    model = nn.Sequential(nn.Linear(3, 3), nn.Softmax(dim=1))
    graph = record(model, torch.zeros(1, 3))
    with pytest.raises(NotPiecewiseAffine, match=r"module '1'.*softmax"):
        graph.check_piecewise_affine()
    assert record(nn.Sequential(nn.GELU()), torch.zeros(1, 3), "sign").activations()


def test_an_interceptor_replaces_what_it_wants_to():
    model = Branching()
    x, calls = torch.randn(2, 3), []

    def zero_the_first(activation, operands):
        calls.append(activation.kind)
        return torch.zeros_like(operands[0]) if len(calls) == 1 else None

    with torch.no_grad(), Interceptor(zero_the_first):
        found = model(x)
    torch.testing.assert_close(found, model.second(x.clamp(min=0.5)))
    assert calls == ["relu", "relu"]


@pytest.mark.parametrize(
    ("example", "smooth", "match"),
    [(torch.zeros(0, 3), "raise", "at least one"), (torch.zeros(1, 3), "maybe", "'maybe'")],
)
def test_bad_input(example, smooth, match):
    with pytest.raises(ValueError, match=match):
        record(Branching(), example, smooth)


class OfTwo(nn.Module):
    """Takes two tensors, or one dict."""

    def __init__(self, keys=None):
        super().__init__()
        self.linear, self.keys = nn.Linear(3, 2), keys

    def forward(self, x, *others):
        if self.keys:
            return F.relu(sum(self.linear(x[key]) for key in self.keys))
        (other,) = others
        return F.relu(self.linear(x) + self.linear(other))


def test_a_model_that_takes_something_else_is_told_to_be_wrapped():
    x = torch.zeros(2, 3)
    with pytest.raises((TypeError, ValueError), match="wrap it in a module whose forward takes"):
        record(OfTwo(["a"]), x)
    with pytest.raises(ValueError, match="takes a dict or several tensors, wrap it"):
        record(OfTwo(["a"]), {"a": x})

    class Named(nn.Module):
        def forward(self, before, after):
            return before + after

    with pytest.raises(TypeError, match=r"'after'.*Wrap it in a module"):
        record(Named(), x)


def test_another_precision_is_named_with_what_converts_it():
    x = torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"float64.*float32.*inputs\.to\(torch\.float32\)"):
        record(Branching(), x)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_scripts_are_refused_by_name():
    script = torch.jit.script(nn.Linear(3, 3))
    with pytest.raises(TypeError, match="the model is TorchScript"):
        record(script, torch.zeros(1, 3))
    with pytest.raises(TypeError, match=r"module '1'.*scripted or traced from"):
        record(nn.Sequential(nn.ReLU(), script), torch.zeros(1, 3))


class FlattensTheBatch(nn.Module):
    """``flatten(x)`` for ``flatten(x, 1)``."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 2, 2), nn.Linear(8, 3)

    def forward(self, x):
        return self.linear(F.relu(torch.flatten(self.conv(x))))


def test_a_model_of_one_input_at_a_time_is_told_apart():
    model, x = FlattensTheBatch(), torch.zeros(1, 1, 3, 3)
    with pytest.raises(ValueError, match=r"one input alone.*torch\.flatten\(x, 1\)"):
        record(model, x)
    assert record(model, x, rows=1).rows == 1
    A, b = sl.affine_map(model, x[0])
    torch.testing.assert_close(A @ x.flatten() + b, model(x))


def test_what_was_not_computed_from_the_input_is_no_output():
    class Constant(nn.Module):
        def forward(self, x):
            F.relu(x)
            return {"a": torch.zeros(3), "b": 2}

    with pytest.raises(TypeError, match=r"returned dict.*computed from the input"):
        record(Constant(), torch.zeros(1, 3))


def test_layers_are_found_whatever_the_output_is_packed_in():
    class Packed(Branching):
        def forward(self, x):
            y = super().forward(x)
            return [{"n": 3, "y": (None, y, y.argmax(1))}]

    graph = record(Packed(), torch.zeros(1, 3))
    graph.check_piecewise_affine()
    assert graph.output == -1 and graph.returned == "list"
    assert len(graph.activations()) == 2
