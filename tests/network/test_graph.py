"""A recorded run, run again."""

import pytest
import torch
import torch.nn.functional as F
from networks import Calling
from torch import nn

import splinelib as sl
from splinelib.network.graph import ROWS, functional
from splinelib.network.trace import record

X = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "function",
    [
        lambda h: h.view(h.size(0), 2, -1).flatten(1),
        lambda h: h.view(h.size(0) * 4, 4).relu().view(h.size(0), 16),
        lambda h: torch.cat([h.new_zeros(len(h), 3), h[:, 3:]], 1),
        lambda h: torch.cat([torch.ones(1, 8).expand(len(h), -1), h[:, 8:]], 1),
        lambda h: torch.maximum(h, torch.zeros_like(h)) + torch.ones_like(h),
        lambda h: h.gather(1, torch.arange(15, -1, -1).expand(len(h), 16)),
        lambda h: h + h.max(1, keepdim=True).values,
        lambda h: h.requires_grad_(False).detach() / 2,
    ],
)
def test_any_number_of_rows_gives_what_the_model_gives(function):
    model = Calling(function).eval()
    graph = record(model, X)
    assert graph.rows == ROWS
    with torch.no_grad():
        for rows in (1, 2, 7):
            torch.testing.assert_close(graph.replay(X[:rows]), model(X[:rows]))


def test_a_handler_may_take_the_place_of_an_activation():
    model, seen = Calling(F.relu).eval(), []

    def handle(activation, operands):
        seen.append((activation.kind, tuple(operands[0].shape)))
        return torch.zeros_like(operands[0]) if len(seen) == 2 else None

    out = record(model, X).replay(X, handle)
    assert seen == [("relu", (7, 16)), ("relu", (7, 8))]
    torch.testing.assert_close(out, model.last.bias.expand(7, 2))


def test_what_leads_nowhere_is_not_needed():
    graph = record(Calling(lambda h: (h * 2, F.relu(h))[1]), X)
    needed = [node.name for node, needed in zip(graph.nodes, graph.needed(), strict=True) if needed]
    assert needed == ["linear", "relu", "linear", "relu", "linear"]


def test_functions_in_place_have_one_that_is_not():
    x = torch.tensor([4.0, -2.0])
    for function, expected in [
        (torch.Tensor.relu_, [4, 0]),
        (torch.relu_, [4, 0]),
        (torch.Tensor.__itruediv__, [2, -1]),
    ]:
        arguments = (x, 2) if expected == [2, -1] else (x,)
        assert functional(function)(*arguments).tolist() == expected
    assert functional(torch.Tensor.copy_)(x, torch.zeros(())).tolist() == [0, 0]
    assert x.tolist() == [4, -2]


@pytest.mark.parametrize(
    ("returns", "error", "match"),
    [
        (lambda y: {"out": y}, TypeError, r"returned dict.*model\(x\)\['out'\]"),
        (lambda y: (y, y), TypeError, "returned tuple"),
        (lambda y: y.argmax(1), sl.NotPiecewiseAffine, "jumps"),
        (lambda y: (y > 0).float(), sl.NotPiecewiseAffine, "jumps"),
    ],
)
def test_maps_need_one_tensor_that_does_not_jump(returns, error, match):
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Calling(F.relu)

        def forward(self, x):
            return returns(self.body(x))

    graph = record(Packed(), X)
    graph.check_piecewise_affine()
    with pytest.raises(error, match=match):
        graph.check_output()
    with pytest.raises(error, match=match):
        sl.affine_map(Packed(), X[0])
    assert len(sl.region_codes(Packed(), X)) == 7
