"""What a run is recorded as."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

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
